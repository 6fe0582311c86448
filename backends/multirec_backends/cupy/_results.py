"""Where a gradient's parts go: what kernels write in place, and what is left for the fold to add up."""

from __future__ import annotations

from math import prod
from typing import Any, TypeAlias

from multirec.backend import Allocate, Gradients, Layout, Needs, Problem, Taps

from ._fold import OF_PAST_X, OF_PAST_Y, OF_X, SUM_A, SUM_B, TAPS_A, TAPS_B, Axis, Job, job
from ._pack import View, signal
from ._plan.parts import BYTES, SLOT_BYTES, Direction, compute_dtype, value_bytes, wide_dtype
from ._program import Queue

Array: TypeAlias = Any
End: TypeAlias = tuple[str, int]

_SUMS = {"b": SUM_B, "a": SUM_A}
_TAPS = {"b": TAPS_B, "a": TAPS_A}


class Results:
    """The gradients of one call.

    Attributes
    ----------
    views
        What kernels read and write, by its name in the CUDA source.
    scratch
        Bytes of further memory for partial results.
    jobs
        What is left to add up, with the arrays that it is read from and written to.
    """

    def __init__(self, problem: Problem, direction: Direction, views: dict[str, View]) -> None:
        self.problem, self.direction, self.views = problem, direction, dict(views)
        self.scratch: dict[str, int] = {}
        self.jobs: list[tuple[Job, End, End]] = []

    def shared_x(self) -> None:
        """Let blocks write what their channels give an x that they share, and the state before it."""
        self._shared(
            ("grad_x", OF_X, 0, self.problem.length), ("grad_inputs", OF_PAST_X, None, self.problem.input_order)
        )

    def shared_x_of_sequences(self, states: int) -> None:
        """Let blocks write what their channels give an x that they share, and each row what it gives to states."""
        self._shared(("grad_x", OF_X, 0, self.problem.length))
        view = self.views.get("grad_inputs")
        if view is None:
            return
        channels, count, size = self.problem.channels, self.problem.input_order, value_bytes(self.problem)
        self.scratch["rows_inputs"] = states * channels * count * size
        self.views["grad_inputs"] = View(0, (states, channels, count), (channels * count, count, 1), size)
        axes = (states, channels * count, view.strides[0]), (1, 0, 0), (count, 1, view.strides[2])
        self.jobs.append((job(OF_PAST_X, axes, ((channels, count),)), ("rows_inputs", 0), ("grad_inputs", 0)))

    def _shared(self, *parts: tuple[str, int, int | None, int]) -> None:
        problem, groups = self.problem, self.direction.groups
        batch, slot = problem.batch, SLOT_BYTES // value_bytes(problem)
        past = -(-problem.length // slot) * slot
        whole = past + -(-problem.input_order // slot) * slot
        self.scratch["sum_x"] = batch * groups * whole * value_bytes(problem)
        for name, kind, begin, count in parts:
            first = past if begin is None else begin
            view = self.views.pop(name, None)
            if view is None:
                continue
            address, example, _, time, _ = signal(view, problem.reverse)
            axes = (batch, groups * whole, example), (1, 0, 0), (count, 1, time)
            one = job(kind, axes, ((groups if problem.channels and problem.length else 0, whole),))
            self.jobs.append((one, ("sum_x", first * value_bytes(problem)), (name, address - view.address)))

    def coefficients(self, name: str, taps: Taps | None) -> None:
        """Let kernels write the gradient of coefficients: in place, for each row, or summed over time."""
        target = "grad_" + name
        view = self.views.get(target)
        if taps is None or view is None:
            return
        if taps.time == 1:
            self._summed(name, taps, view)
        elif (taps.batch, taps.channels) != (self.problem.batch, self.problem.channels):
            self._rowwise(name, taps, view)

    def _summed(self, name: str, taps: Taps, view: View) -> None:
        problem, segments = self.problem, self.direction.segments
        del self.views["grad_" + name]
        every = problem.input_order + 1 + problem.order
        size = BYTES[wide_dtype(problem.y_dtype)]
        self.scratch["sums"] = problem.batch * problem.channels * segments * every * size
        first = 0 if name == "b" else problem.input_order + 1
        (example, channel), terms = self._kept(taps, view, problem.channels * segments * every, segments * every)
        axes = example, channel, (taps.taps, 1, view.strides[3])
        one = job(_SUMS[name], axes, (*terms, (segments if problem.length else 0, every)))
        self.jobs.append((one, ("sums", first * size), ("grad_" + name, 0)))

    def _rowwise(self, name: str, taps: Taps, view: View) -> None:
        problem, whole, target = self.problem, "rows_" + name, "grad_" + name
        shape = problem.batch, problem.channels, taps.time, taps.taps
        strides = _strides(shape, problem.layout)
        self.scratch[whole] = prod(shape) * view.itemsize
        self.views[target] = View(0, shape, strides, view.itemsize)
        (example, channel), terms = self._kept(taps, view, *strides[:2])
        # one of the two is summed, or both
        axes = channel if taps.batch == 1 else example, (taps.time, strides[2], view.strides[2])
        one = job(_TAPS[name], (*axes, (taps.taps, 1, view.strides[3])), terms)
        self.jobs.append((one, (whole, 0), (target, 0)))

    def _kept(self, taps: Taps, view: View, *strides: int) -> tuple[tuple[Axis, Axis], tuple[tuple[int, int], ...]]:
        """Return what remains of examples and channels, and what is summed of them."""
        full, own = (self.problem.batch, self.problem.channels), (taps.batch, taps.channels)
        both = [
            ((size, stride, to), (1, 0)) if size == whole else ((1, 0, 0), (whole, stride))
            for size, whole, stride, to in zip(own, full, strides, view.strides[:2], strict=True)
        ]
        (example, channel), terms = zip(*both, strict=True)
        return (example, channel), terms

    def past(self) -> None:
        """Fill the gradients of the state with zeros, since there are no samples to write them."""
        for name, kind in (("grad_inputs", OF_PAST_X), ("grad_outputs", OF_PAST_Y)):
            view = self.views.pop(name, None)
            if view is not None:
                axes = [(size, 0, stride) for size, stride in zip(view.shape, view.strides, strict=True)]
                self.jobs.append((job(kind, (axes[0], axes[1], axes[2]), ((0, 0),)), ("", 0), (name, 0)))


def _strides(shape: tuple[int, ...], layout: Layout) -> tuple[int, int, int, int]:
    """Return the strides of (B, C, T, taps) that are contiguous in a layout."""
    batch, channels, time, count = shape
    if layout == "BCT":
        return channels * time * count, time * count, count, 1
    if layout == "BTC":
        return time * channels * count, count, channels * count, 1
    return channels * count, count, batch * channels * count, 1


def in_layout(queue: Queue, taps: Taps, layout: Layout) -> Array:
    """Return memory for the gradient of coefficients (B, C, T, taps): contiguous, in the layout if they vary."""
    batch, channels, time, count = taps.shape
    if layout == "BCT" or time == 1:
        return queue.empty(taps.shape, taps.dtype)
    if layout == "BTC":
        return queue.empty((batch, time, channels, count), taps.dtype).swapaxes(1, 2)
    return queue.empty((time, batch, channels, count), taps.dtype).swapaxes(0, 1).swapaxes(1, 2)


def gradients(queue: Queue, problem: Problem, states: int, needs: Needs, allocate: Allocate) -> Gradients:
    """Return memory for the gradients that are needed, with so many states."""
    x = allocate(problem.x_channels, problem.dtype) if needs.x else None
    feedforward, feedback = (
        in_layout(queue, taps, problem.layout) if need and taps is not None else None
        for taps, need in ((problem.feedforward, needs.feedforward), (problem.feedback, needs.feedback))
    )
    inputs = outputs = None
    if needs.inputs:
        inputs = queue.empty((states, problem.x_channels, problem.input_order), compute_dtype(problem.dtype))
    if needs.outputs:
        outputs = queue.empty((states, problem.channels, problem.order), compute_dtype(problem.y_dtype))
    return Gradients(x, feedforward, feedback, inputs, outputs)
