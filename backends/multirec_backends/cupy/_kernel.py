"""The kernel object: plans a problem, allocates, and launches; the same on a GPU and on an emulated device."""

from __future__ import annotations

from typing import Any, TypeAlias

from multirec.backend import Allocate, Form, Gradients, Needs, Operands, Problem

from ._activated import Activations
from ._computation import Computation, Device, keep
from ._direct import Direct
from ._frames import Frames
from ._plan import plan
from ._results import gradients
from ._sequences import Sequences

Array: TypeAlias = Any

_MOST = 256


class Kernel(Activations, Frames, Sequences):
    """Forward and gradient of every problem, on a `Device`."""

    def __init__(self, device: Device) -> None:
        Sequences.__init__(self, device)
        Activations.__init__(self, device)
        Frames.__init__(self, device)
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
        found = gradients(computation.queue, problem, problem.batch, needs, allocate)
        computation.backward(operands, (y, grad_y, grad_last), found)
        return found
