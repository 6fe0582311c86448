"""Second-order sections in transposed direct form II, forward and back, and over the rows of a tile.

    y = b0·x + m0        m0 = b1·x + f1·y + m1        m1 = b2·x + f2·y

A pass over a tile keeps the coefficients and memories of two sections in registers: that halves what goes to the tile
and back, and one section computes while the other waits for its multiply-adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from .._code.emit import Function, Int
from .._code.frame import Frame, Group
from .._code.memory import STORAGES
from .._code.numbers import Format, Num, Slot, Tile, zero
from .._code.sums import Sums
from .._recurrence.spec import TILE
from .spec import ORDER, TAPS, CascadeSpec


def section_forward(taps: Sequence[Num], x: Num, memory: Sequence[Num]) -> tuple[Num, list[Num]]:
    """Return y and the memory after a sample."""
    b0, b1, b2, f1, f2 = taps
    y = memory[0].plus(b0, x)
    return y, [memory[1].plus(b1, x).plus(f1, y), (b2 * x).plus(f2, y)]


def section_back(taps: Sequence[Num], grad: Num, later: Sequence[Num]) -> tuple[Num, Num]:
    """Return λ and the gradient of x, from conjugate taps and the λ of the two samples after this one."""
    b0, b1, b2, f1, f2 = taps
    one, two = later
    lam = grad.plus(f2, two).plus(f1, one)
    return lam, (b2 * two).plus(b1, one).plus(b0, lam)


class Products:
    """Sums over time of λ with a section's x and y, a tap each; the real part where that is all a gradient has."""

    def __init__(self, f: Function, fmt: Format, taps: str) -> None:
        self.f, self.real = f, fmt.is_complex and not taps.startswith("complex")
        nothing = zero(f, fmt)
        start = Num(f, nothing.parts[:1]) if self.real else nothing
        self.slots = [Slot(f, fmt, start) for _ in range(TAPS)]

    def add(self, lam: Num, later: Sequence[Num], x: Num, y: Num, active: Any = None) -> None:
        """Add the products of a sample, in lanes that are active."""
        one, two = later
        for slot, a, b in zip(self.slots, (lam, one, two, one, two), (x, x, x, y, y), strict=True):
            total = self._plus(slot.get(), a, b)
            slot.set(total if active is None else choose(active, total, slot.get()))

    def flush(self, sums: Sums, row: Int, g: int) -> None:
        """Add what is here to sums in float64, and begin anew."""
        for tap, slot in enumerate(self.slots):
            total = slot.get()
            sums.add(row + tap, g, total)
            slot.set(Num(self.f, [ir.Constant(part.type, None) for part in total.parts]))

    def _plus(self, total: Num, a: Num, b: Num) -> Num:
        if not self.real:
            return total.plus(a, b.conj())
        for one, other in zip(a.parts, b.parts, strict=True):
            total = total.plus(Num(self.f, [one]), Num(self.f, [other]))
        return total


def choose(mask: Any, yes: Num, no: Num) -> Num:
    """Return `yes` in the lanes of a mask, and `no` elsewhere."""
    return Num(yes.f, [yes.f.b.select(mask, *pair) for pair in zip(yes.parts, no.parts, strict=True)])


class CascadeFrame(Frame):
    """The frame of a cascade."""

    spec: CascadeSpec


class Sections:
    """The sections of a group of lanes: coefficients and memories in tiles, a row each, section by section."""

    def __init__(self, frame: CascadeFrame, group: Group) -> None:
        self.frame, self.group, self.f, self.fmt, self.spec = frame, group, frame.f, frame.fmt, frame.spec
        self.count = frame.word("sections")
        self.delays = self.count * ORDER
        self.taps, self.memory, self.ends = (frame.tile(name) for name in ("taps", "memory", "ends"))

    def start(self) -> None:
        """Load coefficients and memories."""
        self._load(self.taps, "taps", self.spec.taps, TAPS)
        self.load(self.memory, "memory")

    def load(self, tile: Tile, name: str) -> None:
        """Load what each section has two of; what is not there is zeros."""
        tile.clear(self.delays)
        with self.f.when(self.frame.word(f"{name}_at").differs(0)):
            self._load(tile, name, self.spec.compute, ORDER)

    def _load(self, tile: Tile, name: str, storage: str, each: int) -> None:
        frame, f, group = self.frame, self.f, self.group
        offsets, stride = group.offsets("offsets_any", name, storage), frame.word(f"{name}_order")
        load = frame.tiles.load(STORAGES[storage])
        with f.loop(0, self.count) as index:
            source = frame.pointer(name) + index * frame.word(f"{name}_section")
            f.call(load, tile.row(index * each), source, stride, offsets, group.lanes, each, 0)

    def store(self, tile: Tile, name: str) -> None:
        """Store what each section has two of, if there is a place for it."""
        frame, f, group, storage = self.frame, self.f, self.group, self.spec.compute
        with f.when(frame.word(f"{name}_at").differs(0)):
            offsets, stride = group.offsets("offsets_any", name, storage), frame.word(f"{name}_order")
            store = frame.tiles.store(STORAGES[storage])
            with f.loop(0, self.count) as index:
                target = frame.pointer(name) + index * frame.word(f"{name}_section")
                f.call(store, tile.row(index * ORDER), target, stride, offsets, group.lanes, ORDER)

    def turn(self, tile: Tile) -> None:
        """Put two samples of each section from running order into ascending order, or back."""
        with self.f.when(self.frame.word("flip").differs(0)), self.f.loop(0, self.delays, ORDER) as row:
            for g in range(self.fmt.groups):
                one, two = tile.get(row, g), tile.get(row + 1, g)
                tile.put(row, g, two)
                tile.put(row + 1, g, one)

    def tap(self, index: Int, tap: int, g: int) -> Num:
        """Return a coefficient of the section `index`."""
        number = self.taps.get(index * TAPS + tap, g)
        return number if self.spec.taps.startswith("complex") else Num(self.f, number.parts[:1])

    def load_x(self, tile: Tile, time: Int, steps: Int) -> None:
        """Load rows of x, the same number for all lanes where it is shared."""
        frame, group, offsets = self.frame, self.group, self.frame.region("offsets_x")
        source = frame.tile("x") if self.spec.shared else tile
        group.load_x(source, "x", offsets, time, steps, ahead=TILE)
        if self.spec.shared:
            with self.f.loop(0, steps) as row:
                for g in range(self.fmt.groups):
                    tile.put(row, g, source.get(row, g))

    def run(self, tile: Tile, steps: Int, *, apart: bool = False, ends: bool = False) -> None:
        """Run all sections over `steps` rows, in place or each from its own tile to the next.

        With `ends`, each section's last two outputs are kept.
        """
        count, pitch = self.count, TILE * apart
        whole = count & -2
        with self.f.loop(0, whole, 2) as index:
            x, inner, y = (tile.shifted((index + k) * pitch) for k in range(3))
            self._pass(index, x, [inner if apart else None, y], steps, ends)
        with self.f.when(whole < count):
            self._pass(whole, tile.shifted(whole * pitch), [tile.shifted(count * pitch)], steps, ends)

    def _pass(self, first: Int, x: Tile, targets: Sequence[Tile | None], steps: Int, ends: bool) -> None:
        """Run a section for each target; its outputs go there, if it is one."""
        f, vectors = self.f, range(self.fmt.groups)
        indices = [first + k for k in range(len(targets))]
        taps = [[[self.tap(index, tap, g) for tap in range(TAPS)] for g in vectors] for index in indices]
        slots = [
            [[Slot(f, self.fmt, self.memory.get(index * ORDER + i, g)) for i in range(ORDER)] for g in vectors]
            for index in indices
        ]

        def row(at: Int, last: bool) -> None:
            for g in vectors:
                value = x.get(at, g)
                for k, target in enumerate(targets):
                    value, after = section_forward(taps[k][g], value, [slot.get() for slot in slots[k][g]])
                    for slot, number in zip(slots[k][g], after, strict=True):
                        slot.set(number)
                    if target is not None:
                        target.put(at, g, value)
                    if last:
                        end = indices[k] * ORDER
                        self.ends.put(end, g, self.ends.get(end + 1, g))
                        self.ends.put(end + 1, g, value)

        # every tile ends as if it were the last, and leaves its last two outputs
        most = f.maximum(steps - ORDER, 0) if ends else steps
        with f.loop(0, most) as at:
            row(at, last=False)
        if ends:
            with f.loop(most, steps) as at:
                row(at, last=True)
        for k, index in enumerate(indices):
            for g in vectors:
                for i, slot in enumerate(slots[k][g]):
                    self.memory.put(index * ORDER + i, g, slot.get())
