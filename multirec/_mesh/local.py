"""A rank's own samples: the recurrence of them, and its gradients, in the caller's shapes and data types."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor

from .._core.state import State
from .._core.validate import NAMES, Choices
from .._engine.call import bound as bound_call
from .._engine.launch import described
from .._sequences.bind import bound as bound_sequences
from .._sequences.marks import Marks
from .._sequences.plain import recurrence as run_sequences
from .._sequences.plain import vjp as vjp_of_sequences
from .._torch.eager import changed
from ..backend import Gradients, Needs

__all__ = ["Local"]

Arrays: TypeAlias = tuple[Any, ...]


class Local:
    """Runs the recurrence of (x, feedforward, feedback, inputs, outputs), of which torch sees nothing.

    Attributes
    ----------
    reads_x
        Whether gradients look at x in any case.
    """

    def __init__(self, arrays: Arrays, resets: Tensor | None, choices: Choices) -> None:
        self._choices, self._marks = choices, None if resets is None else Marks(resets)
        found: Any = (
            bound_call(arrays, choices) if self._marks is None else bound_sequences(arrays, self._marks, choices)
        )
        self._found, self._made_for = found, tuple(map(described, arrays))
        self.reads_x: bool = self._marks is not None and found.launcher is None

    def run(self, arrays: Arrays) -> tuple[Tensor, State]:
        """Return y and the state after it."""
        if self._marks is not None:
            return run_sequences(arrays, self._choices, None, self._marks)
        found: tuple[Tensor, State] = self._found(arrays)
        return found

    def vjp(self, arrays: Arrays, y: Tensor | None, grads: Arrays, needs: Needs) -> Gradients:
        """Return the gradients that are needed; those of y and the state's two parts are given, or None.

        x and y may be None where no gradient looks at them.
        """
        for name, part, made_for in zip(NAMES, arrays, self._made_for, strict=True):
            if part is not None and made_for is not None and described(part) != made_for:
                raise changed(name, made_for, part)
        found: Gradients
        if self._marks is None:
            found = self._found.vjp(arrays, y, *grads, needs)
        elif self._found.launcher is not None:
            launcher = self._found.launcher
            found = launcher.vjp(arrays, launcher.place(self._marks), y, *grads, needs)
        else:
            problem, shape = self._found.call.problem, self._found.call.y_shape
            grad_y, *grad_state = grads
            if grad_y is None:
                grad_y = torch.zeros(shape, dtype=getattr(torch, problem.y_dtype), device=arrays[0].device)
            given = arrays, self._found, self._marks, self._choices, grad_y, (grad_state[0], grad_state[1])
            found = vjp_of_sequences(*given, y, needs)
        return found
