"""The forward kernel: y = Σ feedforward·x + Σ feedback·y, tile by tile.

A tile of y is its own history: its last rows move in front of the next tile. Orders that are known when the
kernel is generated keep their history in registers; others go through the tile in the first-level cache, four
samples at a time, so that a coefficient is fetched once for four multiply-adds.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from .._code.emit import Int
from .._code.frame import Group, RecurrenceFrame
from .._code.numbers import Num, Slot, Tile
from .._code.stream import fence
from .spec import TILE, UNROLL, Spec
from .taps import Coefficients

Source = Callable[[Int, int], Num]
"""A number for a (row, vector)."""


def emit(module: ir.Module, name: str, spec: Spec) -> None:
    """Add the forward kernel of `spec` to `module`."""
    frame = RecurrenceFrame(module, name, spec)
    frame.walk(Forward, backward=False)


class Forward:
    """One group of lanes on its way through time."""

    def __init__(self, frame: RecurrenceFrame, group: Group) -> None:
        self.frame, self.group, self.f, self.spec = frame, group, frame.f, frame.spec
        self.vectors = range(frame.fmt.groups)
        self.depth = self.f.maximum(frame.p, UNROLL) if self.spec.order is None else frame.p
        self.x, self.y = frame.tile("x"), frame.tile("y")
        self.past_x, self.past_y = frame.tile("past_x"), frame.tile("past_y")
        self.b, self.a = Coefficients(frame, group, "feedforward"), Coefficients(frame, group, "feedback")

    def start(self) -> None:
        frame, group, f, spec = self.frame, self.group, self.f, self.spec
        group.offsets("offsets_x", "x", spec.x)
        group.offsets("offsets_y", "y", spec.y)
        self.b.start()
        self.a.start()
        self.past_x.clear(frame.q)
        self.past_y.clear(self.depth)
        with f.when(frame.word("inputs_at").differs(0)):
            offsets = group.offsets("offsets_any", "inputs", spec.x)
            group.load_x(self.past_x, "inputs", offsets, 0, frame.q)
        with f.when(frame.word("outputs_at").differs(0)):
            offsets = group.offsets("offsets_any", "outputs", spec.compute)
            group.load(self.past_y.shifted(self.depth - frame.p), "outputs", spec.compute, offsets, 0, frame.p)

    def tile(self, time: Int, steps: Int) -> None:
        frame, group, spec = self.frame, self.group, self.spec
        self.x.take(self.past_x, frame.q)
        self.y.take(self.past_y, self.depth)
        group.load_x(self.x.shifted(frame.q), "x", frame.region("offsets_x"), time, steps, ahead=TILE)
        for taps in (self.b, self.a):
            taps.load(time, steps, ahead=TILE)
        self.compute((steps + (UNROLL - 1)) & -UNROLL)
        with self.f.when(frame.word("y_at").differs(0)):
            offsets, carry = frame.region("offsets_y"), frame.region("carry")
            group.stream(self.y.shifted(self.depth), "y", spec.y, offsets, carry, time, steps)
        self.past_x.take(self.x.shifted(steps), frame.q)
        self.past_y.take(self.y.shifted(steps), self.depth)

    def finish(self) -> None:
        """Hand out the last outputs, where they are asked for: what starts the next block, or the next segment."""
        frame, group, storage = self.frame, self.group, self.spec.compute
        fence(self.f)
        with self.f.when(frame.word("ends_at").differs(0)):
            offsets = group.offsets("offsets_any", "ends", storage)
            group.store(self.past_y.shifted(self.depth - frame.p), "ends", storage, offsets, 0, frame.p)

    def compute(self, rows: Int) -> None:
        """Compute `rows` rows of y from the rows of x."""
        source = self._feedforward(rows)
        if self.spec.order is not None:
            self._known_feedback(rows, source)
            return
        out = self.y.shifted(self.depth)
        if self.spec.feedforward is None or self.spec.input_order is not None:
            with self.f.loop(0, rows) as row:
                for g in self.vectors:
                    out.put(row, g, source(row, g))
        (self._varying_feedback if self.spec.feedback_varies else self._blocked_feedback)(rows)

    def _feedforward(self, rows: Int) -> Source:
        """Return where the feedforward part of a row comes from; long filters fill the rows of y first."""
        frame, f, x, out = self.frame, self.f, self.x, self.y.shifted(self.depth)
        order = self.spec.input_order
        if self.spec.feedforward is None:
            return lambda row, g: x.get(row, g)
        if order is not None:

            def taps(row: Int, g: int) -> Num:
                total = self.b.get(0, row, g) * x.get(row + order, g)
                for j in range(1, order + 1):
                    total = total.plus(self.b.get(j, row, g), x.get(row + (order - j), g))
                return total

            return taps
        with f.loop(0, rows, UNROLL) as row:
            for g in self.vectors:
                sums = []
                for u in range(UNROLL):
                    first = self.b.get(f.int(0), row + u, g) * x.get(row + u + frame.q, g)
                    sums.append(Slot(f, frame.fmt, first))
                with f.loop(1, frame.q + 1) as j:
                    for u, total in enumerate(sums):
                        coefficient = self.b.get(j, row + u, g)
                        total.set(total.get().plus(coefficient, x.get(row + u + frame.q - j, g)))
                for u, total in enumerate(sums):
                    out.put(row + u, g, total.get())
        return lambda row, g: out.get(row, g)

    def _known_feedback(self, rows: Int, source: Source) -> None:
        f, fmt, out, order = self.f, self.frame.fmt, self.y.shifted(self.depth), self.spec.order
        assert order is not None
        history = self.history()
        past = [[Slot(f, fmt, history.get(order - 1 - k, g)) for g in self.vectors] for k in range(order)]

        def step(row: Int) -> None:
            for g in self.vectors:
                total = source(row, g)
                for k in reversed(range(order)):
                    total = total.plus(self.a.get(k, row, g), past[k][g].get())
                for k in reversed(range(1, order)):
                    past[k][g].set(past[k - 1][g].get())
                if order:
                    past[0][g].set(total)
                out.put(row, g, total)

        self.each(rows, step)
        for k in range(order):
            for g in self.vectors:
                self.keep(order - 1 - k, g, past[k][g].get())

    def history(self) -> Tile:
        """Return where the rows before the first are."""
        return self.y

    def keep(self, row: int, group: int, number: Num) -> None:
        """Take notice of one of the last outputs; they are in the tile as well."""

    def each(self, rows: Int, step: Callable[[Int], None]) -> None:
        """Take a step for each row; their number is a multiple."""
        with self.f.loop(0, rows, UNROLL) as row:
            for u in range(UNROLL):
                step(row + u)

    def _varying_feedback(self, rows: Int) -> None:
        f, frame, out = self.f, self.frame, self.y.shifted(self.depth)
        with f.loop(0, rows) as row:
            for g in self.vectors:
                total = Slot(f, frame.fmt, out.get(row, g))
                with f.loop(0, frame.p) as k:
                    # the newest output comes last: only it is waited for
                    tap = frame.p - 1 - k
                    total.set(total.get().plus(self.a.get(tap, row, g), out.get(row - 1 - tap, g)))
                out.put(row, g, total.get())

    def _blocked_feedback(self, rows: Int) -> None:
        """Four rows at once: first what earlier rows give to all four, then among themselves."""
        f, frame, out = self.f, self.frame, self.y.shifted(self.depth)
        with f.loop(0, rows, UNROLL) as row:
            for g in self.vectors:
                sums = [Slot(f, frame.fmt, out.get(row + u, g)) for u in range(UNROLL)]
                with f.loop(UNROLL - 1, frame.p) as k:
                    coefficient = self.a.get(k, row, g)
                    for u, total in enumerate(sums):
                        total.set(total.get().plus(coefficient, out.get(row + (u - 1) - k, g)))
                near = [self.a.get(f.int(k), row, g) for k in range(UNROLL - 1)]
                known = [out.get(row - (1 + k), g) for k in range(UNROLL - 1)]
                for u, total in enumerate(sums):
                    value = total.get()
                    for lag in reversed(range(UNROLL - 1)):
                        value = value.plus(near[lag], known[lag])
                    known.insert(0, value)
                    out.put(row + u, g, value)
