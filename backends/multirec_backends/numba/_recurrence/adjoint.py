"""The adjoint recurrence and its correlations in one backward walk over the tiles.

    λ[t]  = grad_y[t] + Σ_k conj(feedback[k])·λ[t+k]          grad_x[t] = Σ_j conj(feedforward[j])·λ[t+j]
    grad_feedforward[j] = Σ_t λ[t+j]·conj(x[t])                grad_feedback[k] = Σ_t λ[t+k]·conj(y[t])

Only λ of a tile and of the few samples after it exists at any time. Sums are indexed by the time of x and y, so
that no sample is needed from before the tile; the samples before the block are one more step at the end.
Where coefficients change along time, those of time t go with λ[t], and their gradient is not summed.
"""

from __future__ import annotations

from .._code.emit import Int
from .._code.frame import Group, RecurrenceFrame
from .._code.numbers import Tile
from .._code.sums import Sums
from .marks import Lanes
from .spec import TILE, UNROLL
from .taps import Coefficients


class Adjoint:
    """The walk over tiles, last first; what happens in a tile differs.

    The tiles of x and y have `room` rows before them, those of varying coefficients as many after them.
    """

    def __init__(self, frame: RecurrenceFrame, group: Group, room: int = 0) -> None:
        self.frame, self.group, self.f, self.spec, self.fmt = frame, group, frame.f, frame.spec, frame.fmt
        self.vectors = range(self.fmt.groups)
        self.p, self.q = frame.p, frame.q
        self.history = self.f.maximum(self.p, self.q)
        self.x, self.y, self.grad = frame.tile("x").shifted(room), frame.tile("y").shifted(room), frame.tile("g")
        self.last = frame.tile("last")
        self.b = Coefficients(frame, group, "feedforward", room)
        self.a = Coefficients(frame, group, "feedback", room)
        self.sums_b, self.sums_a = Sums(frame, "b", self.q + 1), Sums(frame, "a", self.p)
        self.wants_b = self.spec.grad_feedforward and self.spec.feedforward is not None
        self.wants_a = self.spec.grad_feedback and self.spec.feedback is not None

    def start(self) -> None:
        frame, group, f, spec = self.frame, self.group, self.f, self.spec
        places = [("x", "x", spec.x), ("y", "y", spec.y), ("g", "grad_y", spec.y)]
        if spec.grad_x and not spec.shared:
            places.append(("grad_x", "grad_x", spec.x))
        if self.wants_b and spec.feedforward_varies:
            places.append(("grad_b", "grad_feedforward", spec.compute))
        if self.wants_a and spec.feedback_varies:
            places.append(("grad_a", "grad_feedback", spec.compute))
        for table, name, storage in places:
            group.offsets(f"offsets_{table}", name, storage)
        self.b.start()
        self.a.start()
        self.sums_b.start()
        self.sums_a.start()
        with f.when(frame.word("last_steps") > 0):
            offsets = group.offsets("offsets_any", "grad_last", spec.compute)
            group.load(self.last, "grad_last", spec.compute, offsets, 0, frame.word("last_steps"))

    def tile(self, time: Int, steps: Int) -> None:
        frame, group, f, spec = self.frame, self.group, self.f, self.spec
        rows = (steps + (UNROLL - 1)) & -UNROLL
        with f.when(steps < TILE):
            for tile in (self.x, self.y, self.grad):
                tile.clear(rows)
        group.load(self.grad, "grad_y", spec.y, frame.region("offsets_g"), time, steps, ahead=-TILE)
        if self.wants_b:
            group.load_x(self.x, "x", frame.region("offsets_x"), time, steps, ahead=-TILE)
        if self.wants_a:
            group.load(self.y, "y", spec.y, frame.region("offsets_y"), time, steps, ahead=-TILE)
        for taps in (self.b, self.a):
            taps.load(time, steps, ahead=-TILE)
        self._add_last(time, steps)
        self._tile(time, steps, rows)

    def finish(self) -> None:
        raise NotImplementedError

    def _add_last(self, time: Int, steps: Int) -> None:
        """Add the further gradient of the last samples to the gradient of y."""
        f, count = self.f, self.frame.word("last_steps")
        first = self.frame.length - count
        with f.loop(f.maximum(first - time, 0), f.select(count > 0, steps, 0)) as row:
            for g in self.vectors:
                self.grad.put(row, g, self.grad.get(row, g) + self.last.get(time + row - first, g))

    def load_past(self, x: Tile | None, y: Tile | None) -> None:
        """Fill rows with the samples before the block."""
        frame, group, f, spec = self.frame, self.group, self.f, self.spec
        if x is not None:
            x.clear(self.q)
            with f.when(frame.word("inputs_at").differs(0)):
                group.load_x(x, "inputs", group.offsets("offsets_any", "inputs", spec.x), 0, self.q)
        if y is not None:
            y.clear(self.p)
            with f.when(frame.word("outputs_at").differs(0)):
                group.load(y, "outputs", spec.compute, group.offsets("offsets_any", "outputs", spec.compute), 0, self.p)

    def store_past(self, x: Tile, y: Tile) -> None:
        """Store the gradients of the samples before the block, if they are wanted."""
        spec, frame, group = self.spec, self.frame, self.group
        for tile, name, storage, steps in (
            (x, "grad_inputs", spec.compute_x, self.q),
            (y, "grad_outputs", spec.compute, self.p),
        ):
            with self.f.when(frame.word(f"{name}_at").differs(0)):
                group.store(tile, name, storage, group.offsets("offsets_any", name, storage), 0, steps)

    def blank(self, lanes: Lanes, first: Int, rows: Int) -> None:
        """Have rows of a tile hold zeros in some lanes, whatever is in memory."""
        lanes.assign(self.grad.shifted(first), None, rows)
        if self.wants_b:
            lanes.assign(self.x.shifted(first), None, rows)
        if self.wants_a:
            lanes.assign(self.y.shifted(first), None, rows)
        for taps in (self.b, self.a):
            taps.blank(lanes, first, rows)

    def _tile(self, time: Int, steps: Int, rows: Int) -> None:
        raise NotImplementedError
