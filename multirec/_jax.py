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

from ._bank import RecurrenceBank
from ._canonical import in_computed_types, operands_in, signal_out, tails
from ._cascade import RecurrenceCascade
from ._function import call_of, compute
from ._jax_function import apply
from ._precision import computes_wide
from ._select import plan_for
from ._state import State
from ._validate import Call, Choices
from .backend import Operands
from .errors import DtypeError, FamilyError

__all__ = ["recurrence"]

Array: TypeAlias = Any


def recurrence(arrays: tuple[Array | None, ...], choices: Choices) -> tuple[Array, State]:
    """`multirec.recurrence` for JAX arrays and tracers: (x, feedforward, feedback, inputs, outputs)."""
    call = call_of(arrays, choices)
    choices = choices._replace(compute_dtype=call.problem.compute_dtype)
    check_64_bit(call)
    plan = plan_for(call.problem, choices.backend)
    if plan.info.family not in ("jax", "numpy"):
        _check_concrete(arrays, plan.info.name)
        return compute(call, plan, arrays)
    y, state = _compute(call, choices, *arrays)
    return y, state


def has_64_bit() -> bool:
    """Whether JAX has 64-bit types now."""
    return bool(jax.dtypes.canonicalize_dtype(np.float64) == np.float64)


def check_64_bit(call: Call) -> None:
    """Raise unless JAX has the types that a call is computed in."""
    problem = call.problem
    if problem.compute_dtype == "float32" or has_64_bit():
        return
    dtype = problem.y_dtype
    if problem.wide:
        what, way_out = "compute_dtype is float64", "leave compute_dtype out"
    else:
        what = f"x or a coefficient makes y {dtype}"
        way_out = f"cast x to {'float32' if dtype == 'float64' else 'complex64'}"
    raise DtypeError(
        f"{what}, and JAX has no 64-bit types while jax_enable_x64 is off. "
        f"Call jax.config.update('jax_enable_x64', True) at the start, or {way_out}."
    )


@partial(jax.jit, static_argnums=(0, 1))
def _compute(
    call: Call,
    choices: Choices,
    x: Array,
    feedforward: Array | None,
    feedback: Array | None,
    inputs: Array | None,
    outputs: Array | None,
) -> tuple[Array, State]:
    problem = call.problem
    operands = operands_in(call, *in_computed_types(problem, Operands(x, feedforward, feedback, inputs, outputs)))
    y, last = apply(operands, problem.device, choices)
    y, *parts = (signal_out(part, problem.layout, call.batch_shape) for part in (y, *tails(problem, operands, last)))
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
    choices = bank.layout, bank.reverse, bank.backend, bank.compute_dtype
    return tuple(leaves), (type(source), bank._name, choices)


def _bank_of(structure: tuple[Any, ...], leaves: Iterable[Any]) -> RecurrenceBank:
    # leaves may be anything while JAX takes trees apart, so nothing is checked
    bank = object.__new__(RecurrenceBank)
    kind, bank._name, choices = structure
    bank.layout, bank.reverse, bank.backend, bank.compute_dtype = choices
    bank._mendable = computes_wide(bank.backend)
    bank._source = kind(*leaves)
    return bank


def _cascade_leaves(cascade: RecurrenceCascade) -> tuple[tuple[tuple[Any, Any], ...], None]:
    return tuple((jax.tree_util.SequenceKey(i), bank) for i, bank in enumerate(cascade.sections)), None


def _cascade_of(_: None, banks: Iterable[Any]) -> RecurrenceCascade:
    return RecurrenceCascade(list(banks))


jax.tree_util.register_pytree_with_keys(RecurrenceBank, _bank_leaves, _bank_of)
jax.tree_util.register_pytree_with_keys(RecurrenceCascade, _cascade_leaves, _cascade_of)
