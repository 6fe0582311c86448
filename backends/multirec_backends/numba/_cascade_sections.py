"""Second-order sections over the rows of a tile, in transposed direct form II, two of them at a time.

    y = b0·x + m0        m0 = b1·x + f1·y + m1        m1 = b2·x + f2·y

A pass keeps the coefficients and memories of its sections in registers. Two sections in one pass halve what goes to
the tile and back, and one computes while the other waits for its multiply-adds.
"""

from __future__ import annotations

from collections.abc import Sequence

from ._cascade_spec import ORDER, TAPS
from ._emit import Int
from ._frame import Frame, Group
from ._numbers import Num, Slot, Tile


def section(taps: Sequence[Num], x: Num, memory: Sequence[Num]) -> tuple[Num, list[Num]]:
    """Return y and the memory after a sample."""
    b0, b1, b2, f1, f2 = taps
    y = memory[0].plus(b0, x)
    return y, [memory[1].plus(b1, x).plus(f1, y), (b2 * x).plus(f2, y)]


class Sections:
    """The sections of a group of lanes: coefficients and memories in tiles, a row each, section by section."""

    def __init__(self, frame: Frame, group: Group, taps: str) -> None:
        self.frame, self.group, self.f, self.fmt = frame, group, frame.f, frame.fmt
        self.count, self.storage = frame.word("sections"), taps
        self.real = not taps.startswith("complex")
        self.taps, self.memory, self.ends = (frame.tile(name) for name in ("taps", "memory", "ends"))

    def start(self, compute: str) -> None:
        """Load coefficients and memories; no memory is zeros."""
        frame, group, f = self.frame, self.group, self.f
        offsets = group.offsets("offsets_any", "taps", self.storage)
        group.load(self.taps, "taps", self.storage, offsets, 0, self.count * TAPS)
        self.memory.clear(self.count * ORDER)
        with f.when(frame.word("memory_at").differs(0)):
            offsets = group.offsets("offsets_any", "memory", compute)
            group.load(self.memory, "memory", compute, offsets, 0, self.count * ORDER)

    def tap(self, index: Int, tap: int, g: int) -> Num:
        """Return a coefficient of the section `index`."""
        number = self.taps.get(index * TAPS + tap, g)
        return Num(self.f, number.parts[:1]) if self.real else number

    def run(self, x: Tile, tile: Tile, steps: Int) -> None:
        """Run all sections over `steps` rows, from `x` to `tile` and on in place."""
        f, count = self.f, self.count
        with f.choice(count.equals(1)) as (one, more):
            with one:
                self._pass(f.int(0), x, [tile], steps)
            with more:
                self._pass(f.int(0), x, [None, tile], steps)
                whole = count & -2
                with f.loop(2, whole, 2) as index:
                    self._pass(index, tile, [None, tile], steps)
                with f.when(whole < count):
                    self._pass(whole, tile, [tile], steps)

    def _pass(self, first: Int, x: Tile, targets: Sequence[Tile | None], steps: Int) -> None:
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
                    value, after = section(taps[k][g], value, [slot.get() for slot in slots[k][g]])
                    for slot, number in zip(slots[k][g], after, strict=True):
                        slot.set(number)
                    if target is not None:
                        target.put(at, g, value)
                    if last:
                        end = indices[k] * ORDER
                        self.ends.put(end, g, self.ends.get(end + 1, g))
                        self.ends.put(end + 1, g, value)

        # every tile ends as if it were the last, and leaves the last two outputs
        most = f.maximum(steps - ORDER, 0)
        with f.loop(0, most) as at:
            row(at, last=False)
        with f.loop(most, steps) as at:
            row(at, last=True)
        for k, index in enumerate(indices):
            for g in vectors:
                for i, slot in enumerate(slots[k][g]):
                    self.memory.put(index * ORDER + i, g, slot.get())
