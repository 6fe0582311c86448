"""The kernel object: allocates, plans, and launches; the same on a GPU and on an emulated device."""

from __future__ import annotations

from math import prod
from typing import Any, Protocol, TypeAlias

from multirec.backend import HALF_DTYPES, Allocate, Gradients, Layout, Needs, Operands, Problem, Taps

from ._pack import WANTS_FEEDBACK, WANTS_TAPS, WANTS_X, Arguments, View, Words, fold_words, signal
from ._plan import BYTES, LARGEST_GRID, SLOT_BYTES, TYPES, WARP, Grid, Plan, compute_dtype, plan, wide_dtype

Array: TypeAlias = Any

_THREADS = 256
_MOST_PLANS = 256


class Queue(Protocol):
    """One device and one stream of it, as the caller has them."""

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Return uninitialised memory of the caller's library."""

    def view(self, array: Array) -> View:
        """Return where an array lies."""

    def launch(self, name: str, blocks: int, threads: int, shared: int, params: bytes) -> None:
        """Launch a kernel by its C++ name, without waiting for it."""


class Device(Protocol):
    """Where kernels run."""

    def has(self, arguments: str) -> bool:
        """Say whether there is a fast kernel of these template arguments."""

    def queue(self, problem: Problem) -> Queue:
        """Return the caller's current queue for a problem's device."""


class Kernel:
    """Forward and gradient of every problem, on a `Device`."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._plans: dict[int, tuple[Problem, Plan]] = {}

    def _call(self, problem: Problem, operands: Operands) -> _Call:
        # by identity: a bank calls with one problem object, and hashing it costs as much as packing
        found = self._plans.get(id(problem))
        if found is None:
            while len(self._plans) >= _MOST_PLANS:
                self._plans.pop(next(iter(self._plans)), None)
            found = self._plans[id(problem)] = problem, plan(problem, self._device.has)
        return _Call(problem, operands, found[1], self._device.queue(problem))

    def forward(self, problem: Problem, operands: Operands, allocate: Allocate) -> Array | tuple[Array, Array]:
        y, last = allocate(problem.channels, problem.y_dtype), None
        call = self._call(problem, operands)
        if problem.state_dtype != problem.y_dtype:
            count = min(problem.order, problem.length)
            last = call.queue.empty((problem.batch, problem.channels, count), problem.state_dtype)
            call.add_last("last_y", last)
        if problem.batch and problem.channels and problem.length:
            call.add_signal("y", y)
            call.run(back=False)
        return y if last is None else (y, last)

    def vjp(
        self,
        problem: Problem,
        operands: Operands,
        y: Array,
        grad_y: Array,
        grad_last: Array | None,
        needs: Needs,
        allocate: Allocate,
    ) -> Gradients:
        call = self._call(problem, operands)
        return _Gradient(call, operands, needs).compute(y, grad_y, grad_last, allocate)


class _Call:
    """The arguments of one call, and its launches."""

    def __init__(self, problem: Problem, operands: Operands, chosen: Plan, queue: Queue) -> None:
        self.problem, self.plan, self.queue = problem, chosen, queue
        self.arguments = Arguments(problem)
        self.reads_y = False
        self.kept: list[Array] = []
        x, feedforward, feedback, inputs, outputs = operands
        self.add_signal("x", x)
        self.add_signal("inputs", inputs)
        self.add_signal("outputs", outputs)
        self.add_taps("b", feedforward)
        self.add_taps("a", feedback)

    def add_signal(self, name: str, array: Array | None) -> None:
        if array is not None:
            self.arguments.add_signal(name, self.queue.view(array))

    def add_last(self, name: str, array: Array | None) -> None:
        """Add an array of the last outputs, or of their gradient."""
        self.add_signal(name, array)
        self.arguments.last = 0 if array is None else array.shape[-1]

    def add_taps(self, name: str, array: Array | None) -> None:
        if array is not None:
            self.arguments.add_taps(name, self.queue.view(array))

    def scratch(self, name: str, shape: tuple[int, ...], dtype: str) -> Array:
        """Return memory that lives until the call ends; the stream's order keeps it from earlier reuse."""
        array = self.queue.empty(shape, dtype)
        self.kept.append(array)
        self.arguments.pointers[name] = self.queue.view(array).address
        return array

    def run(self, back: bool) -> None:
        problem, chosen = self.problem, self.plan
        grid, states = chosen.grids[back], chosen.states[back]
        name = chosen.reading_y if back and self.reads_y else chosen.kernels[back]
        rows = problem.batch * problem.channels
        if not chosen.is_tiled:
            past = max(problem.order, problem.input_order if back else 0) + int(back)
            self.scratch("ring", (max(past, 1) * rows,), compute_dtype(problem.y_dtype))
        if grid.segments == 1 or not problem.order:
            self._launch(name, grid, 0)
            return
        for part in ("ends", "starts"):
            self.scratch(part, (rows, grid.segments, states), wide_dtype(problem.y_dtype))
        if chosen.refines:
            self.scratch("again", (rows,), "int64")
        for phase in (1, 2) if chosen.refines else (1,):
            self._launch(name, grid, phase)
            params = self.arguments.pack(grid, phase)
            self.queue.launch(chosen.carries[back], min(rows, LARGEST_GRID), WARP, chosen.carry_shared[back], params)
        self._launch(name, grid, phase + 1)

    def _launch(self, name: str, grid: Grid, phase: int) -> None:
        self.queue.launch(name, grid.blocks, grid.threads, grid.shared, self.arguments.pack(grid, phase))

    def fold(
        self, source: int, dtype: str, sizes: Words, strides: Words, target: Words, kept: tuple[int, int], to: str
    ) -> None:
        """Add partial results up; `target` is an address and strides of axes 0, 1 and 3."""
        terms = sizes[2] * (sizes[0] if kept[0] == 1 else 1) * (sizes[1] if kept[1] == 1 else 1)
        count = kept[0] * kept[1] * sizes[3]
        if not count:
            return
        lanes = 32 if terms >= 64 and count < 1 << 16 else 1
        params = fold_words(source, sizes, strides, target[0], kept, target[1:], lanes)
        blocks = min(-(-count * lanes // _THREADS), LARGEST_GRID)
        self.queue.launch(f"fold<{TYPES[dtype]},{TYPES[to]}>", blocks, _THREADS, 0, params)


class _Gradient:
    """One gradient: where each part of it goes, the launch that computes it, and the sums that remain."""

    def __init__(self, call: _Call, operands: Operands, needs: Needs) -> None:
        self.call, self.operands, self.needs = call, operands, needs
        self.problem = call.problem
        self.value = compute_dtype(self.problem.y_dtype)
        self.wide = wide_dtype(self.problem.y_dtype)

    def compute(self, y: Array, grad_y: Array, grad_last: Array | None, allocate: Allocate) -> Gradients:
        call, problem, needs = self.call, self.problem, self.needs
        grid = call.plan.grids[1]
        empty = call.queue.empty
        p, q, batch, length = problem.order, problem.input_order, problem.batch, problem.length
        call.add_signal("y", y)
        call.add_signal("grad_y", grad_y)
        call.add_last("grad_last", grad_last)

        grad_x = allocate(problem.x_channels, problem.dtype) if needs.x else None
        grad_inputs = grad_outputs = None
        if needs.inputs:
            grad_inputs = empty((batch, problem.x_channels, q), compute_dtype(problem.dtype))
        if needs.outputs:
            grad_outputs = empty((batch, problem.channels, p), self.value)
            call.add_signal("grad_outputs", grad_outputs)
        sum_x = None
        if problem.shared and (needs.x or needs.inputs):
            sum_x = call.scratch("sum_x", (batch, grid.groups, sum(self._sums_of_x())), self.value)
        else:
            call.add_signal("grad_x", grad_x)
            call.add_signal("grad_inputs", grad_inputs)

        b = self._taps("b", problem.feedforward if needs.feedforward else None)
        a = self._taps("a", problem.feedback if needs.feedback else None)
        call.arguments.wants = (
            WANTS_X * (needs.x or needs.inputs)
            + WANTS_TAPS * (b is not None)
            + WANTS_FEEDBACK * (a is not None and p > 0)
        )
        call.reads_y = problem.y_dtype in HALF_DTYPES or b is None
        wants_sums = any(
            taps is not None and taps.time == 1
            for taps, need in ((problem.feedforward, needs.feedforward), (problem.feedback, needs.feedback))
            if need
        )
        if wants_sums:
            call.scratch("sums", (batch, problem.channels, grid.segments, q + 1 + p), self.wide)

        if batch and problem.channels and length:
            call.run(back=True)
        else:
            self._zero(grad_inputs, compute_dtype(problem.dtype))
            self._zero(grad_outputs, self.value)
        if sum_x is not None and length:
            self._fold_x(grid.groups, grad_x, grad_inputs)
        return Gradients(grad_x, self._folded_taps("b", b), self._folded_taps("a", a), grad_inputs, grad_outputs)

    def _taps(self, name: str, shape: Taps | None) -> tuple[Array, Taps] | None:
        """Return the memory of a coefficient gradient; varying ones are written there, or rowwise to be added up."""
        if shape is None:
            return None
        call, problem = self.call, self.problem
        layout: Layout = problem.layout if shape.time != 1 else "BCT"
        gradient = _in_layout(call.queue, shape.shape, shape.dtype, layout)
        if shape.time != 1:
            rows = (problem.batch, problem.channels)
            whole = gradient
            if (shape.batch, shape.channels) != rows:
                whole = call.queue.empty((*rows, shape.time, shape.taps), shape.dtype)
                call.kept.append(whole)
                gradient = call.queue.empty(shape.shape, shape.dtype)
            call.add_taps("grad_" + name, whole)
            return (gradient if whole is gradient else (gradient, whole)), shape
        return gradient, shape

    def _folded_taps(self, name: str, found: tuple[Any, Taps] | None) -> Array | None:
        if found is None:
            return None
        gradient, shape = found
        call, problem = self.call, self.problem
        view = call.queue.view
        kept = (shape.batch, shape.channels)
        if shape.time != 1:
            if not isinstance(gradient, tuple):
                return gradient
            gradient, whole = gradient
            inner = shape.time * shape.taps
            sizes = (problem.batch, problem.channels, 1, inner)
            strides = (problem.channels * inner, inner, 0, 1)
            target = (view(gradient).address, shape.channels * inner, inner, 1)
            call.fold(view(whole).address, shape.dtype, sizes, strides, target, kept, shape.dtype)
            return gradient
        segments, every = call.plan.grids[1].segments, problem.input_order + 1 + problem.order
        first = 0 if name == "b" else problem.input_order + 1
        source = call.arguments.pointers["sums"] + first * (16 if self.wide == "complex128" else 8)
        sizes = (problem.batch, problem.channels, segments if problem.length else 0, shape.taps)
        strides = (problem.channels * segments * every, segments * every, every, 1)
        target = (view(gradient).address, shape.channels * shape.taps, shape.taps, 1)
        call.fold(source, self.wide, sizes, strides, target, kept, shape.dtype)
        return gradient

    def _fold_x(self, groups: int, grad_x: Array | None, grad_inputs: Array | None) -> None:
        call, problem = self.call, self.problem
        past, more = self._sums_of_x()
        source, whole = call.arguments.pointers["sum_x"], past + more
        parts = (
            (grad_x, 0, problem.length, problem.dtype),
            (grad_inputs, past, problem.input_order, compute_dtype(problem.dtype)),
        )
        for array, first, count, dtype in parts:
            if array is None or not prod(array.shape):
                continue
            address, batch, _, time, _ = signal(call.queue.view(array), problem.reverse)
            sizes, strides = (problem.batch, 1, groups, count), (groups * whole, 0, whole, 1)
            target = (address, batch, 0, time)
            call.fold(source + first * BYTES[self.value], self.value, sizes, strides, target, (problem.batch, 1), dtype)

    def _sums_of_x(self) -> tuple[int, int]:
        """Return how many sums a block has for its samples and for the past, in whole slots."""
        slot = SLOT_BYTES // BYTES[self.value]
        return -(-self.problem.length // slot) * slot, -(-self.problem.input_order // slot) * slot

    def _zero(self, array: Array | None, dtype: str) -> None:
        if array is not None and prod(array.shape):
            target = (self.call.queue.view(array).address, 0, 0, 1)
            self.call.fold(0, dtype, (1, 1, 0, prod(array.shape)), (0, 0, 0, 0), target, (1, 1), dtype)


def _in_layout(queue: Queue, shape: tuple[int, ...], dtype: str, layout: Layout) -> Array:
    """Return memory for coefficients (B, C, T, taps) that is contiguous in a layout."""
    batch, channels, time, count = shape
    if layout == "BCT":
        return queue.empty(shape, dtype)
    if layout == "BTC":
        return queue.empty((batch, time, channels, count), dtype).swapaxes(1, 2)
    return queue.empty((time, batch, channels, count), dtype).swapaxes(0, 1).swapaxes(1, 2)
