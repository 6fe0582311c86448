"""What the primitives of second-order sections compute, and the shapes of it; as `compute` for recurrences.

`run` and `pull` are the passes of a kernel of NumPy, and where a program cannot call one they are recurrences. So are
`push`, and whatever pull is differentiated to: the form's `compose`, which JAX differentiates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import compress
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from .._core.axes import from_channels_time, to_channels_time
from .._core.cascade import cascade_of
from .._core.problem import Spec
from .._core.validate import Choices
from .._engine.plan import Plan
from .._registry.registry import registry
from ..backend import CascadeKernel
from .buffers import Kind
from .host_call import call
from .jobs import plan_of_sections
from .primitives import Form, pull_shape, unpack
from .rows import Rows, result

__all__ = ["fuses", "plan_of", "pull", "pull_formula", "pull_shape", "push", "push_shape", "run", "run_shape"]

Array: TypeAlias = Any


def plan_of(parts: Sequence[Any], form: Form, choices: Choices) -> Plan:
    """Return the plan of one section of canonical operands, by their shapes and types alone."""
    x, taps = (Kind(tuple(part.shape), str(part.dtype)) for part in parts[:2])
    return _plan(x, taps, form.device, choices)


@lru_cache(maxsize=1024)
def _plan(x: Kind, taps: Kind, device: str, choices: Choices) -> Plan:
    return plan_of_sections(Spec(*x, "jax", device), Spec(*taps, "jax", device), choices)


# a backend of the same name may be another
registry.watchers.append(_plan.cache_clear)


def fuses(plan: Plan, sections: int) -> bool:
    """Whether a program calls the plan's kernel for all sections at once."""
    kernel = plan.kernel
    if plan.info.family != "numpy" or not isinstance(kernel, CascadeKernel):
        return False
    return kernel.cascades(cascade_of(plan.problem, sections))


def run(*parts: Array, form: Form, choices: Choices) -> list[Array]:
    plan = plan_of(parts, form, choices)
    if not fuses(plan, parts[1].shape[2]):
        return _composed(*parts, form=form, choices=choices)
    return call(plan, form.given, None, parts, run_shape(*map(jax.typeof, parts), form=form, choices=choices))


def push(*parts: Array, form: Form, choices: Choices) -> list[Array]:
    function, primals = _of_moved(parts, form, choices)
    moved: list[Array] = jax.jvp(function, primals, parts[form.size :])[1]
    return moved


def pull(*parts: Array, form: Form, choices: Choices) -> list[Array]:
    plan, given = plan_of(parts, form, choices), parts[: form.size]
    if not fuses(plan, parts[1].shape[2]):
        return pull_formula(*parts, form=form, choices=choices)
    # JAX transposes without conjugating
    grads = [grad.conj() for grad in parts[form.size :]]
    like = list(compress(unpack(given, form.given), form.moved))
    return [grad.conj() for grad in call(plan, form.given, form.moved, [*given, *grads], like)]


def pull_formula(*parts: Array, form: Form, choices: Choices) -> list[Array]:
    function, primals = _of_moved(parts, form, choices)
    return list(jax.vjp(function, *primals)[1](list(parts[form.size :])))


def run_shape(*parts: Any, form: Form, choices: Choices) -> Any:
    problem = plan_of(parts, form, choices).problem
    rows = Rows(problem.batch, problem.channels)
    few = (problem.batch, problem.channels, parts[1].shape[2], 2)
    kinds = ((problem.batch, problem.channels, problem.length), problem.y_dtype), *[(few, problem.state_dtype)] * 2
    return [result(parts, rows, shape, jnp.dtype(dtype)) for shape, dtype in kinds]


def push_shape(*parts: Any, form: Form, choices: Choices) -> Any:
    return run_shape(*parts[: form.size], form=form, choices=choices)


def _composed(*parts: Array, form: Form, choices: Choices) -> list[Array]:
    x, taps, memory = unpack(parts, form.given)
    assert form.compose is not None
    y, memory, ends = form.compose(choices, from_channels_time(x, choices.layout), taps, memory)
    return [to_channels_time(y, choices.layout), memory, ends]


def _of_moved(
    parts: Sequence[Array], form: Form, choices: Choices
) -> tuple[Callable[..., list[Array]], tuple[Array, ...]]:
    """Return the recurrences as a function of the operands that move, and these."""
    given, moved = parts[: form.size], list(compress(form.moved, form.given))

    def function(*moving: Array) -> list[Array]:
        rest = iter(moving)
        own = (next(rest) if moves else part for part, moves in zip(given, moved, strict=True))
        return _composed(*own, form=form, choices=choices)

    return function, tuple(compress(given, moved))
