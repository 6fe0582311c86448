"""Derivatives as functions: `vjp` for array libraries without autograd, the formulas for backend authors.

`gradients` and `tangent` work on canonical arrays of any library, given a function that runs the recurrence itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from ._calculus.formula import gradients, tangent
from ._core.arrays import family_of, spec_of
from ._core.problem import ComputeDtype, Layout
from ._core.state import State, state_kinds
from ._core.validate import Call, as_choices, check_signal
from ._engine.call import launcher_of, split_state
from ._recurrence import recurrence
from ._sequences.bind import settled_bound
from ._sequences.marks import marks_of
from ._sequences.plain import vjp as vjp_of_sequences
from .backend import Gradients, Needs
from .errors import FamilyError

__all__ = ["RecurrenceGradients", "gradients", "tangent", "vjp"]

Array: TypeAlias = Any


class RecurrenceGradients(NamedTuple):
    """Gradients with the shapes and dtypes of what was passed; None where nothing was."""

    x: Array
    feedforward: Array | None
    feedback: Array | None
    state: State


def vjp(
    grad_y: Array,
    x: Array,
    *,
    feedforward: Array | None = None,
    feedback: Array | None = None,
    state: State | None = None,
    grad_state: State | None = None,
    y: Array | None = None,
    layout: Layout = "BCT",
    reverse: bool = False,
    backend: str = "auto",
    compute_dtype: ComputeDtype | None = None,
    resets: Array | None = None,
    lengths: Array | Sequence[int] | None = None,
    cu_seqlens: Array | Sequence[int] | None = None,
) -> RecurrenceGradients:
    """Return the vector-Jacobian product of `multirec.recurrence`: the gradients for a given gradient of y.

    Parameters
    ----------
    grad_y
        Gradient of y: y's shape and dtype.
    x, feedforward, feedback, state, layout, reverse, backend, compute_dtype, resets, lengths, cu_seqlens
        As they were passed to `recurrence`.
    grad_state
        Gradient of the returned state, in its dtypes; None, whole or in part, means zeros.
    y
        What `recurrence` returned; computed again if None.

    Returns
    -------
    RecurrenceGradients
        (x, feedforward, feedback, state). Complex gradients follow torch's convention, the conjugate of JAX's.

    Example
    -------
    >>> import numpy as np
    >>> from multirec.adjoint import vjp
    >>> found = vjp(np.ones((1, 3)), np.ones((1, 3)), feedback=np.array([[0.5]]), backend="reference")
    >>> found.x, found.feedback
    (array([[1.75, 1.5 , 1.  ]]), array([[3.]]))
    """
    family = family_of(x)
    if family not in ("numpy", "cupy"):
        raise FamilyError(
            f"vjp is for NumPy and CuPy arrays, got {family}, which differentiates multirec.recurrence itself."
        )
    inputs, outputs = split_state(state)
    choices = as_choices(layout, reverse, backend, compute_dtype)
    arrays = x, feedforward, feedback, inputs, outputs
    needs = Needs(*(part is not None for part in arrays))
    marks = marks_of(resets, lengths, cu_seqlens)
    if marks is not None:
        bound = settled_bound(arrays, marks, choices)
        _check(x, bound.call, bound.states, grad_y, y, *split_state(grad_state))
        return _named(vjp_of_sequences(arrays, bound, marks, choices, grad_y, split_state(grad_state), y, needs))
    launcher = launcher_of(arrays, choices)
    call, problem = launcher.call, launcher.call.problem
    grad_inputs, grad_outputs = split_state(grad_state)
    _check(x, call, call, grad_y, y, grad_inputs, grad_outputs)
    if y is None:
        y, _ = recurrence(
            x,
            feedforward=feedforward,
            feedback=feedback,
            state=state,
            layout=layout,
            reverse=reverse,
            backend=backend,
            compute_dtype=problem.compute_dtype,
        )
    return _named(launcher.vjp(arrays, y, grad_y, grad_inputs, grad_outputs, needs))


def _check(x: Array, call: Call, states: Call, grad_y: Array, y: Array | None, *grad_state: Array | None) -> None:
    """Raise unless gradients and y are what they are to be."""
    own, problem = spec_of(x, "x"), call.problem
    names = "grad_state.inputs", "grad_state.outputs"
    expected = [
        ("grad_y", grad_y, call.y_shape, problem.y_dtype),
        ("y", y, call.y_shape, problem.y_dtype),
        *(
            (name, part, *kind)
            for name, part, kind in zip(names, grad_state, state_kinds(problem, states.batch_shape), strict=True)
        ),
    ]
    for name, array, shape, dtype in expected:
        if array is not None or name == "grad_y":
            check_signal(name, spec_of(array, name), own._replace(shape=shape, dtype=dtype))


def _named(found: Gradients) -> RecurrenceGradients:
    return RecurrenceGradients(found.x, found.feedforward, found.feedback, State(found.inputs, found.outputs))
