"""One recurrence: which of the algorithms computes it, and what that needs of the coefficients alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from multirec.backend import Array, Operands, Problem

from ._blocks import run_blocks
from ._feedforward import run_feedforward, with_past
from ._loss import predicted_loss
from ._pieces import divisor, in_pieces
from ._steps import Driven, run_steps
from ._tables import Tables, block_length, block_responses, build_tables

__all__ = ["Filter", "compute_type", "is_blocked", "make_filter", "run"]

_SHORTEST_BLOCKED = 64
"""Samples below which steps are as good as blocks."""

_LONGEST_BLOCK = 32
"""Samples in a block."""

_BLOCKED_ON = ("cuda",)
"""Devices that compute blocks. On a CPU steps are faster, as measured, and compile in a fraction of the time."""

_STEPPED = 256
"""Channels that take their steps together."""

_LARGEST_LOSS = 2.5
"""Predicted error over that of steps, up to which blocks are computed."""


class Filter(NamedTuple):
    """Coefficients, the tables of those that stay the same over time, and which must take steps all the same."""

    feedforward: Array | None
    feedback: Array | None
    tables: Tables | None = None
    stepped: Array | None = None


def compute_type(problem: Problem) -> Any:
    """Return the dtype that samples are computed in."""
    real = jnp.dtype(problem.compute_dtype)
    return jnp.result_type(real, jnp.complex64) if problem.is_complex else real


def is_blocked(problem: Problem) -> bool:
    """Whether blocks of samples are to be computed, or else steps."""
    feedback = problem.feedback
    constant = feedback is not None and feedback.time == 1 and feedback.taps > 0
    return constant and problem.length >= _SHORTEST_BLOCKED and problem.device_type in _BLOCKED_ON


def make_filter(
    feedforward: Array | None,
    feedback: Array | None,
    after: Array | None,
    length: int,
    reverse: bool,
    dtype: Any,
    blocked: bool,
) -> Filter:
    """Prepare coefficients (B|1, C|1, T|1, taps) for signals of `length`; `after` is what filters the outputs."""
    if feedback is not None and not feedback.shape[-1]:
        feedback = None
    if feedback is None or not blocked:
        return Filter(feedforward, feedback)
    block = block_length(feedback.shape[-1], length, _LONGEST_BLOCK)
    own = feedback[:, :, 0]
    responses = block_responses(own, block)
    before, after = _constant(feedforward), _constant(after)
    if before is not None:
        # blocks see what has gone through it already
        before = before / jnp.linalg.norm(before, axis=-1, keepdims=True)
    tables = build_tables(responses, reverse, dtype)
    eps, eps_of_ends = (float(np.finfo(part.dtype).eps) for part in (tables.samples, tables.ends))
    loss = predicted_loss(responses, before, own, after, -(-length // block), eps, eps_of_ends)
    # what is not a number is not less
    return Filter(feedforward, feedback, tables, ~(loss < _LARGEST_LOSS))


def _constant(taps: Array | None) -> Array | None:
    """Return taps (B|1, C|1, taps), of those that change over time their mean."""
    if taps is None:
        return None
    real = jnp.float64
    return taps.mean(2, dtype=jnp.result_type(taps.dtype, real))


def run(operands: Operands, filter_: Filter, channels: int, reverse: bool, dtype: Any) -> Array:
    """Return y (B, C, T) in `dtype`; coefficients are the filter's."""
    x, inputs, outputs = operands.x, operands.inputs, operands.outputs
    feedforward, feedback, tables, stepped = filter_
    shape = (x.shape[0], channels, x.shape[2])
    if feedback is not None:
        p = feedback.shape[-1]
        past = jnp.zeros((*shape[:2], p), dtype) if outputs is None else outputs.astype(dtype)

    def drive() -> Array:
        u = x.astype(dtype)
        if feedforward is not None:
            u = run_feedforward(with_past(u, inputs, feedforward.shape[-1] - 1, reverse), feedforward, reverse)
        return u

    if feedback is None:
        return jnp.broadcast_to(drive(), shape)

    def steps() -> Array:
        if feedback.shape[:2] == shape[:2]:
            # all sequences side by side
            u = jnp.broadcast_to(drive(), shape)
            given = Driven(u, None, feedback, u[..., :0], past)
            joined = (None if part is None else part.reshape(1, shape[0] * shape[1], *part.shape[2:]) for part in given)
            return _steps(Driven(*joined), reverse, 1).reshape(shape)
        q = 0 if feedforward is None else feedforward.shape[-1] - 1
        before = jnp.zeros((*x.shape[:2], q), dtype) if inputs is None else inputs.astype(dtype)
        return _steps(Driven(x.astype(dtype), feedforward, feedback, before, past), reverse, 0)

    if tables is None or stepped is None:
        return steps()
    # feedforward comes first, by itself: what it stops, such as a steady input, leaves exact zeros
    y, wrong = run_blocks(drive(), past, tables, reverse)
    wrong = wrong | stepped
    return lax.cond(wrong.any(), lambda: jnp.where(wrong[..., None], steps(), y), lambda: y)


def _steps(given: Driven, reverse: bool, axis: int) -> Array:
    """Run the steps, some sequences of an axis at a time: laying them side by side is cheap only in the cache."""
    count, others = given.outputs.shape[axis], given.outputs.shape[1 - axis]
    size = divisor(count, _STEPPED // others)
    if size * others < _STEPPED // 2:
        size = count

    def piece(given: Driven) -> tuple[Array, None]:
        return run_steps(given, reverse), None

    y: Array = in_pieces(piece, (given,), count, size, axis)[0]
    return y
