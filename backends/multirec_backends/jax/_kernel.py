"""Forward and adjoint, each compiled as a whole: everything but the values of arrays is in the static problem.

The context of 64-bit types is for this computation alone: blocks are built and carried in float64 whatever the user's
setting, which is left as it was.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp

from multirec.adjoint import gradients
from multirec.backend import Allocate, Array, Gradients, Needs, Operands, Problem

from ._pieces import in_pieces, piece_length
from ._solve import Filter, compute_type, is_blocked, make_filter, run

__all__ = ["Jax", "kernel"]


class Jax:
    """The kernel: pure functions of JAX arrays and tracers."""

    def forward(self, problem: Problem, operands: Operands, allocate: Allocate) -> Array | tuple[Array, Array]:
        """Return y (B, C, T), and its last samples where they were computed in a wider type."""
        with jax.enable_x64(True):
            y, last = _forward(_plain(problem), operands)
        return y if last is None else (y, last)

    def vjp(
        self,
        problem: Problem,
        operands: Operands,
        y: Array,
        grad_y: Array,
        grad_last: Array | None,
        needs: Needs,
        allocate: Allocate,
    ) -> Gradients:
        """Return the adjoint applied to `grad_y`, in torch's convention."""
        with jax.enable_x64(True):
            found: Gradients = _vjp(_plain(problem), needs, operands, y, grad_y, grad_last)
        return found


@lru_cache(maxsize=1024)
def _plain(problem: Problem) -> Problem:
    """Leave out where arrays come from: what is compiled is the same, and is compiled once."""
    return replace(problem, family="jax", device=problem.device_type, layout="BCT")


@partial(jax.jit, static_argnums=0)
def _forward(problem: Problem, operands: Operands) -> tuple[Array, Array | None]:
    count, keeps = min(problem.order, problem.length), problem.state_dtype != problem.y_dtype
    if not problem.batch * problem.channels * problem.length:
        rows = (problem.batch, problem.channels)
        y = jnp.zeros((*rows, problem.length), problem.y_dtype)
        return y, jnp.zeros((*rows, count), problem.state_dtype) if keeps else None
    dtype = compute_type(problem)
    blocked = is_blocked(problem)
    filter_ = make_filter(
        operands.feedforward, operands.feedback, None, problem.length, problem.reverse, dtype, blocked
    )

    def piece(operands: Operands, filter_: Filter) -> tuple[tuple[Array, Array | None], None]:
        y = run(operands, filter_, problem.channels, problem.reverse, dtype)
        ends = y[..., :count] if problem.reverse else y[..., problem.length - count :]
        return (y.astype(problem.y_dtype), ends.astype(problem.state_dtype) if keeps else None), None

    # steps go part by part themselves
    size = piece_length(problem) if blocked else problem.batch
    (y, last), _ = in_pieces(piece, (operands, filter_), problem.batch, size)
    # jit returns an input that is its output as it came, and results own their memory
    return jnp.array(y, copy=True) if y is operands.x else y, last


@partial(jax.jit, static_argnums=(0, 1))
def _vjp(
    problem: Problem,
    needs: Needs,
    operands: Operands,
    y: Array,
    grad_y: Array,
    grad_last: Array | None,
) -> Gradients:
    if not problem.batch * problem.channels * problem.length:
        return _nothing(problem, operands, needs)
    dtype = compute_type(problem)
    feedback, backwards = operands.feedback, not problem.reverse
    conjugate = None if feedback is None else feedback.conj()
    after = None if operands.feedforward is None else operands.feedforward.conj()
    adjoint = make_filter(None, conjugate, after, problem.length, backwards, dtype, is_blocked(problem))

    def piece(operands: Operands, adjoint: Filter, y: Array, grad_y: Array, grad_last: Array | None) -> tuple[Any, Any]:
        operands = Operands(*(_wide(part, problem) for part in operands))
        y, grad_y, grad_last = (_wide(part, problem) for part in (y, grad_y, grad_last))
        if grad_last is not None:
            count = grad_last.shape[-1]
            place = slice(0, count) if problem.reverse else slice(problem.length - count, None)
            grad_y = grad_y.at[..., place].add(grad_last)

        def back(of_adjoint: Operands, reverse: bool) -> Array:
            # coefficients that change over time belong to other samples in the adjoint
            own = adjoint if adjoint.tables is not None else Filter(None, of_adjoint.feedback)
            return run(of_adjoint, own, problem.channels, reverse, dtype)

        found = gradients(back, operands, y, grad_y, needs, problem.reverse)
        grad_x = None if found.x is None else found.x.astype(problem.dtype)
        joined: dict[str, Array] = {"x": grad_x, "inputs": found.inputs, "outputs": found.outputs}
        summed: dict[str, Array] = {}
        for name, grad, taps in (
            ("feedforward", found.feedforward, problem.feedforward),
            ("feedback", found.feedback, problem.feedback),
        ):
            (summed if taps is not None and taps.batch == 1 else joined)[name] = grad
        return joined, summed

    parts = (operands, adjoint, y, grad_y, grad_last)
    joined, summed = in_pieces(piece, parts, problem.batch, piece_length(problem))
    return Gradients(**joined, **summed)


def _wide(array: Array | None, problem: Problem) -> Array | None:
    """Return an operand in the precision it is computed in."""
    if array is None:
        return None
    complex_ = jnp.issubdtype(array.dtype, jnp.complexfloating)
    real = jnp.dtype(problem.compute_dtype)
    return array.astype(jnp.result_type(real, jnp.complex64) if complex_ else real)


def _nothing(problem: Problem, operands: Operands, needs: Needs) -> Gradients:
    """Return the gradients of an empty y."""
    wide = (_wide(part, problem) if need else None for part, need in zip(operands, needs, strict=True))
    grads = (None if part is None else jnp.zeros(part.shape, part.dtype) for part in wide)
    found = Gradients(*grads)
    return found if found.x is None else found._replace(x=found.x.astype(problem.dtype))


kernel = Jax()
