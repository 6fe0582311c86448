"""Rows of samples whose coefficients come in frames: what the kernels of both directions share.

The lanes of a vector are the next samples of a row, or on the way back the samples before. Each sample, once it is
there, is multiplied by all its coefficients at once and added to what the lanes have of theirs so far; then the lanes
move on by one. Only the product with the last sample is taken apart, so that a sample waits for one multiply-add.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from .._code.emit import DOUBLE, I32, Function, Int, Ptr
from .._code.frame import Frame
from .._code.memory import STORAGES, shuffle
from .spec import PIECE, FramesSpec

Vectors = list[Any]
"""A row's lanes, as so many vectors."""
Body = Callable[["Piece"], None]


class FramesFrame(Frame):
    """The frame of a recurrence whose coefficients come in frames."""

    spec: FramesSpec


class Piece:
    """A stretch of samples within one frame."""

    def __init__(self, frame: Int, start: Int, steps: Int, inside: Int) -> None:
        self.frame, self.start, self.steps, self.inside = frame, start, steps, inside


class Arithmetic:
    """Numbers and rows of lanes of a kernel."""

    def __init__(self, f: Function, spec: FramesSpec) -> None:
        self.f, self.fmt, self.vectors = f, spec.format, range(spec.vectors)
        self.real, self.bytes = spec.format.real, spec.format.real_bytes
        self.zero = ir.Constant(self.real, 0.0)
        self.zeros = [ir.Constant(spec.format.vector, None) for _ in self.vectors]

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """Return a·b + c, of numbers or of vectors."""
        kind = "f64" if self.real == DOUBLE else "f32"
        kind = f"v{a.type.count}{kind}" if isinstance(a.type, ir.VectorType) else kind
        return self.f.intrinsic(f"llvm.fmuladd.{kind}", a.type, [a, b, c])

    def splat(self, number: Any) -> Any:
        b, nothing = self.f.b, ir.Constant(self.fmt.vector, ir.Undefined)
        return shuffle(self.f, b.insert_element(nothing, number, ir.Constant(I32, 0)), nothing, [0] * self.fmt.width)

    def first(self, lanes: Vectors) -> Any:
        return self.f.b.extract_element(lanes[0], ir.Constant(I32, 0))

    def moved_on(self, lanes: Vectors) -> Vectors:
        """Return lanes moved by one towards the first, which falls out."""
        order = range(1, self.fmt.width + 1)
        return [
            shuffle(self.f, own, after, order) for own, after in zip(lanes, [*lanes[1:], self.zeros[0]], strict=True)
        ]

    def load(self, place: Ptr) -> Vectors:
        """Return as many numbers from a place on as there are lanes."""
        return [(place + v * self.fmt.vector_bytes).load(self.fmt.vector) for v in self.vectors]

    def number(self, whole: Int) -> Any:
        return self.f.b.sitofp(whole.v, self.real)

    def lane_numbers(self) -> Vectors:
        """Return the number of every lane."""
        width = self.fmt.width
        return [ir.Constant(self.fmt.vector, [float(v * width + i) for i in range(width)]) for v in self.vectors]

    def slots(self, values: Sequence[Any]) -> list[Ptr]:
        """Return variables in registers that begin with values."""
        made = [self.f.variable(value.type) for value in values]
        self.put(made, values)
        return made

    def get(self, slots: Sequence[Ptr]) -> Vectors:
        return [slot.load(self.fmt.vector) for slot in slots]

    def put(self, slots: Sequence[Ptr], values: Sequence[Any]) -> None:
        for slot, value in zip(slots, values, strict=True):
            slot.store(value)


class Row:
    """One row of an item: where its arrays are, and the coefficients of the current frame."""

    def __init__(self, rows: Rows, at: int, index: Int) -> None:
        self.rows, self.frame, self.f, self.math, self.spec = rows, rows.frame, rows.f, rows.math, rows.spec
        channels = self.frame.word("channels")
        self.example = index // channels
        self.channel = index - self.example * channels
        self.values, self.slopes = (
            self.frame.region(name) + at * self.spec.table_bytes for name in ("values", "slopes")
        )
        self.past = self.frame.region("past") + at * self.spec.past_bytes
        for table in (self.values, self.slopes):
            self.f.zero(table, self.spec.table_bytes)

    def place(self, name: str) -> Ptr:
        frame = self.frame
        strides = self.example * frame.word(f"{name}_batch") + self.channel * frame.word(f"{name}_channel")
        return frame.pointer(name) + strides

    def samples(self, name: str, start: Int) -> tuple[Ptr, Int]:
        """Return where a signal is at a time, and its stride."""
        stride = self.frame.word(f"{name}_time")
        return self.place(name) + start * stride, stride

    def read(self, place: Ptr, storage: str) -> Any:
        kind = STORAGES[storage]
        return kind.decode(self.f, place.load(kind.raw), self.math.real)

    def write(self, place: Ptr, value: Any, storage: str) -> None:
        place.store(STORAGES[storage].encode(self.f, value))

    def load_frame(self, frame: Int) -> None:
        """Read the coefficients of a frame, and by how much those of the next one differ."""
        f, math = self.f, self.math
        stride = self.frame.word("feedback_tap")
        own, step = self._frame_at("feedback", frame)
        with f.loop(0, self.rows.order) as k:
            value = (own + k * stride).load(math.real)
            at = (k + 1) * math.bytes
            (self.values + at).store(value)
            if self.spec.linear:
                (self.slopes + at).store(f.b.fsub((own + step + k * stride).load(math.real), value))

    def gain(self, frame: Int) -> tuple[Any, Any]:
        """Return the gain of a frame, and by how much the next one differs."""
        own, step = self._frame_at("gain", frame)
        value = own.load(self.math.real)
        return value, self.f.b.fsub((own + step).load(self.math.real), value)

    def _frame_at(self, name: str, frame: Int) -> tuple[Ptr, Int]:
        """Return where a frame is, and how far the next one is from there: nowhere else after the last."""
        stride = self.frame.word(f"{name}_frame")
        step = self.f.select((frame + 1) < self.frame.word("frames"), stride, 0)
        return self.place(name) + frame * stride, step

    def tables(self, taps: int | Int) -> tuple[Vectors, Vectors]:
        """Return coefficients, and their slopes, from the one that looks back by `taps` on, lane by lane."""
        at = self.f.int(taps) * self.math.bytes
        return self.math.load(self.values + at), self.math.load(self.slopes + at)

    def between(self, value: Any, slope: Any, weight: Any) -> Any:
        """Return what is so far on the way to the next frame."""
        return self.math.fma(slope, weight, value) if self.spec.linear else value

    def all_between(self, values: Vectors, slopes: Vectors, weights: Vectors) -> Vectors:
        return [self.between(*each) for each in zip(values, slopes, weights, strict=True)]


class Rows:
    """The rows of an item, which go through time together, since their frames begin together."""

    def __init__(self, frame: FramesFrame, item: Int) -> None:
        self.frame, self.f, self.spec = frame, frame.f, frame.spec
        self.math = Arithmetic(frame.f, frame.spec)
        self.order, self.hop, self.offset = (frame.word(name) for name in ("order", "hop", "offset"))
        last = frame.word("rows") - 1
        # where rows do not fill the last item, one is computed twice
        indices = [self.f.minimum(item * self.spec.side + at, last) for at in range(self.spec.side)]
        self.rows = [Row(self, at, index) for at, index in enumerate(indices)]
        self.step = self.f.b.fdiv(ir.Constant(self.math.real, 1.0), self.math.number(self.hop))

    def weight(self, inside: Int) -> Any:
        """Return how far a sample is on the way to the next frame."""
        return self.f.b.fmul(self.math.number(inside), self.step)

    def weights(self, inside: Int) -> Vectors:
        """Return how far samples are, one a lane, from a sample on."""
        math, b = self.math, self.f.b
        start, step = math.splat(math.number(inside)), math.splat(self.step)
        return [b.fmul(b.fadd(lane, start), step) for lane in math.lane_numbers()]

    @property
    def count(self) -> Int:
        """The number of frames that have samples."""
        return (self.offset + self.frame.length + (self.hop - 1)) // self.hop

    @contextmanager
    def pieces(self, frame: Int, *, backward: bool = False) -> Iterator[Piece]:
        """Go through the samples of a frame, a piece at a time."""
        f, zero = self.f, frame * self.hop - self.offset
        first, last = f.maximum(zero, 0), f.minimum(zero + self.hop, self.frame.length)
        count = (last - first + (PIECE - 1)) // PIECE
        with f.loop(0, count) as index:
            start = first + (count - 1 - index if backward else index) * PIECE
            yield Piece(frame, start, f.minimum(last - start, PIECE), start - zero)
