"""Derivatives of the primitives: tangents along their operands, and transposes of what is linear."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import compress
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.interpreters import ad as _ad

from .._core.validate import Choices
from ..errors import UnsupportedError
from . import cascades, compute, marked
from .primitives import CASCADE, RECURRENCE, SEQUENCES, Form, Operation, uniform, unpack

__all__: list[str] = []

Array: TypeAlias = Any
Formula: TypeAlias = Callable[..., Any]
Check: TypeAlias = Callable[..., None]

# JAX has no types for it
ad: Any = _ad


def _run_jvp(operation: Operation, primals: Any, tangents: Any, *, form: Form, choices: Choices) -> Any:
    results = operation.run.bind(*primals, form=form, choices=choices)
    moves = unpack(tangents, form.given)
    moved = tuple(move is not None and type(move) is not ad.Zero for move in moves)
    kept = results[: operation.keeps_y]
    parts = uniform([*primals, *kept, *compress(moves, moved)])
    return results, operation.push.bind(*parts, form=form._replace(moved=moved), choices=choices)


def _linear_jvp(
    operation: Operation, primitive: Any, formula: Formula, primals: Any, tangents: Any, *, form: Form, choices: Choices
) -> Any:
    """Differentiate push or pull: along what they are linear in, they are their own derivative."""
    results = primitive.bind(*primals, form=form, choices=choices)
    fixed = operation.fixed(form)
    live = [type(tangent) is not ad.Zero for tangent in tangents]
    if not any(live[:fixed]):
        moves = [ad.instantiate_zeros(tangent) for tangent in tangents[fixed:]]
        return results, primitive.bind(*primals[:fixed], *moves, form=form, choices=choices)

    def of_live(*moving: Array) -> Any:
        rest = iter(moving)
        parts = [next(rest) if is_live else part for part, is_live in zip(primals, live, strict=True)]
        return formula(*uniform(parts), form=form, choices=choices)

    return results, jax.jvp(of_live, tuple(compress(primals, live)), tuple(compress(tangents, live)))[1]


def _run_transpose(operation: Operation, check: Check, grads: Any, *parts: Any, form: Form, choices: Choices) -> Any:
    """Transpose the function of signals, or of feedforward, as `jax.linear_transpose` wants."""
    moved = tuple(map(bool, unpack(map(ad.is_undefined_primal, parts), form.given)))
    check(*moved)
    if all(type(grad) is ad.Zero for grad in grads):
        return [None] * len(parts)
    grads = [*map(ad.instantiate_zeros, grads)]
    # what is linear does not depend on where its derivative is taken
    fixed = [jnp.zeros(part.aval.shape, part.aval.dtype) if ad.is_undefined_primal(part) else part for part in parts]
    linear = uniform([*fixed, *map(jnp.zeros_like, grads[: operation.keeps_y]), *grads])
    found = iter(operation.pull.bind(*linear, form=form._replace(moved=moved), choices=choices))
    return [next(found) if ad.is_undefined_primal(part) else None for part in parts]


def _check_recurrence(
    x: bool, feedforward: bool, feedback: bool, inputs: bool, outputs: bool, numbers: bool = False
) -> None:
    if feedback or (feedforward and (x or inputs)):
        raise UnsupportedError(
            "JAX asks for the transpose of a recurrence along feedback, or along feedforward and its inputs at once, "
            "and y is not linear in them. Transpose along x and the state, or along feedforward alone, or use jax.vjp."
        )


def _check_cascade(x: bool, taps: bool, memory: bool) -> None:
    if taps:
        raise UnsupportedError(
            "JAX asks for the transpose of sections along their coefficients, and y is not linear in them. Transpose "
            "along x and the memory, or use jax.vjp."
        )


def _push_transpose(operation: Operation, grads: Any, *parts: Any, form: Form, choices: Choices) -> Any:
    fixed = operation.fixed(form)
    wanted = [ad.is_undefined_primal(part) for part in parts[fixed:]]
    if all(type(grad) is ad.Zero for grad in grads) or not any(wanted):
        return [None] * len(parts)
    still = iter(wanted)
    needs = form._replace(moved=tuple(moved and next(still) for moved in form.moved))
    linear = uniform([*parts[:fixed], *map(ad.instantiate_zeros, grads)])
    found = iter(operation.pull.bind(*linear, form=needs, choices=choices))
    return [None] * fixed + [next(found) if is_wanted else None for is_wanted in wanted]


def _pull_transpose(operation: Operation, moves: Any, *parts: Any, form: Form, choices: Choices) -> Any:
    fixed = operation.fixed(form)
    live = [type(move) is not ad.Zero for move in moves]
    wanted = [ad.is_undefined_primal(part) for part in parts[fixed:]]
    if not any(live) or not any(wanted):
        return [None] * len(parts)
    still = iter(live)
    moved = form._replace(moved=tuple(wanted and next(still) for wanted in form.moved))
    linear = uniform([*parts[:fixed], *compress(moves, live)])
    found = operation.push.bind(*linear, form=moved, choices=choices)
    return [None] * fixed + [part if is_wanted else None for part, is_wanted in zip(found, wanted, strict=True)]


def _define(operation: Operation, push: Formula, pull: Formula, check: Check) -> None:
    ad.primitive_jvps[operation.run] = partial(_run_jvp, operation)
    ad.primitive_jvps[operation.push] = partial(_linear_jvp, operation, operation.push, push)
    ad.primitive_jvps[operation.pull] = partial(_linear_jvp, operation, operation.pull, pull)
    ad.primitive_transposes[operation.run] = partial(_run_transpose, operation, check)
    ad.primitive_transposes[operation.push] = partial(_push_transpose, operation)
    ad.primitive_transposes[operation.pull] = partial(_pull_transpose, operation)


_define(RECURRENCE, compute.push, compute.pull_formula, _check_recurrence)
_define(CASCADE, cascades.push, cascades.pull_formula, _check_cascade)
_define(SEQUENCES, marked.push, marked.pull_formula, _check_recurrence)
