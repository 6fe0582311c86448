"""What the primitives of sequences compute, and the shapes of it; as `cascades` for second-order sections.

`run` and `pull` are the passes of a kernel of NumPy, and where a program cannot call one they are steps. So are `push`,
and whatever pull is differentiated to, which JAX differentiates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from .._core.validate import Choices
from .._engine.plan import Plan
from ..backend import Operands, SequenceKernel
from .compute import plan_of
from .host_call import call
from .primitives import Form, pull_shape, unpack
from .rows import Rows, result
from .steps import in_steps

__all__ = ["fuses", "plan_of", "pull", "pull_formula", "pull_shape", "push", "push_shape", "run", "run_shape"]

Array: TypeAlias = Any


def fuses(plan: Plan, count: int | None) -> bool:
    """Whether a program calls the plan's kernel for all sequences at once."""
    problem, kernel = plan.problem, plan.kernel
    sizes = problem.batch, problem.channels, problem.length, 1 if count is None else count
    if plan.info.family != "numpy" or not isinstance(kernel, SequenceKernel) or not all(sizes):
        return False
    return kernel.sequences(problem, count)


def run(*parts: Array, form: Form, choices: Choices) -> list[Array]:
    plan = plan_of(parts, form, choices)
    if not fuses(plan, form.states):
        return _stepped(*parts, form=form, choices=choices)
    results = run_shape(*map(jax.typeof, parts), form=form, choices=choices)
    return call(plan, form.given, None, parts, results, form.states)


def push(*parts: Array, form: Form, choices: Choices) -> list[Array]:
    function, primals = _of_moved(parts, form, choices)
    moved: list[Array] = jax.jvp(function, primals, parts[form.size + 1 :])[1]
    return moved


def pull(*parts: Array, form: Form, choices: Choices) -> list[Array]:
    plan, given, y = plan_of(parts, form, choices), parts[: form.size], parts[form.size]
    if not fuses(plan, form.states):
        return pull_formula(*parts, form=form, choices=choices)
    # JAX transposes without conjugating
    grad_y, grad_last = (grad.conj() for grad in parts[form.size + 1 :])
    # y is read for the gradient of feedback alone, and need not be computed for the others
    operands = [*given, y if form.moved[2] else grad_y, grad_y, grad_last]
    like = list(compress(unpack(given, form.given), form.moved))
    return [grad.conj() for grad in call(plan, form.given, form.moved, operands, like, form.states)]


def pull_formula(*parts: Array, form: Form, choices: Choices) -> list[Array]:
    function, primals = _of_moved(parts, form, choices)
    return list(jax.vjp(function, *primals)[1](list(parts[form.size + 1 :])))


def run_shape(*parts: Any, form: Form, choices: Choices) -> Any:
    problem = plan_of(parts, form, choices).problem
    states = problem.batch if form.states is None else form.states
    kinds = (
        ((problem.batch, problem.channels, problem.length), problem.y_dtype),
        ((states, problem.channels, problem.order), problem.state_dtype),
    )
    rows = Rows(None if form.states is not None else problem.batch, problem.channels)
    return [result(parts, rows, shape, jnp.dtype(dtype)) for shape, dtype in kinds]


def push_shape(*parts: Any, form: Form, choices: Choices) -> Any:
    return run_shape(*parts[: form.size], form=form, choices=choices)


def _stepped(*parts: Array, form: Form, choices: Choices) -> list[Array]:
    *operands, numbers = unpack(parts, form.given)
    return in_steps(Operands(*operands), numbers, plan_of(parts, form, choices).problem, form.states)


def _of_moved(
    parts: Sequence[Array], form: Form, choices: Choices
) -> tuple[Callable[..., list[Array]], tuple[Array, ...]]:
    """Return the steps as a function of the operands that move, and these; y is computed again."""
    given, moved = parts[: form.size], list(compress(form.moved, form.given))

    def function(*moving: Array) -> list[Array]:
        rest = iter(moving)
        own = (next(rest) if moves else part for part, moves in zip(given, moved, strict=True))
        return _stepped(*own, form=form, choices=choices)

    return function, tuple(compress(given, moved))
