"""From a call on sequences to what computes it: validated, planned, remembered by its signature."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from .._core.problem import Problem, in_precision, join_shape
from .._core.validate import Call, Choices, Specs, build_call
from .._engine.call import signed, specs_of
from .._engine.plan import plan_for
from .._engine.precision import decided_by_values, settled
from .._engine.table import Table
from ..backend import SequenceKernel
from ..errors import ShapeError, UnsupportedError
from .launch import Launcher
from .marks import Marks, check

__all__ = ["Bound", "bound", "calls_of", "settled_bound", "way_of"]

Array: TypeAlias = Any
Arrays: TypeAlias = tuple[Array | None, ...]


class Bound(NamedTuple):
    """A validated call on sequences, and what runs it in one pass, if there is such a kernel.

    Attributes
    ----------
    call
        Of x and the coefficients.
    states
        The same with the batch axes that states have.
    launcher
        None where sequences are computed side by side.
    judges
        Whether the values of coefficients decide the precision.
    """

    call: Call
    states: Call
    launcher: Launcher | None
    judges: bool


_bound: Table[Bound] = Table()


def settled_bound(arrays: Arrays, marks: Marks, choices: Choices) -> Bound:
    """Return what runs a call, in float64 where rounding would spoil a filter."""
    found = bound(arrays, marks, choices)
    if not found.judges:
        return found
    own = settled(found.call, arrays, choices)
    return found if own is choices else bound(arrays, marks, own)


def bound(arrays: Arrays, marks: Marks, choices: Choices) -> Bound:
    """Return what runs a call as its choices say, whatever the values; remembered by its signature."""
    try:
        signature: Hashable = (choices, *map(signed, arrays), *map(signed, marks))
        found = _bound.get(signature)
    except (AttributeError, TypeError, RuntimeError):
        # no arrays of ours, which validation says better
        return _prepared(arrays, marks, choices)
    return found or _bound.find(signature, lambda: _prepared(arrays, marks, choices))


def calls_of(arrays: Arrays, marks: Marks, choices: Choices) -> tuple[Call, Call]:
    """Validate a call on sequences: with the batch axes of x, and with those of states."""
    x, feedforward, feedback, inputs, outputs = specs_of(arrays)
    call = build_call(x, feedforward, feedback, None, None, choices)
    check(marks, x, call)
    if marks.cu_seqlens is None:
        return call, build_call(x, feedforward, feedback, inputs, outputs, choices)
    return call, _of_states((x, feedforward, feedback, inputs, outputs), marks.cu_seqlens.shape[0] - 1, call, choices)


def _of_states(specs: Specs, count: int, call: Call, choices: Choices) -> Call:
    """Validate states that have an entry for each of `count` sequences."""
    x, feedforward, feedback, inputs, outputs = specs
    problem = call.problem
    # coefficients of the one example are of all sequences
    row = x._replace(shape=join_shape((count,), problem.x_channels, problem.length, problem.layout))
    try:
        build_call(row, feedforward, feedback, inputs, outputs, choices)
    except ShapeError as error:
        raise ShapeError(f"with cu_seqlens of {count} sequences a state has {count} entries. {error}") from None
    return call._replace(problem=replace(problem, batch=count), batch_shape=(count,))


def way_of(found: Bound) -> tuple[Problem, tuple[str, ...]]:
    """Return the problem that a backend is to compute, and how sequences are, in words for `explain`."""
    problem = found.call.problem
    if found.launcher is not None:
        return problem, ("sequences are computed in one pass",)
    dtype, y_dtype = (in_precision(name, problem.compute_dtype) for name in (problem.dtype, problem.y_dtype))
    return replace(problem, dtype=dtype, y_dtype=y_dtype), (
        "sequences are cut up, and pieces of one length computed side by side",
    )


def _prepared(arrays: Arrays, marks: Marks, choices: Choices) -> Bound:
    call, states = calls_of(arrays, marks, choices)
    judges = decided_by_values(specs_of(arrays), choices)
    return Bound(call, states, _launcher(arrays, marks, call, states, choices), judges)


def _launcher(arrays: Arrays, marks: Marks, call: Call, states: Call, choices: Choices) -> Launcher | None:
    problem, count = call.problem, marks.states
    if problem.family == "jax":
        # its arrays are run by programs
        return None
    cut = marks.resets is not None and count is not None
    if cut or not all((problem.batch, problem.channels, problem.length, states.problem.batch)):
        return None
    try:
        plan = plan_for(problem, choices.backend)
    except UnsupportedError:
        # what is made of this problem may be computed
        return None
    kernel = plan.kernel
    if plan.info.family not in (plan.library, "cuda") or not isinstance(kernel, SequenceKernel):
        return None
    return Launcher(call, states, plan, kernel, count, arrays) if kernel.sequences(problem, count) else None
