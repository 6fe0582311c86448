"""The kernel object: plans a problem, allocates, and launches; the same on a GPU and on an emulated device."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from multirec.backend import Allocate, Form, Gradients, Needs, Operands, Problem

from ._computation import Computation, keep
from ._direct import Direct
from ._plan import plan
from ._plan.parts import compute_dtype
from ._program import Queue
from ._results import in_layout

Array: TypeAlias = Any

_MOST = 256


class Device(Protocol):
    """Where kernels run."""

    def has(self, kernel: str) -> bool:
        """Say whether there is a kernel, by its C++ name."""

    def queue(self, problem: Problem) -> Queue:
        """Return the queue of a problem's device, for all its calls."""


class Kernel:
    """Forward and gradient of every problem, on a `Device`."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._computations: dict[int, tuple[Problem, Computation]] = {}

    def _computation(self, problem: Problem) -> Computation:
        # by identity: a bank calls with one problem object, and hashing it costs as much as packing
        found = self._computations.get(id(problem))
        if found is None:
            made = Computation(problem, plan(problem, self._device.has), self._device.queue(problem))
            found = keep(self._computations, _MOST, id(problem), (problem, made))
        return found[1]

    def direct(self, problem: Problem, form: Form) -> Direct:
        """Return what computes a problem on arrays with the caller's axes."""
        chosen = plan(problem, self._device.has)
        return Direct(Computation(problem, chosen, self._device.queue(problem), form.axes), form)

    def forward(self, problem: Problem, operands: Operands, allocate: Allocate) -> Array | tuple[Array, Array]:
        y, last = allocate(problem.channels, problem.y_dtype), None
        computation = self._computation(problem)
        if problem.state_dtype != problem.y_dtype:
            count = min(problem.order, problem.length)
            last = computation.queue.empty((problem.batch, problem.channels, count), problem.state_dtype)
        computation.forward(operands, (y, None, last))
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
        computation = self._computation(problem)
        empty, batch = computation.queue.empty, problem.batch
        x = allocate(problem.x_channels, problem.dtype) if needs.x else None
        feedforward, feedback = (
            in_layout(computation.queue, taps, problem.layout) if need and taps is not None else None
            for taps, need in ((problem.feedforward, needs.feedforward), (problem.feedback, needs.feedback))
        )
        inputs = outputs = None
        if needs.inputs:
            inputs = empty((batch, problem.x_channels, problem.input_order), compute_dtype(problem.dtype))
        if needs.outputs:
            outputs = empty((batch, problem.channels, problem.order), compute_dtype(problem.y_dtype))
        found = Gradients(x, feedforward, feedback, inputs, outputs)
        computation.backward(operands, (y, grad_y, grad_last), found)
        return found
