"""Coefficients inside a kernel, whether they change along time or not."""

from __future__ import annotations

from copy import copy

from .._code.emit import Int
from .._code.frame import Group, RecurrenceFrame
from .._code.numbers import Num, Tile
from .marks import Lanes
from .spec import TILE


class Coefficients:
    """One set of coefficients in a tile: a row a tap, or a tile a tap where they change along time.

    A walk backwards may ask for `later` rows after the tile, which were the first of the tile before.
    """

    def __init__(self, frame: RecurrenceFrame, group: Group, name: str, later: int = 0) -> None:
        spec, f = frame.spec, frame.f
        forward = name == "feedforward"
        self.frame, self.group, self.name, self.short = frame, group, name, "b" if forward else "a"
        self.storage = spec.feedforward if forward else spec.feedback
        self.varies = spec.feedforward_varies if forward else spec.feedback_varies
        self.count = frame.q + 1 if forward else frame.p
        known = spec.input_order if forward else spec.order
        self._known = 0 if known is None or self.varies else known + forward
        self.tile = Tile(f, frame.fmt, frame.region(self.short if self.varies else f"steady_{self.short}"))
        self._later = later if self.varies else 0
        self._pitch = TILE + self._later
        self._next = Tile(f, frame.fmt, frame.region(f"later_{self.short}"))
        self._kept: list[list[Num]] = []
        self.hands_on = True

    def start(self) -> None:
        """Load what does not change, or find out where what does lies."""
        if self.storage is None:
            return
        if self.varies:
            self.group.offsets(f"offsets_{self.short}", self.name, self.storage)
            if self._later:
                self._next.clear(self.count * self._later)
        else:
            self.group.load_taps(self.tile, self.name, self.storage, self.count)

    def load(self, time: Int, steps: Int, *, ahead: int) -> None:
        """Make the coefficients of a tile ready: in registers where they are known, few and steady."""
        if self.storage is None:
            return
        if self.varies:
            offsets = self.frame.region(f"offsets_{self.short}")
            with self.frame.f.loop(0, self.count) as tap:
                tile, following = self.tile.shifted(tap * self._pitch), self._next.shifted(tap * self._later)
                if self._later:
                    # rows after the last sample meet λ = 0, and must not be NaN
                    with self.frame.f.when(steps < TILE):
                        tile.clear(TILE)
                    tile.shifted(TILE).take(following, self._later)
                self.group.load(tile, self.name, self.storage, offsets, time, steps, tap=tap, ahead=ahead)
                if self.hands_on:
                    following.take(tile, self._later)
        else:
            groups = range(self.frame.fmt.groups)
            self._kept = [[self.tile.get(tap, group) for group in groups] for tap in range(self._known)]

    def hand_on(self) -> None:
        """Keep the first rows for after the tile visited next, where loading does not do so."""
        if self.varies and self._later:
            with self.frame.f.loop(0, self.count) as tap:
                self._next.shifted(tap * self._later).take(self.tile.shifted(tap * self._pitch), self._later)

    def blank(self, lanes: Lanes, first: Int, rows: Int | int) -> None:
        """Set rows of coefficients that change along time to zero in some lanes."""
        if self.varies:
            with self.frame.f.loop(0, self.count) as tap:
                lanes.assign(self.tile.shifted(tap * self._pitch + first), None, rows)

    def shifted(self, rows: Int) -> Coefficients:
        """Return the same from a later row on."""
        later = copy(self)
        later.tile = self.tile.shifted(rows) if self.varies else self.tile
        return later

    def get(self, tap: Int | int, row: Int, group: int) -> Num:
        if self.varies:
            return self.tile.shifted(self.tile.f.int(tap) * self._pitch).get(row, group)
        return self._kept[tap][group] if self._kept and isinstance(tap, int) else self.tile.get(tap, group)

    def conj(self, tap: Int | int, row: Int, group: int) -> Num:
        return self.get(tap, row, group).conj()
