"""The gradient kernel of frames: back through time, where lanes are the samples before.

A sample's gradient goes to the samples that it looked back at by the coefficients of its own time. Products of it with
those samples are summed for its frame and, by its weight, for the next; what belongs to a frame is written once.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .._code.emit import DOUBLE, Int, Ptr
from .forward import sample_at
from .rows import FramesFrame, Piece, Row, Rows, Vectors
from .spec import FramesSpec


def emit(module: ir.Module, name: str, spec: FramesSpec) -> None:
    """Add the gradient kernel of `spec` to `module`."""
    frame = FramesFrame(module, name, spec)
    f = frame.f
    with frame.items() as item:
        rows = Rows(frame, item)
        backs = [_Back(row, at) for at, row in enumerate(rows.rows)]
        with f.loop(0, rows.count) as done:
            index = rows.count - 1 - done
            with rows.pieces(index, backward=True) as piece:
                _run(rows, backs, piece)
            for back in backs:
                back.sums.end_frame(index)
        for back in backs:
            back.finish()


def _run(rows: Rows, backs: list[_Back], piece: Piece) -> None:
    f, math = rows.f, rows.math
    runs = []
    for back in backs:
        back.row.load_frame(piece.frame)
        runs.append(_Run(back, piece))
    with f.loop(0, piece.steps) as done:
        at = piece.steps - 1 - done
        inside = piece.inside + at
        weight, later = rows.weight(inside), rows.weight(inside + 1)
        laters = [math.splat(later)] * rows.spec.vectors
        for run in runs:
            run.step(at, weight, later, laters)
    for run in runs:
        run.finish()


class _Sums:
    """What samples have added to the gradients of a row's coefficients."""

    def __init__(self, row: Row, at: int) -> None:
        self.row, self.f, self.spec = row, row.f, row.spec
        self.own, self.after, self.left = (
            row.frame.region(name) + at * self.spec.sums_bytes for name in ("sums", "sums_after", "left")
        )
        for region in (self.own, self.after, self.left):
            self.f.zero(region, self.spec.sums_bytes)

    def add(self, region: Ptr, value: Any) -> None:
        """Add a vector of lanes, or a number, to double-precision sums."""
        b, count = self.f.b, getattr(value.type, "count", 0)
        kind = ir.VectorType(DOUBLE, count) if count else DOUBLE
        wide = value if value.type == kind else b.fpext(value, kind)
        region.store(b.fadd(region.load(kind), wide))

    def end_frame(self, frame: Int) -> None:
        """Write the gradient of the frame after one whose samples are done, and keep what is left for its own."""
        f, spec, b = self.f, self.spec, self.f.b
        goes_on = (frame + 1).differs(self.row.frame.word("frames"))
        for name, first, count in self._parts():
            with f.loop(0, count) as k:
                at = (k + first) * 8
                own, after, left = ((region + at).load(DOUBLE) for region in (self.own, self.after, self.left))
                with f.when(goes_on):
                    self._target(name, frame + 1, k, count).store(b.fadd(left, after))
                lent = b.select(goes_on.v, after, ir.Constant(DOUBLE, 0.0))
                (self.left + at).store(b.fsub(own, lent))
        for region in (self.own, self.after):
            f.zero(region, spec.sums_bytes)

    def finish(self) -> None:
        """Write the gradient of the first frame."""
        for name, first, count in self._parts():
            with self.f.loop(0, count) as k:
                left = (self.left + (k + first) * 8).load(DOUBLE)
                self._target(name, self.f.int(0), k, count).store(left)

    def _parts(self) -> list[tuple[str, Int, Int]]:
        """Return the coefficients whose gradient is wanted, where their sums begin, and how many they are."""
        f, order, lanes, parts = self.f, self.row.rows.order, self.spec.lanes, []
        if self.spec.grad_feedback:
            parts.append(("to_feedback", f.int(lanes) - order, order))
        if self.spec.grad_gain:
            parts.append(("to_gain", f.int(lanes), f.int(1)))
        return parts

    def _target(self, name: str, frame: Int, k: Int, count: Int) -> Ptr:
        # sums are in the order of time, so that the coefficient that looks back furthest is the first
        word = self.row.frame.word
        return self.row.place(name) + frame * word(f"{name}_frame") + (count - 1 - k) * word(f"{name}_tap")


class _Back:
    """One row on its way back: what the samples before a piece get from those after its start."""

    def __init__(self, row: Row, at: int) -> None:
        self.row, self.f, self.math = row, row.f, row.math
        self.sums = _Sums(row, at)
        # in the memory of a vector more than there are taps, in the order of looking back
        self.given = row.past
        f, order = self.f, row.rows.order
        f.zero(self.given, row.spec.lanes * self.math.bytes)
        with f.when(row.frame.word("grad_ends_at").differs(0)), f.loop(0, order) as k:
            source = row.place("grad_ends") + (order - 1 - k) * row.frame.word("grad_ends_order")
            (self.given + k * self.math.bytes).store(source.load(self.math.real))
        self.lanes = self.math.slots(self.math.load(self.given))

    def finish(self) -> None:
        row, math, f = self.row, self.math, self.f
        self.sums.finish()
        for v, lane in zip(math.vectors, math.get(self.lanes), strict=True):
            (self.given + v * math.fmt.vector_bytes).store(lane)
        order = row.rows.order
        with f.when(row.frame.word("to_outputs_at").differs(0)), f.loop(0, order) as k:
            target = row.place("to_outputs") + (order - 1 - k) * row.frame.word("to_outputs_order")
            target.store((self.given + k * math.bytes).load(math.real))


class _Run:
    """The steps of one row in a piece; what changes is in registers."""

    def __init__(self, back: _Back, piece: Piece) -> None:
        self.back, self.row, self.f, self.math, self.piece = back, back.row, back.f, back.math, piece
        row, math, spec = self.row, self.math, self.row.spec
        self.now = row.past + spec.lanes * math.bytes
        if spec.grad_feedback:
            self._load_outputs()
        self.grad_y = row.samples("grad_y", piece.start)
        self.grad_x = row.samples("grad_x", piece.start) if spec.grad_x else None
        self.x = row.samples("x", piece.start) if spec.grad_gain else None
        self.values, self.slopes = row.tables(2)
        self.first, self.first_slope = ((table + math.bytes).load(math.real) for table in (row.values, row.slopes))
        self.gain = row.gain(piece.frame) if spec.gain else None
        # nothing looks back from beyond the piece that is not in the lanes already
        self.last = math.slots([math.zero])[0]
        self.products, self.weighted = (math.slots(math.zeros if spec.grad_feedback else []) for _ in range(2))
        self.gains = math.slots([math.zero] * 2 if spec.grad_gain else [])

    def _load_outputs(self) -> None:
        """Put the outputs of the piece, and those before it, side by side."""
        f, math, row, start = self.f, self.math, self.row, self.piece.start
        lanes = row.spec.lanes
        f.zero(row.past, lanes * math.bytes)
        place, stride = row.samples("y", f.int(0))
        with f.loop(f.maximum(start - lanes, 0), start + self.piece.steps) as at:
            y = row.read(place + at * stride, row.spec.x)
            (self.now + (at - start) * math.bytes).store(y)
        with f.when(row.frame.word("outputs_at").differs(0)):
            order, step = row.rows.order, row.frame.word("outputs_order")
            source = row.place("outputs")
            with f.loop(1, f.minimum(order, f.int(lanes) - start) + 1) as before:
                output = (source + (order - before) * step).load(math.real)
                (self.now + (0 - (start + before) * math.bytes)).store(output)

    def step(self, at: Int, weight: Any, later: Any, laters: Vectors) -> None:
        f, math, row, spec = self.f, self.math, self.row, self.row.spec
        lanes, last = math.get(self.back.lanes), self.last.load(math.real)
        given = f.b.fadd(row.read(sample_at(self.grad_y, at), spec.x), math.first(lanes))
        grad = math.fma(row.between(self.first, self.first_slope, later), last, given)
        taps, lasts = row.all_between(self.values, self.slopes, laters), math.splat(last)
        moved = math.moved_on(lanes)
        math.put(self.back.lanes, [math.fma(tap, lasts, lane) for tap, lane in zip(taps, moved, strict=True)])
        self.last.store(grad)
        if self.grad_x is not None:
            gain = None if self.gain is None else row.between(*self.gain, weight)
            row.write(sample_at(self.grad_x, at), grad if gain is None else f.b.fmul(gain, grad), spec.grad_x)
        weighted = f.b.fmul(weight, grad)
        for slots, own in ((self.products, grad), (self.weighted, weighted)):
            if slots:
                outputs = math.load(self.now + (at - spec.lanes) * math.bytes)
                all_own = math.splat(own)
                math.put(slots, [math.fma(all_own, y, sum_) for y, sum_ in zip(outputs, math.get(slots), strict=True)])
        if self.x is not None:
            x = row.read(sample_at(self.x, at), spec.x)
            for slot, own in zip(self.gains, (grad, weighted), strict=True):
                slot.store(math.fma(own, x, slot.load(math.real)))

    def finish(self) -> None:
        """Add what the first sample of the piece gives to those before it, and add up products."""
        math, row, sums, spec = self.math, self.row, self.back.sums, self.row.spec
        values, slopes = row.tables(1)
        start = [math.splat(row.rows.weight(self.piece.inside))] * spec.vectors
        last = math.splat(self.last.load(math.real))
        taps = row.all_between(values, slopes, start)
        lanes = math.get(self.back.lanes)
        math.put(self.back.lanes, [math.fma(tap, last, lane) for tap, lane in zip(taps, lanes, strict=True)])
        kinds = (sums.own, sums.after) if spec.linear else (sums.own,)
        for region, products in zip(kinds, (self.products, self.weighted), strict=False):
            for v, product in enumerate(math.get(products)):
                sums.add(region + v * 8 * math.fmt.width, product)
        for region, slot in zip(kinds, self.gains, strict=False):
            sums.add(region + 8 * spec.lanes, slot.load(math.real))
