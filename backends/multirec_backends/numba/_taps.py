"""Coefficients inside a kernel, whether they change along time or not."""

from __future__ import annotations

from ._emit import Int, Num, Tile
from ._frame import TILE, Frame, Group


class Coefficients:
    """One set of coefficients in a tile: a row a tap, or a tile a tap where they change along time."""

    def __init__(self, frame: Frame, tile: Tile, taps: int | None, varies: bool) -> None:
        self.tile, self.varies = tile, varies
        # known taps that never change stay in registers
        known = 0 if varies or taps is None else taps
        self._kept = [[tile.get(tap, group) for group in range(frame.fmt.groups)] for tap in range(known)]

    def get(self, tap: Int | int, row: Int, group: int) -> Num:
        if self.varies:
            return self.tile.shifted(self.tile.f.int(tap) * TILE).get(row, group)
        return self._kept[tap][group] if self._kept and isinstance(tap, int) else self.tile.get(tap, group)

    def conj(self, tap: Int | int, row: Int, group: int) -> Num:
        return self.get(tap, row, group).conj()


def load_varying(frame: Frame, group: Group, time: Int, steps: Int) -> None:
    """Load a tile of each set of coefficients that changes along time."""
    spec, f = frame.spec, frame.f
    for name, storage, varies, region, count in (
        ("feedforward", spec.feedforward, spec.feedforward_varies, "b", frame.q + 1),
        ("feedback", spec.feedback, spec.feedback_varies, "a", frame.p),
    ):
        if not varies or storage is None:
            continue
        offsets = group.offsets("offsets_any", name, storage)
        tile = frame.tile(region)
        with f.loop(0, count) as tap:
            group.load(tile.shifted(tap * TILE), name, storage, offsets, time, steps, tap=tap)
