"""What the primitives compute, and the shapes of it.

`pull` is the backend's own adjoint, in one pass. Where push and pull are themselves differentiated along their
operands, their formulas are computed by `run_p`. JAX transposes without conjugating; backends do conjugate.
Backends of JAX are traced; those of NumPy are called by the program, on one CPU device.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from itertools import compress
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from .._calculus import formula
from .._core.axes import ends
from .._core.problem import Spec, in_precision, plan_problem, real_precision
from .._core.validate import Choices
from .._engine.plan import Plan, plan_for
from .._registry.registry import registry
from ..backend import Needs, Operands
from .buffers import Kind
from .host_call import call
from .primitives import RECURRENCE, Form, pull_shape, unpack
from .rows import Rows, result

__all__ = ["plan_of", "pull", "pull_formula", "pull_shape", "push", "push_shape", "run", "run_shape"]

Array: TypeAlias = Any


def plan_of(parts: Sequence[Any], form: Form, choices: Choices) -> Plan:
    """Return the plan of canonical operands, by their shapes and types alone."""
    operands = unpack(parts[: form.size], form.given)
    kinds = [None if part is None else Kind(tuple(part.shape), str(part.dtype)) for part in operands[:3]]
    return _plan(tuple(kinds), form.device, choices)


@lru_cache(maxsize=1024)
def _plan(kinds: tuple[Kind | None, ...], device: str, choices: Choices) -> Plan:
    of_x, *of_taps = (None if kind is None else Spec(kind.shape, kind.dtype, "jax", device) for kind in kinds)
    assert of_x is not None
    problem = plan_problem(of_x, *of_taps, choices.layout, choices.reverse, choices.compute_dtype)
    return plan_for(problem, choices.backend)


# a backend of the same name may be another
registry.watchers.append(_plan.cache_clear)


def run(*parts: Array, form: Form, choices: Choices) -> list[Array]:
    plan = plan_of(parts, form, choices)
    if plan.info.family == "jax":
        return list(plan.forward(_operands(parts, form)))
    return call(plan, form.given, None, parts, run_shape(*map(jax.typeof, parts), form=form, choices=choices))


def push(*parts: Array, form: Form, choices: Choices) -> list[Array]:
    operands, y, moves = _split_linear(parts, form)
    problem, reverse = plan_of(parts, form, choices).problem, choices.reverse
    wide = partial(_wide, operands.x, choices)
    given, moving = Operands(*map(wide, operands)), Operands(*map(wide, moves))
    tangent = formula.tangent(_runner(form, choices), given, moving, wide(y), reverse)
    return [tangent.astype(y.dtype), ends(tangent, problem.order, reverse).astype(problem.state_dtype)]


def pull(*parts: Array, form: Form, choices: Choices) -> list[Array]:
    operands, y, grads = _split_flat(parts, form)
    plan, (grad_y, grad_last) = plan_of(parts, form, choices), (grad.conj() for grad in grads)
    if plan.info.family == "jax":
        return _flat_gradients(plan.vjp(operands, y, grad_y, None, grad_last, Needs(*form.moved)), operands, form)
    # y is read for the gradient of feedback alone, and need not be computed for the others
    given = [*parts[: form.size], y if form.moved[2] else grad_y, grad_y, grad_last]
    return [grad.conj() for grad in call(plan, form.given, form.moved, given, list(compress(operands, form.moved)))]


def pull_formula(*parts: Array, form: Form, choices: Choices) -> list[Array]:
    operands, y, grads = _split_flat(parts, form)
    wide, reverse = partial(_wide, operands.x, choices), choices.reverse
    grad_y, grad_last = (wide(grad.conj()) for grad in grads)
    gap = grad_y.shape[-1] - grad_last.shape[-1]
    grad_y = grad_y + jnp.pad(grad_last, ((0, 0), (0, 0), (0, gap) if reverse else (gap, 0)))
    given = Operands(*map(wide, operands))
    found = formula.gradients(_runner(form, choices), given, wide(y), grad_y, Needs(*form.moved), reverse)
    return _flat_gradients(found, operands, form)


def run_shape(*parts: Any, form: Form, choices: Choices) -> Any:
    problem = plan_of(parts, form, choices).problem
    kinds = (problem.length, problem.y_dtype), (min(problem.order, problem.length), problem.state_dtype)
    rows = Rows(problem.batch, problem.channels)
    shapes = (((problem.batch, problem.channels, count), dtype) for count, dtype in kinds)
    return [result(parts, rows, shape, jnp.dtype(dtype)) for shape, dtype in shapes]


def push_shape(*parts: Any, form: Form, choices: Choices) -> Any:
    return run_shape(*parts[: form.size], form=form, choices=choices)


def _runner(form: Form, choices: Choices) -> formula.Run:
    """Return the recurrence as `formula` calls it: differentiable, so that derivatives of any order follow."""

    def run(operands: Operands, reverse: bool) -> Array:
        return RECURRENCE(operands, form.device, choices._replace(reverse=reverse))[0]

    return run


def _flat_gradients(found: Any, operands: Operands, form: Form) -> list[Array]:
    """Return the gradients that are wanted, in JAX's convention and the operands' dtypes."""
    pairs = zip(compress(found, form.moved), compress(operands, form.moved), strict=True)
    return [grad.conj().astype(operand.dtype) for grad, operand in pairs]


def _split_flat(parts: Sequence[Array], form: Form) -> tuple[Operands, Array, Sequence[Array]]:
    return _operands(parts, form), parts[form.size], parts[form.size + 1 :]


def _split_linear(parts: Sequence[Array], form: Form) -> tuple[Operands, Array, Operands]:
    operands, y, moves = _split_flat(parts, form)
    return operands, y, Operands._make(unpack(moves, form.moved))


def _operands(parts: Sequence[Array], form: Form) -> Operands:
    return Operands._make(unpack(parts[: form.size], form.given))


def _wide(x: Array, choices: Choices, part: Array | None) -> Any:
    """Return a part in the precision that derivatives are computed in, which is that of the recurrence."""
    if part is None:
        return None
    return part.astype(in_precision(str(part.dtype), choices.compute_dtype or real_precision(str(x.dtype))))
