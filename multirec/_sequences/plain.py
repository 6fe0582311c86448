"""Sequences of libraries without autograd, NumPy and CuPy: values, and gradients as a function."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from .._core.arrays import spec_of
from .._core.state import State
from .._core.validate import Choices, check_signal
from .._engine.call import launcher_of
from .._registry.choice import chosen
from ..backend import Gradients, Needs
from ..errors import UnsupportedError
from .adjoint import composed_vjp
from .bind import Bound, settled_bound
from .composed import Run, composed
from .marks import Marks
from .numbers import read_on_host

__all__ = ["compose", "recurrence", "vjp"]

Array: TypeAlias = Any
Arrays: TypeAlias = tuple[Array | None, ...]


def recurrence(arrays: Arrays, choices: Choices, out: Array | None, marks: Marks) -> tuple[Array, State]:
    """`multirec.recurrence` on sequences: (x, feedforward, feedback, inputs, outputs) of NumPy or CuPy."""
    found = settled_bound(arrays, marks, choices)
    if found.launcher is not None:
        return found.launcher(arrays, found.launcher.place(marks), out)
    y, state = compose(_run, arrays, found, marks, choices)
    if out is None:
        return y, state
    x: Any = arrays[0]
    expected = spec_of(x, "x")._replace(shape=found.call.y_shape, dtype=found.call.problem.y_dtype)
    check_signal("out", spec_of(out, "out"), expected)
    out[...] = y
    return out, state


def compose(run: Run, arrays: Arrays, found: Bound, marks: Marks, choices: Choices) -> tuple[Array, State]:
    """Return y and the state, computed by recurrences."""
    call, problem = found.call, found.call.problem
    try:
        return composed(run, arrays, call, found.states, read_on_host(marks, call), choices)
    except UnsupportedError:
        # in the caller's shapes, where the whole is refused as well
        x: Any = arrays[0]
        chosen(problem, choices.backend, tuple(x.shape))
        raise


def vjp(
    arrays: Arrays,
    found: Bound,
    marks: Marks,
    choices: Choices,
    grad_y: Array,
    grad_state: tuple[Array | None, Array | None],
    y: Array | None,
    needs: Needs,
) -> Gradients:
    """Return the gradients that are needed, of arrays that no derivative is taken of."""
    launcher = found.launcher
    if launcher is None:
        sequences = read_on_host(marks, found.call)
        # as a launcher has it
        with np.errstate(all="ignore"):
            return composed_vjp(arrays, found.call, found.states, sequences, choices, grad_y, grad_state, needs)
    placed = launcher.place(marks)
    if y is None:
        y, _ = launcher(arrays, placed)
    return launcher.vjp(arrays, placed, y, grad_y, *grad_state, needs)


def _run(arrays: Arrays, choices: Choices) -> tuple[Array, State]:
    return launcher_of(arrays, choices)(arrays)
