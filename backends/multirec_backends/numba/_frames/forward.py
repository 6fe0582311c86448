"""The forward kernel of frames: lanes are the samples that are next.

A piece begins with what the outputs before it give to its first samples, each by its own coefficients; after that a
sample's coefficients lie on a diagonal of frames, which within a frame is a line, too.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .._code.emit import Int, Ptr
from .rows import FramesFrame, Piece, Row, Rows, Vectors
from .spec import FramesSpec


def emit(module: ir.Module, name: str, spec: FramesSpec) -> None:
    """Add the forward kernel of `spec` to `module`."""
    frame = FramesFrame(module, name, spec)
    with frame.items() as item:
        rows = Rows(frame, item)
        for row in rows.rows:
            _begin(row)
        with frame.f.loop(0, rows.count) as index, rows.pieces(index) as piece:
            _run(rows, piece)
        for row in rows.rows:
            _finish(row)


def _begin(row: Row) -> None:
    """Put the outputs before the block where the last outputs are kept."""
    f, math, spec = row.f, row.math, row.spec
    f.zero(row.past, spec.lanes * math.bytes)
    with f.when(row.frame.word("outputs_at").differs(0)):
        _exchange(row, "outputs", load=True)


def _finish(row: Row) -> None:
    _exchange(row, "ends", load=False)


def _exchange(row: Row, name: str, *, load: bool) -> None:
    stride, source = row.frame.word(f"{name}_order"), row.place(name)
    own = row.past + (row.f.int(row.spec.lanes) - row.rows.order) * row.math.bytes
    with row.f.loop(0, row.rows.order) as k:
        inside, outside = own + k * row.math.bytes, source + k * stride
        one, other = (outside, inside) if load else (inside, outside)
        other.store(one.load(row.math.real))


def _run(rows: Rows, piece: Piece) -> None:
    f = rows.f
    runs = []
    for row in rows.rows:
        row.load_frame(piece.frame)
        runs.append(_Run(row, piece))
    with f.loop(0, piece.steps) as at:
        inside = piece.inside + at
        # lane i is for a sample that comes i + 1 after this one
        weight, weights = rows.weight(inside), rows.weights(inside + 1)
        for run in runs:
            run.step(at, weight, weights)
    for run in runs:
        run.finish()


class _Run:
    """The steps of one row in a piece; what changes is in registers."""

    def __init__(self, row: Row, piece: Piece) -> None:
        self.row, self.f, self.math, self.piece = row, row.f, row.math, piece
        spec, math = row.spec, row.math
        self.now = row.past + spec.lanes * math.bytes
        self.x, self.y = (row.samples(name, piece.start) for name in ("x", "y"))
        self.lanes = math.slots(self._from_before())
        self.last = math.slots([(self.now + -math.bytes).load(math.real)])[0]
        self.values, self.slopes = row.tables(2)
        self.first, self.first_slope = ((table + math.bytes).load(math.real) for table in (row.values, row.slopes))
        self.gain = row.gain(piece.frame) if spec.gain else None

    def _from_before(self) -> Vectors:
        """Return what outputs before the piece, but for the last, give to its first samples."""
        f, math, row = self.f, self.math, self.row
        sums = [math.slots(math.zeros) for _ in range(2 if row.spec.linear else 1)]
        with f.loop(2, row.rows.order + 1) as back:
            output = math.splat((self.now + (0 - back * math.bytes)).load(math.real))
            for slots, taps in zip(sums, row.tables(back), strict=False):
                math.put(slots, [math.fma(tap, output, own) for tap, own in zip(taps, math.get(slots), strict=True)])
        values, slopes = math.get(sums[0]), math.get(sums[-1])
        return row.all_between(values, slopes, row.rows.weights(self.piece.inside))

    def step(self, at: Int, weight: Any, weights: Vectors) -> None:
        f, math, row, spec = self.f, self.math, self.row, self.row.spec
        lanes, last = math.get(self.lanes), self.last.load(math.real)
        x = row.read(sample_at(self.x, at), spec.x)
        if self.gain is None:
            own = f.b.fadd(x, math.first(lanes))
        else:
            own = math.fma(row.between(*self.gain, weight), x, math.first(lanes))
        y = math.fma(row.between(self.first, self.first_slope, weight), last, own)
        taps, outputs = row.all_between(self.values, self.slopes, weights), math.splat(last)
        moved = math.moved_on(lanes)
        math.put(self.lanes, [math.fma(tap, outputs, lane) for tap, lane in zip(taps, moved, strict=True)])
        self.last.store(y)
        (self.now + at * math.bytes).store(y)
        row.write(sample_at(self.y, at), y, spec.x)

    def finish(self) -> None:
        """Keep the last outputs."""
        row = self.row
        self.f.copy(row.past, row.past + self.piece.steps * row.math.bytes, row.spec.lanes * row.math.bytes)


def sample_at(samples: tuple[Ptr, Int], at: Int) -> Ptr:
    """Return where a sample of a signal is."""
    place, stride = samples
    return place + at * stride
