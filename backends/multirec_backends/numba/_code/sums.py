"""Gradients of coefficients that do not change along time: sums over all samples, lane by lane."""

from __future__ import annotations

from llvmlite import ir

from .emit import DOUBLE, Int
from .frame import Frame, Group
from .numbers import Num


class Sums:
    """Sums of products over time, a row a tap, in float64; filled a tile at a time in the kernel's precision."""

    def __init__(self, frame: Frame, name: str, count: Int) -> None:
        self.frame, self.f, self.fmt, self.count = frame, frame.f, frame.fmt, count
        self.base = frame.region(f"sum_{name}")
        self.row_bytes = self.fmt.lanes * self.fmt.parts * 8

    def start(self) -> None:
        self.f.zero(self.base, self.count * self.row_bytes)

    def add(self, tap: Int | int, group: int, number: Num) -> None:
        f, fmt = self.f, self.fmt
        wide = ir.VectorType(DOUBLE, fmt.width)
        row = self.base + f.int(tap) * self.row_bytes + group * fmt.parts * fmt.width * 8
        for k, part in enumerate(number.parts):
            place = row + k * fmt.width * 8
            value = part if fmt.double else f.b.fpext(part, wide)
            place.store(f.b.fadd(place.load(wide), value))

    def write(self, group: Group, name: str) -> None:
        """Write to [row of (example, channel), tap], for every lane in use."""
        f, fmt = self.f, self.fmt
        with f.when(self.frame.word(f"{name}_at").differs(0)), f.loop(0, group.lanes) as lane:
            vector = lane // fmt.width
            source = self.base + (vector * (fmt.parts * fmt.width) + (lane - vector * fmt.width)) * 8
            target = self.frame.pointer(name) + (group.first + lane) * self.count * (fmt.parts * 8)
            with f.loop(0, self.count) as tap:
                for k in range(fmt.parts):
                    value = (source + tap * self.row_bytes + k * fmt.width * 8).load(DOUBLE)
                    (target + tap * (fmt.parts * 8) + k * 8).store(value)
