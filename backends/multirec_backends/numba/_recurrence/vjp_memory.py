"""The gradient kernel with history in tiles, for any orders."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .._code.emit import Int
from .._code.frame import Group, RecurrenceFrame
from .._code.numbers import Num, Slot, Tile, zero
from .._code.shared import store_grad_x
from .._code.stream import fence
from .._code.sums import Sums
from .adjoint import Adjoint
from .spec import TILE, UNROLL
from .taps import Coefficients


class Pair(NamedTuple):
    """A signal that meets λ of `lag` samples later and more, and where the products go, tap by tap.

    `depth` counts its samples before the first one.
    """

    name: str
    varies: bool
    signal: Tile
    sums: Sums
    out: Tile
    taps: Int
    depth: Int
    lag: int


class Memory(Adjoint):
    """Any order, any coefficients: λ lives in a tile with room before it (what it sends) and after it (what was)."""

    def __init__(self, frame: RecurrenceFrame, group: Group) -> None:
        super().__init__(frame, group)
        self.all_lam, self.all_gx = frame.tile("lam"), frame.tile("gx")
        self.lam, self.gx = self.all_lam.shifted(self.history), self.all_gx.shifted(self.q)
        self.out_b, self.out_a = frame.tile("out_b"), frame.tile("out_a")

    def start(self) -> None:
        super().start()
        self.all_lam.clear(self.history * 2 + TILE)
        self.all_gx.clear(self.q + TILE)

    def _tile(self, time: Int, steps: Int, rows: Int) -> None:
        self.step_down(self.f.int(0), steps)
        self._correlate(time, steps, rows)
        self.store(time, steps)

    def step_down(self, first: Int, end: Int) -> None:
        """Find λ of rows from `end` down to `first`, and send it to what comes before."""
        f, spec = self.f, self.spec
        with f.loop(first, end) as done:
            row = end - 1 - (done - first)
            for g in self.vectors:
                lam = self.lam.get(row, g) + self.grad.get(row, g)
                self.lam.put(row, g, lam)
                if spec.feedback is not None:
                    self._send(self.lam, self.a, self.p, 1, row, g, lam)
                if spec.feedforward is None:
                    self.gx.put(row, g, lam)
                elif spec.grad_x or spec.grad_inputs:
                    self._send(self.gx, self.b, self.q + 1, 0, row, g, lam)

    def store(self, time: Int, steps: Int) -> None:
        """Store the gradient of x, and make room for the tile before."""
        if self.spec.grad_x:
            store_grad_x(self.frame, self.group, self.gx, time, steps)
        self.all_lam.move(TILE, 0, self.history * 2)
        self.all_lam.clear(TILE)
        self.all_gx.move(TILE, 0, self.q)
        self.all_gx.clear(TILE)

    def _send(self, target: Tile, taps: Coefficients, count: Int, lag: int, row: Int, g: int, lam: Num) -> None:
        """Add conj(taps[k])·λ to the sample k + lag before."""
        with self.f.loop(0, count) as k:
            place = row - lag - k
            target.put(place, g, target.get(place, g).plus(taps.conj(k, row, g), lam))

    def _correlate(self, time: Int, steps: Int, rows: Int) -> None:
        """Take the products of λ with the signals; `time` is that of row 0, and may be before the block."""
        for pair in self.pairs(self.x, self.y):
            if pair.varies:
                self.write_products(pair, time, steps, self.f.int(0), self.frame.length)
            else:
                self.add_products(pair, rows)

    def pairs(self, x: Tile, y: Tile) -> list[Pair]:
        """Return the signals that meet λ, those whose coefficients need a gradient."""
        spec = self.spec
        b = Pair("feedforward", spec.feedforward_varies, x, self.sums_b, self.out_b, self.q + 1, self.q, 0)
        a = Pair("feedback", spec.feedback_varies, y, self.sums_a, self.out_a, self.p, self.p, 1)
        return [pair for wanted, pair in ((self.wants_b, b), (self.wants_a, a)) if wanted]

    def add_products(self, pair: Pair, rows: Int) -> None:
        """Add the products of λ and the signal to the sums."""
        f, fmt = self.f, self.fmt
        with f.loop(0, pair.taps) as tap:
            for g in self.vectors:
                totals = [Slot(f, fmt, zero(f, fmt)) for _ in range(UNROLL)]

                def add(row: Int, total: Slot, tap: Int = tap, g: int = g) -> None:
                    lam = self.lam.get(row + tap + pair.lag, g)
                    total.set(total.get().plus(lam, pair.signal.get(row, g).conj()))

                self.each(rows, totals, add)
                one, two, three, four = (total.get() for total in totals)
                pair.sums.add(tap, g, (one + two) + (three + four))

    def each(self, rows: Int, totals: list[Slot], add: Callable[[Int, Slot], None]) -> None:
        """Go through rows, whose number is a multiple of that of the sums."""
        with self.f.loop(0, rows, UNROLL) as row:
            for u, total in enumerate(totals):
                add(row + u, total)

    def write_products(self, pair: Pair, time: Int, steps: Int, begin: Int, stop: Int) -> None:
        """Store the products of λ and the signal that belong to a sample from `begin` to below `stop`."""
        f = self.f
        with f.loop(0, pair.taps) as tap:
            late = tap + pair.lag
            first = f.maximum(begin - time - late, 0)
            end = f.minimum(steps, stop - time - late)
            with f.loop(first, end) as row:
                for g in self.vectors:
                    pair.out.put(row, g, self.lam.get(row + late, g) * pair.signal.get(row, g).conj())
            with f.when(end > first):
                self.store_products(pair, pair.out.shifted(first), time + late + first, end - first, tap)

    def store_products(self, pair: Pair, rows: Tile, time: Int, steps: Int, tap: Int) -> None:
        """Store rows as the gradient of a tap from `time` on."""
        offsets = self.frame.region("offsets_grad_b" if pair.name == "feedforward" else "offsets_grad_a")
        self.group.store(rows, f"grad_{pair.name}", self.spec.compute, offsets, time, steps, tap=tap)

    def finish(self) -> None:
        fence(self.f)
        self.load_past(self.x, self.y)
        # the pending rows are the gradient of the samples before the block
        self.store_past(self.gx.shifted(TILE - self.q), self.lam.shifted(TILE - self.p))
        # λ of time 0 is now in row TILE
        self.finish_products(self.x, self.y, self.f.int(TILE), self.f.int(0), self.frame.length)
        self.write()

    def write(self) -> None:
        """Write the sums."""
        if self.wants_b and not self.spec.feedforward_varies:
            self.sums_b.write(self.group, "grad_feedforward")
        if self.wants_a and not self.spec.feedback_varies:
            self.sums_a.write(self.group, "grad_feedback")

    def finish_products(self, x: Tile, y: Tile, row: Int, time: Int, stop: Int) -> None:
        """Products with the samples before `time`, whose λ is in a row."""
        for pair in self.pairs(x, y):
            # row i of the past is time i - depth
            lam = self.lam
            self.lam = lam.shifted(row - pair.depth)
            if pair.varies:
                self.write_products(pair, time - pair.depth, pair.depth, time, stop)
            else:
                self._add_past(pair)
            self.lam = lam

    def _add_past(self, pair: Pair) -> None:
        f, fmt, depth, lag = self.f, self.fmt, pair.depth, pair.lag
        with f.loop(0, pair.taps) as tap:
            for g in self.vectors:
                total = Slot(f, fmt, zero(f, fmt))
                with f.loop(depth - tap - lag, depth) as row:
                    lam = self.lam.get(row + tap + lag, g)
                    total.set(total.get().plus(lam, pair.signal.get(row, g).conj()))
                pair.sums.add(tap, g, total.get())
