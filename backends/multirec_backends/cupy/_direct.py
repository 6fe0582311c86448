"""A problem on the caller's own arrays, with the caller's axes: allocates what a call returns, and computes it."""

from __future__ import annotations

from typing import Any, TypeAlias

from multirec.backend import Form, Gradients, Needs

from ._computation import Computation

Array: TypeAlias = Any


class Direct:
    """Forward and gradient of one signature of arrays."""

    def __init__(self, computation: Computation, form: Form) -> None:
        problem = computation.problem
        self._computation, self._empty = computation, computation.queue.empty
        self._y = form.y, problem.y_dtype
        self._inputs, self._outputs = (form.inputs, problem.dtype), (form.outputs, problem.state_dtype)
        b, a = problem.feedforward, problem.feedback
        self._shapes = form.operands
        self._dtypes = (
            problem.dtype,
            "" if b is None else b.dtype,
            "" if a is None else a.dtype,
            problem.dtype,
            problem.state_dtype,
        )

    def forward(self, *arrays: Array | None) -> tuple[Array, Array, Array]:
        """Return y and the last inputs and outputs of x, feedforward, feedback, inputs and outputs."""
        empty = self._empty
        results = empty(*self._y), empty(*self._inputs), empty(*self._outputs)
        self._computation.forward(arrays, results)
        return results

    def vjp(self, arrays: tuple[Array | None, ...], y: Array | None, grad_y: Array, needs: Needs) -> Gradients:
        """Return the gradients that are needed, of the shapes that the arrays have."""
        found = Gradients(
            *[
                self._empty(shape, dtype) if need and shape is not None else None
                for shape, need, dtype in zip(self._shapes, needs, self._dtypes, strict=True)
            ]
        )
        self._computation.backward(arrays, (y, grad_y, None), found)
        return found
