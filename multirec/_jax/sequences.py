"""The JAX side of sequences: a compiled function for each signature, whatever the marks are, which may be traced.

Backends that no program can hold or call for sequences compute pieces, where marks have values.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from .._core.arrays import has_64_bit
from .._core.axes import in_computed_types, operands_in, signal_out, state_in, zeros
from .._core.problem import Problem
from .._core.state import State
from .._core.validate import NAMES, Call, Choices
from .._engine.plan import Plan, plan_for
from .._registry.choice import chosen
from .._registry.registry import registry
from .._sequences.bind import Bound, settled_bound
from .._sequences.bind import way_of as way_of_pieces
from .._sequences.marks import Marks
from .._sequences.numbers import check_seen, in_range, numbers_of
from .._sequences.plain import compose
from .._sequences.tail import kept_inputs, places_of
from ..backend import Operands, SequenceKernel
from ..errors import UnsupportedError
from .cut import Cut
from .door import check_64_bit, check_devices, check_out, check_sizes
from .door import recurrence as plain
from .marked import fuses
from .primitives import SEQUENCES

__all__ = ["recurrence", "way_of"]

Array: TypeAlias = Any
Program: TypeAlias = Callable[..., tuple[Array, State]]


def recurrence(
    arrays: tuple[Array | None, ...], choices: Choices, out: Array | None, marks: Marks
) -> tuple[Array, State]:
    """`multirec.recurrence` on sequences: (x, feedforward, feedback, inputs, outputs) of JAX."""
    check_out(out)
    found = settled_bound(arrays, marks, choices)
    call, problem = found.call, found.call.problem
    check_64_bit(call)
    check_sizes(problem)
    if not _is_compiled(_plan(arrays, problem, choices), found.states.problem.batch, marks, choices):
        _check_known(marks, choices.backend)
        check_devices(arrays)
        return compose(plain, arrays, found, marks, choices)
    check_seen(marks, problem)
    try:
        return _bound(call, found.states, choices.backend)(marks, *arrays)
    except ValueError:
        check_devices((*arrays, *marks), (*NAMES, *Marks._fields))
        raise


def way_of(found: Bound, marks: Marks, choices: Choices) -> tuple[Problem, tuple[str, ...]]:
    """Return the problem that a backend is to compute, and how sequences are, in words for `explain`."""
    problem, states = found.call.problem, found.states.problem.batch
    try:
        plan = plan_for(problem, choices.backend)
    except UnsupportedError:
        return problem, ()
    if not _is_compiled(plan, states, marks, choices):
        return way_of_pieces(found)
    if fuses(plan, _count(marks, problem)):
        return problem, ("sequences are computed in one pass",)
    return problem, ("sequences are computed sample by sample, in a loop that XLA compiles",)


def _plan(arrays: tuple[Array | None, ...], problem: Problem, choices: Choices) -> Plan:
    try:
        return plan_for(problem, choices.backend)
    except UnsupportedError:
        # in the caller's shapes
        x: Any = arrays[0]
        chosen(problem, choices.backend, tuple(x.shape))
        raise


def _is_compiled(plan: Plan, states: int, marks: Marks, choices: Choices) -> bool:
    """Whether a program computes sequences, by a kernel of the plan's or as `auto` may."""
    problem, kernel = plan.problem, plan.kernel
    if plan.info.family == "jax" or choices.backend == "auto":
        return True
    if not all((problem.batch, problem.channels, problem.length, states)):
        return plan.info.family == "numpy"
    if plan.info.family != "numpy" or not isinstance(kernel, SequenceKernel):
        return False
    return kernel.sequences(problem, _count(marks, problem))


def _count(marks: Marks, problem: Problem) -> int | None:
    """Return how many states a kernel sees, if more than one an example."""
    return problem.length + 1 if marks.states is not None and marks.resets is not None else marks.states


def _check_known(marks: Marks, backend: str) -> None:
    for name, part in zip(Marks._fields, marks, strict=True):
        if isinstance(part, jax.core.Tracer):
            raise UnsupportedError(
                f"{name} is traced by JAX (jit, grad, vmap, …), and backend {backend!r} has no kernel of sequences "
                "that a program could call. Ask for backend='auto' or 'jax', or pass values that are known, such as "
                "NumPy's."
            )


@lru_cache(maxsize=1024)
def _bound(call: Call, states: Call, backend: str) -> Program:
    problem = call.problem
    choices = Choices(problem.layout, problem.reverse, backend, problem.compute_dtype)

    def multirec_sequences(marks: Marks, *arrays: Array | None) -> tuple[Array, State]:
        own = in_computed_types(problem, Operands(*arrays))
        operands = operands_in(call, own.x, own.feedforward, own.feedback, None, None)
        inputs, outputs = (None if part is None else state_in(part, states) for part in own[3:])
        if problem.length:
            y, *after = _computed(operands._replace(inputs=inputs, outputs=outputs), call, states, choices, marks)
        else:
            y = zeros(operands.x, (problem.batch, problem.channels, 0), problem.y_dtype)
            kinds = (
                (problem.x_channels, problem.input_order, problem.dtype),
                (problem.channels, problem.order, problem.state_dtype),
            )
            after = [
                zeros(y, (states.problem.batch, *of), dtype) if part is None else part
                for part, (*of, dtype) in zip((inputs, outputs), kinds, strict=True)
            ]
        state = (signal_out(part, problem.layout, states.batch_shape) for part in after)
        return signal_out(y, problem.layout, call.batch_shape), State(*state)

    compiled: Program = jax.jit(multirec_sequences)
    return compiled


# a backend of the same name may be another
registry.watchers.append(_bound.cache_clear)


def _computed(
    operands: Operands, call: Call, states: Call, choices: Choices, marks: Marks
) -> tuple[Array, Array, Array]:
    """Return y and both parts of the state, canonical."""
    problem = call.problem
    sequences = in_range(
        Marks(*(None if part is None else jnp.asarray(part) for part in marks)),
        call,
        "int64" if has_64_bit() else "int32",
    )
    numbers, given, count = numbers_of(sequences, problem), operands[3:], marks.states
    cut, own = None, operands
    if count is not None and sequences.resets is not None:
        cut = Cut(sequences, numbers, problem)
        sequences, count = cut.sequences, problem.length + 1
        own = Operands(*operands[:3], *(None if part is None else cut.before(part) for part in given))
    y, last = SEQUENCES((*own, numbers), problem.device, choices, count=count)
    places = places_of(sequences, numbers, problem) if problem.input_order else None
    kept = kept_inputs(own.x, own.inputs, places, problem, states.problem.batch if count is None else count)
    if cut is not None:
        kept, last = (cut.after(part, of) for part, of in zip((kept, last), given, strict=True))
    return y, kept, last
