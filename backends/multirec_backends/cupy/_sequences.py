"""Several sequences in one row of time: their programs, and the part of the kernel object that runs them."""

from __future__ import annotations

from typing import Any, TypeAlias

from multirec.backend import Allocate, Gradients, Needs, Operands, Problem

from ._computation import Computation, Device, keep
from ._pack import View
from ._plan.parts import Plan
from ._plan.sequences import plan
from ._program import Queue
from ._results import Results, gradients

Array: TypeAlias = Any

_MOST = 256


class SequencesComputation(Computation):
    """Runs a problem with the numbers of its samples' sequences; with `count` each of these has a state."""

    operands = (*Computation.operands, "numbers")

    def __init__(self, problem: Problem, chosen: Plan, queue: Queue, count: int | None) -> None:
        super().__init__(problem, chosen, queue)
        # without samples a state still goes through
        self.is_empty = not (problem.batch and problem.channels)
        self.states = problem.batch if count is None else count
        self._count = count or 0

    def last(self, views: dict[str, View], name: str) -> int:
        """Return how many states sequences have, which these kernels are told in its place."""
        return self._count

    def share(self, results: Results) -> None:
        """Let blocks write what their channels give an x that they share, and rows what they give to states."""
        results.shared_x_of_sequences(self.states)


class Sequences:
    """Forward and gradient of sequences."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._of_sequences: dict[tuple[int, int | None], tuple[Problem, SequencesComputation]] = {}

    def sequences(self, problem: Problem, count: int | None) -> bool:
        return True

    def _computed(self, problem: Problem, count: int | None) -> SequencesComputation:
        # by identity, as of other calls
        key = id(problem), count
        found = self._of_sequences.get(key)
        if found is None:
            chosen, queue = plan(problem, self._device.has), self._device.queue(problem)
            made = SequencesComputation(problem, chosen, queue, count)
            found = keep(self._of_sequences, _MOST, key, (problem, made))
        return found[1]

    def forward_sequences(
        self, problem: Problem, operands: Operands, numbers: Array, count: int | None, allocate: Allocate
    ) -> tuple[Array, Array]:
        computation = self._computed(problem, count)
        y = allocate(problem.channels, problem.y_dtype)
        shape = computation.states, problem.channels, problem.order
        last = computation.queue.empty(shape, problem.state_dtype)
        computation.forward((*operands, numbers[:, None]), (y, None, last))
        return y, last

    def vjp_sequences(
        self,
        problem: Problem,
        operands: Operands,
        numbers: Array,
        count: int | None,
        y: Array,
        grad_y: Array,
        grad_last: Array | None,
        needs: Needs,
        allocate: Allocate,
    ) -> Gradients:
        computation = self._computed(problem, count)
        found = gradients(computation.queue, problem, computation.states, needs, allocate)
        computation.backward((*operands, numbers[:, None]), (y, grad_y, grad_last), found)
        return found
