"""One signature's kernel, and the way of canonical arrays to its library and back."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any, TypeAlias

import numpy as np

from .._core.activated import CHECKPOINT, ActivatedGradients, ActivatedNeeds, ActivatedOperands, signal_problem
from .._core.axes import cast_to
from .._engine.table import Table
from .._memory.allocate import empty, zeros
from .._memory.hand_over import hand_over, library_of, restored
from .._sequences.marks import Marks
from .call import ActivatedCall, split
from .choose import choose
from .marked import Marked, mark

Array: TypeAlias = Any

__all__ = ["Launcher", "launcher_for"]


class Launcher:
    """Runs recurrences of one signature, and their gradients, on canonical arrays of the caller's library."""

    def __init__(self, call: ActivatedCall, backend: str) -> None:
        self.call, self.problem, self._plain = call, call.problem, signal_problem(call.problem)
        self.info, self._kernel = choose(call.problem, backend)
        self._library = library_of(self._plain, self.info.family)

    def forward(
        self, operands: ActivatedOperands, marks: Marks | None, *, keep: bool = False
    ) -> tuple[Array, Array, Array]:
        """Return y, the state after the block, and the states in between where they are to be kept."""
        marked = mark(self.call, marks)
        problem = marked.problem
        given = self._give_all(operands, marked)
        y = empty(self._plain, problem.channels, problem.dtype, self.info.family)
        starts = self._starts(keep)
        state = self._kernel.forward_activated(problem, given, y, starts if keep else None)
        state = marked.state_out(state)
        return self._take(y), self._take(state), self._take(starts)

    def vjp(
        self,
        operands: ActivatedOperands,
        marks: Marks | None,
        starts: Array,
        grad_y: Array | None,
        grad_state: Array | None,
        needs: tuple[bool, ...],
    ) -> list[Array | None]:
        """Return the gradients of all operands in turn, the first signal as it is given; None where not needed."""
        marked = mark(self.call, marks)
        problem, family = marked.problem, self.info.family
        count = len(operands.signals)
        grads = [
            empty(self._plain, signal.shape[1], dtype, family) if need else None
            for signal, dtype, need in zip(
                operands.signals, (problem.dtype, *problem.dtypes[1 - count :]), needs, strict=False
            )
        ]
        blocks = len(problem.dtypes) - count + 1
        targets: tuple[Array | None, ...] = tuple(grads)
        if blocks > 1:
            first = grads[0]
            parts = (None,) * blocks if first is None else split(problem, (first, *grads[1:]))[:blocks]
            targets = (*parts, *grads[1:])
        if grad_y is None:
            grad = zeros(self._plain, problem.channels, problem.dtype, self._library)
            grad = hand_over(grad, self._library, family)
        else:
            grad = self._give(grad_y)
        last = None if grad_state is None else marked.grad_state_in(self._give(grad_state))
        wanted = ActivatedNeeds(needs[count:-1], needs[-1])
        given, own_starts = self._give_all(operands, marked), self._give(starts)
        with np.errstate(all="ignore"):
            found = self._kernel.vjp_activated(problem, given, own_starts, grad, last, targets, wanted)
        return [self._take(part) for part in (*grads, *self._fitted(found, marked))]

    def _fitted(self, found: ActivatedGradients, marked: Marked) -> list[Array | None]:
        compute = self.problem.compute_dtype
        state = None if found.state is None else marked.grad_state_out(found.state)
        return [None if part is None else cast_to(part, compute) for part in (*found.parameters, state)]

    def _give_all(self, operands: ActivatedOperands, marked: Marked) -> ActivatedOperands:
        signals, parameters, state, _ = operands
        given = tuple(map(self._give, signals))
        own = None if state is None else self._give(state)
        numbers = None if marked.numbers is None else self._give(marked.numbers)
        return ActivatedOperands(
            split(self.problem, given), tuple(map(self._give, parameters)), marked.state_in(own), numbers
        )

    def _give(self, array: Array) -> Array:
        own = "numpy" if isinstance(array, np.ndarray) else self._plain.family
        return hand_over(array, own, self.info.family)

    def _take(self, array: Array | None) -> Array | None:
        if array is None:
            return None
        family, target = self._plain.family, self.info.family
        if target == "cuda":
            return array
        return restored(hand_over(array, target, "numpy")) if family == "numpy" else hand_over(array, target, family)

    def starts_shape(self, keep: bool) -> tuple[int, int, int, int]:
        """Return the shape of the states in between, where they are kept."""
        problem = self.problem
        pieces = -(-problem.length // CHECKPOINT) if keep else 0
        return pieces, problem.order, problem.batch, problem.channels

    def _starts(self, keep: bool) -> Array:
        shape, compute = self.starts_shape(keep), self.problem.compute_dtype
        flat = replace(self._plain, batch=1, channels=1, length=prod(shape))
        return empty(flat, 1, compute, self.info.family).reshape(shape)


def launcher_for(call: ActivatedCall, backend: str) -> Launcher:
    """Return what runs a call, remembered."""
    key = call, backend
    return _launchers.get(key) or _launchers.find(key, lambda: Launcher(call, backend))


_launchers: Table[Launcher] = Table()
