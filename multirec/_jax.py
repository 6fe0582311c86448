"""The JAX side of `recurrence`: one compiled function of arrays and tracers, and banks as pytrees.

Only shapes, dtypes and devices are looked at outside of the compiled function: nothing traced is read, and new
values compile nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, TypeAlias

import jax
import numpy as np

from ._bank import RecurrenceBank, RecurrenceCascade
from ._canonical import cast_to, operands_in, signal_out, tails
from ._function import call_of, compute
from ._jax_form import Choices
from ._jax_function import apply
from ._problem import Layout
from ._select import plan_for
from ._state import State
from ._validate import Call
from .errors import DtypeError, FamilyError

__all__ = ["recurrence"]

Array: TypeAlias = Any


def recurrence(
    x: Array,
    feedforward: Array | None,
    feedback: Array | None,
    inputs: Array | None,
    outputs: Array | None,
    layout: Layout,
    reverse: bool,
    backend: str,
) -> tuple[Array, State]:
    """`multirec.recurrence` for JAX arrays and tracers."""
    arrays = (x, feedforward, feedback, inputs, outputs)
    call = call_of(arrays, layout, reverse, backend)
    plan = plan_for(call.problem, backend)
    if plan.info.family not in ("jax", "numpy"):
        _check_concrete(arrays, plan.info.name)
        return compute(call, plan, arrays)
    _check_64_bit(call)
    y, state = _compute(call, backend, *arrays)
    return y, state


def _check_64_bit(call: Call) -> None:
    dtype = call.problem.y_dtype
    if dtype in ("float64", "complex128") and jax.dtypes.canonicalize_dtype(np.float64) != np.float64:
        raise DtypeError(
            f"x or a coefficient makes y {dtype}, and JAX has no 64-bit types while jax_enable_x64 is off. "
            "Call jax.config.update('jax_enable_x64', True) at the start, or cast x to "
            f"{'float32' if dtype == 'float64' else 'complex64'}."
        )


@partial(jax.jit, static_argnums=(0, 1))
def _compute(
    call: Call,
    backend: str,
    x: Array,
    feedforward: Array | None,
    feedback: Array | None,
    inputs: Array | None,
    outputs: Array | None,
) -> tuple[Array, State]:
    problem = call.problem
    operands = operands_in(call, x, feedforward, feedback, inputs, outputs)
    b, a = (
        None if taps is None else cast_to(part, taps.dtype)
        for taps, part in ((problem.feedforward, operands.feedforward), (problem.feedback, operands.feedback))
    )
    operands = operands._replace(feedforward=b, feedback=a)
    y = apply(operands, Choices(problem.device, problem.layout, problem.reverse, backend))
    y, *parts = (signal_out(part, problem.layout, call.batch_shape) for part in (y, *tails(problem, operands, y)))
    return y, State(*parts)


def _check_concrete(arrays: tuple[Array | None, ...], backend: str) -> None:
    """Raise unless a backend of another library can look at the memory of these arrays."""
    names = ("x", "feedforward", "feedback", "state.inputs", "state.outputs")
    for name, array in zip(names, arrays, strict=True):
        if isinstance(array, jax.core.Tracer):
            raise FamilyError(
                f"{name} is traced by JAX (jit, grad, vmap, …), and backend {backend!r} cannot be traced. Ask for "
                "backend='jax', or call multirec outside of the transformation."
            )
        if isinstance(array, jax.Array) and len(array.devices()) > 1:
            raise FamilyError(
                f"{name} is sharded over {len(array.devices())} devices, and backend {backend!r} computes on one. Ask "
                "for backend='jax', or gather it on one first."
            )


def _bank_leaves(bank: RecurrenceBank) -> tuple[tuple[tuple[Any, Array | None], ...], tuple[Any, ...]]:
    source = bank._source
    # all are arrays: sections of JAX's are transfer functions of their own
    leaves = [(jax.tree_util.GetAttrKey(name), part) for name, part in zip(source._fields, source, strict=True)]
    return tuple(leaves), (type(source), bank.layout, bank.reverse, bank.backend, bank.compute_dtype)


def _bank_of(structure: tuple[Any, ...], leaves: Iterable[Any]) -> RecurrenceBank:
    # leaves may be anything while JAX takes trees apart, so nothing is checked
    bank = object.__new__(RecurrenceBank)
    kind, bank.layout, bank.reverse, bank.backend, bank.compute_dtype = structure
    bank._source = kind(*leaves)
    return bank


def _cascade_leaves(cascade: RecurrenceCascade) -> tuple[tuple[tuple[Any, Any], ...], None]:
    return tuple((jax.tree_util.SequenceKey(i), bank) for i, bank in enumerate(cascade.sections)), None


def _cascade_of(_: None, banks: Iterable[Any]) -> RecurrenceCascade:
    return RecurrenceCascade(list(banks))


jax.tree_util.register_pytree_with_keys(RecurrenceBank, _bank_leaves, _bank_of)
jax.tree_util.register_pytree_with_keys(RecurrenceCascade, _cascade_leaves, _cascade_of)
