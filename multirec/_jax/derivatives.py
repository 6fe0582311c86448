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
from .compute import pull_formula, push
from .primitives import Form, pull_p, push_p, run_p, uniform, unpack

__all__: list[str] = []

Array: TypeAlias = Any

# JAX has no types for it
ad: Any = _ad


def _run_jvp(primals: Any, tangents: Any, *, form: Form, choices: Choices) -> Any:
    y, last = run_p.bind(*primals, form=form, choices=choices)
    moves = unpack(tangents, form.given)
    moved = tuple(move is not None and type(move) is not ad.Zero for move in moves)
    parts = uniform([*primals, y, *compress(moves, moved)])
    return [y, last], push_p.bind(*parts, form=form._replace(moved=moved), choices=choices)


def _linear_jvp(
    primitive: Any, formula: Callable[..., Any], primals: Any, tangents: Any, *, form: Form, choices: Choices
) -> Any:
    """Differentiate push or pull: along what they are linear in, they are their own derivative."""
    results = primitive.bind(*primals, form=form, choices=choices)
    fixed = form.size + 1
    live = [type(tangent) is not ad.Zero for tangent in tangents]
    if not any(live[:fixed]):
        moves = [ad.instantiate_zeros(tangent) for tangent in tangents[fixed:]]
        return results, primitive.bind(*primals[:fixed], *moves, form=form, choices=choices)

    def of_live(*moving: Array) -> Any:
        rest = iter(moving)
        parts = [next(rest) if is_live else part for part, is_live in zip(primals, live, strict=True)]
        return formula(*uniform(parts), form=form, choices=choices)

    return results, jax.jvp(of_live, tuple(compress(primals, live)), tuple(compress(tangents, live)))[1]


def _run_transpose(grads: Any, *parts: Any, form: Form, choices: Choices) -> Any:
    """Transpose the recurrence as a function of signals, or of feedforward, as `jax.linear_transpose` wants."""
    moving = iter(ad.is_undefined_primal(part) for part in parts)
    moved = tuple(there and next(moving) for there in form.given)
    x, feedforward, feedback, inputs, _ = moved
    if feedback or (feedforward and (x or inputs)):
        raise UnsupportedError(
            "JAX asks for the transpose of a recurrence along feedback, or along feedforward and its inputs at once, "
            "and y is not linear in them. Transpose along x and the state, or along feedforward alone, or use jax.vjp."
        )
    if all(type(grad) is ad.Zero for grad in grads):
        return [None] * len(parts)
    grad_y, grad_last = map(ad.instantiate_zeros, grads)
    # what is linear does not depend on where its derivative is taken
    fixed = [jnp.zeros(part.aval.shape, part.aval.dtype) if ad.is_undefined_primal(part) else part for part in parts]
    linear = uniform([*fixed, jnp.zeros_like(grad_y), grad_y, grad_last])
    found = iter(pull_p.bind(*linear, form=form._replace(moved=moved), choices=choices))
    return [next(found) if ad.is_undefined_primal(part) else None for part in parts]


def _push_transpose(grads: Any, *parts: Any, form: Form, choices: Choices) -> Any:
    fixed = form.size + 1
    wanted = [ad.is_undefined_primal(part) for part in parts[fixed:]]
    if all(type(grad) is ad.Zero for grad in grads) or not any(wanted):
        return [None] * len(parts)
    still = iter(wanted)
    needs = form._replace(moved=tuple(moved and next(still) for moved in form.moved))
    linear = uniform([*parts[:fixed], *map(ad.instantiate_zeros, grads)])
    found = iter(pull_p.bind(*linear, form=needs, choices=choices))
    return [None] * fixed + [next(found) if is_wanted else None for is_wanted in wanted]


def _pull_transpose(moves: Any, *parts: Any, form: Form, choices: Choices) -> Any:
    fixed = form.size + 1
    live = [type(move) is not ad.Zero for move in moves]
    wanted = [ad.is_undefined_primal(part) for part in parts[fixed:]]
    if not any(live) or not any(wanted):
        return [None] * len(parts)
    still = iter(live)
    moved = form._replace(moved=tuple(wanted and next(still) for wanted in form.moved))
    linear = uniform([*parts[:fixed], *compress(moves, live)])
    found = push_p.bind(*linear, form=moved, choices=choices)
    return [None] * fixed + [part if is_wanted else None for part, is_wanted in zip(found, wanted, strict=True)]


ad.primitive_jvps[run_p] = _run_jvp
ad.primitive_jvps[push_p] = partial(_linear_jvp, push_p, push)
ad.primitive_jvps[pull_p] = partial(_linear_jvp, pull_p, pull_formula)
ad.primitive_transposes[run_p] = _run_transpose
ad.primitive_transposes[push_p] = _push_transpose
ad.primitive_transposes[pull_p] = _pull_transpose
