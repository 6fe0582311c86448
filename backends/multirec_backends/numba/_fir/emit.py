"""The kernel of long feedforward filters: vectors along time, out[i] = Σ_j taps[j]·window[i + count - 1 - j].

A block of a row is brought into scratch memory, real and imaginary parts apart, and goes back from there. In registers
are several vectors of outputs. A vector of the window serves several taps that are a vector's width apart: an output
needs it for one of them, its neighbour for the next. Each of these taps has a sum of its own, so that taps are added in
runs of neighbours, where what cancels in a signal does so at once. The order is the same wherever blocks begin.

A filter has its window behind the samples before the block. The gradient of its taps has λ for taps and x, backwards,
for window: its outputs are lags.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

from llvmlite import ir

from .._code.emit import DOUBLE, I64, PTR, Function, Int, Ptr
from .._code.frame import RecurrenceFrame
from .._code.memory import STORAGES
from .._code.numbers import Format, splat
from .._recurrence.spec import Spec
from .lines import Line, emit_load, emit_store

OUTPUTS, SUMS = 4, 16
"""Vectors of outputs that are computed together, and vectors of sums that registers of 64 bytes hold."""
PARTS = {"x": "past_x", "b": "steady_b", "y": "past_y"}
"""Regions of scratch memory for imaginary parts, by those for real ones."""
PRODUCTS = 256
"""Products of a gradient of taps that are added in the kernel's precision; sums of them in float64."""


def padding(fmt: Format) -> int:
    """Return how many numbers more than its outputs ask for a line of scratch memory holds."""
    return 2 * OUTPUTS * fmt.width


def emit(module: ir.Module, name: str, spec: Spec) -> None:
    """Add the kernel of `spec` to `module`: a filter, or the gradient of its taps."""
    frame = RecurrenceFrame(module, name, spec)
    with frame.items() as item:
        _Block(frame, item).run()


class _Block:
    """One block of time of one row, or of the rows that are summed."""

    def __init__(self, frame: RecurrenceFrame, item: Int) -> None:
        self.frame, self.f, self.fmt, self.spec, self.item = frame, frame.f, frame.fmt, frame.spec, item
        f, spec = frame.f, frame.spec
        blocks, channels = frame.word("blocks"), frame.word("channels")
        row = item // blocks
        self.block = item - row * blocks
        self.example = row // channels
        self.channel = row - self.example * channels
        self.time = self.block * frame.word("span")
        self.steps = f.minimum(frame.length - self.time, frame.word("span"))
        self.q, self.count = frame.q, frame.q + 1
        assert spec.feedforward is not None
        taps, out = (spec.y, spec.feedforward) if spec.vjp else (spec.feedforward, spec.y)
        self._made: dict[str, Function] = {}
        self.parts_x, self.parts_taps, self.parts_out = (STORAGES[name].parts for name in (spec.x, taps, out))
        self.reuse = SUMS // OUTPUTS // self.parts_out // (64 // self.fmt.vector_bytes)
        self.window, self.taps, self.out = (
            Line(self.fmt, frame.region(name), frame.word(f"at_{then}") - frame.word(f"at_{name}"))
            for name, then in PARTS.items()
        )

    def run(self) -> None:
        if self.spec.vjp:
            self._correlate()
        else:
            self._filter()

    def _filter(self) -> None:
        frame, f, run, storage = self.frame, self.f, self.frame.word("run"), self.spec.feedforward
        assert storage is not None
        self.out.clear(self.parts_out, self.steps + padding(self.fmt))
        with f.loop(0, run) as summed:
            channel = self.channel * run + summed
            place, stride = self._place("feedforward", channel), frame.word("feedforward_tap")
            self._load(self.taps, storage, place, stride, self.count)
            past = f.maximum(self.q - self.time, 0)
            here = self.time - self.q + past
            self._load_past(self.window, channel, self.time, past, 1)
            self._load_signal(self.window.shifted(past), "x", channel, here, self.steps + self.q - past, 1)
            self._multiply(self.out, self.steps, self.taps, self.count, self.window)
        stride = frame.word("y_time")
        place = self._place("y", self.channel) + self.time * stride
        function = self._function("store", self.spec.y, emit_store)
        f.call(function, self.out.base, self.out.pitch, place, stride, self.steps)

    def _correlate(self) -> None:
        frame, f, fmt = self.frame, self.f, self.fmt
        depth = self.count + padding(fmt)
        totals = frame.region("sum_b")
        f.zero(totals, depth * (8 * self.parts_out))
        self._load_signal(self.taps, "grad_y", self.channel, self.time, self.steps, 1)
        here = self.time + self.steps
        inside = f.minimum(self.steps + self.q, here)
        self._load_signal(self.window, "x", self.channel, here - 1, inside, -1)
        self._load_past(self.window.shifted(inside), self.channel, self.q - 1, self.steps + self.q - inside, -1)
        with f.loop(0, self.steps, PRODUCTS) as first:
            some = f.minimum(self.steps - first, PRODUCTS)
            self.out.clear(self.parts_out, depth)
            behind = self.steps - first - some
            self._multiply(self.out, self.count, self.taps.shifted(first), some, self.window.shifted(behind))
            wide = ir.VectorType(DOUBLE, fmt.width)
            for part in range(self.parts_out):
                with f.loop(0, self.count, fmt.width) as lag:
                    value = self.out.part(part, lag).load(fmt.vector)
                    place = totals + (depth * part + lag) * 8
                    place.store(f.b.fadd(place.load(wide), value if fmt.double else f.b.fpext(value, wide)))
        target = self._place("grad_feedforward", self.channel) + self.block * frame.word("grad_feedforward_time")
        with f.loop(0, self.count) as lag:
            for part in range(self.parts_out):
                value = (totals + (depth * part + lag) * 8).load(DOUBLE)
                (target + (lag * self.parts_out + part) * 8).store(value)

    def _place(self, name: str, channel: Int) -> Ptr:
        frame = self.frame
        row = self.example * frame.word(f"{name}_batch") + channel * frame.word(f"{name}_channel")
        return frame.pointer(name) + row

    def _load_signal(self, line: Line, name: str, channel: Int, start: Any, count: Any, step: int) -> None:
        stride = self.frame.word(f"{name}_time")
        place = self._place(name, channel) + self.f.int(start) * stride
        self._load(line, self.spec.y if name == "grad_y" else self.spec.x, place, stride * step, count)

    def _load_past(self, line: Line, channel: Int, start: Any, count: Int, step: int) -> None:
        """Load samples from before the block, or zeros."""
        with self.f.choice(self.frame.word("inputs_at").differs(0)) as (given, none):
            with given:
                self._load_signal(line, "inputs", channel, start, count, step)
            with none:
                line.clear(self.parts_x, count)

    def _load(self, line: Line, storage: str, place: Ptr, stride: Int, count: Any) -> None:
        function = self._function("load", storage, emit_load)
        self.f.call(function, line.base, line.pitch, place, stride, count)

    def _multiply(self, out: Line, outputs: Int, taps: Line, count: Int, window: Line) -> None:
        f, fmt, width = self.f, self.fmt, self.fmt.width
        zero = ir.Constant(fmt.vector, None)
        with f.loop(0, outputs, OUTPUTS * width) as first:
            places = [[out.part(part, first + v * width) for part in range(self.parts_out)] for v in range(OUTPUTS)]
            # of each output, one sum for every tap that a vector serves
            sums = [[[f.variable(fmt.vector) for _ in row] for row in places] for _ in range(self.reuse)]
            for k, some in enumerate(sums):
                for total, place in zip(chain(*some), chain(*places), strict=True):
                    total.store(zero if k else place.load(fmt.vector))

            def add(tap: Int, reuse: int) -> None:
                newest = first + (count - 1) - tap
                factors = [self._factors(taps, tap + k * width) for k in range(reuse)]
                for d in range(1 - reuse, OUTPUTS):
                    x = [window.part(part, newest + d * width).load(fmt.vector) for part in range(self.parts_x)]
                    for k in range(reuse):
                        if 0 <= d + k < OUTPUTS:
                            self._add(sums[k][d + k], factors[k], x)

            done, reuse = f.int(0), self.reuse
            while reuse > 1:
                end = count - ((count - done) & (reuse * width - 1))
                with f.loop(done, end, reuse * width) as group, f.loop(0, width) as tap:
                    add(group + tap, reuse)
                done, reuse = end, reuse // 2
            with f.loop(done, count) as tap:
                add(tap, 1)
            for v, row in enumerate(places):
                for part, place in enumerate(row):
                    totals = [some[v][part].load(fmt.vector) for some in sums]
                    while len(totals) > 1:
                        totals = [f.b.fadd(*pair) for pair in zip(totals[::2], totals[1::2], strict=True)]
                    place.store(totals[0])

    def _function(self, what: str, storage: str, emit: Callable[..., None]) -> Function:
        """Return (line, pitch, memory, stride, count), to move numbers between a line and memory."""
        name = f"{what}_{storage}"
        if name not in self._made:
            self._made[name] = function = Function(self.f.module, name, [PTR, I64, PTR, I64, I64])
            base, pitch, memory, stride, count = function.arguments
            emit(function, self.fmt, STORAGES[storage], Line(self.fmt, base, pitch), memory, stride, count)
            function.finish()
        return self._made[name]

    def _factors(self, taps: Line, index: Int) -> list[Any]:
        return [splat(self.f, self.fmt, taps.part(part, index)) for part in range(self.parts_taps)]

    def _add(self, sums: list[Ptr], taps: list[Any], x: list[Any]) -> None:
        """Add tap·x, or conj(tap)·x in a gradient, in the parts that are wanted."""
        f, fmt = self.f, self.fmt
        name = f"llvm.fmuladd.v{fmt.width}f{64 if fmt.double else 32}"
        for i, tap in enumerate(taps):
            for k, sample in enumerate(x):
                if i ^ k >= len(sums):
                    continue
                total = sums[i ^ k]
                factor = f.b.fneg(tap) if i == 1 and (k == 1) != self.spec.vjp else tap
                total.store(f.intrinsic(name, fmt.vector, [factor, sample, total.load(fmt.vector)]))
