"""One recurrence: which of the algorithms computes it, and what that needs of the coefficients alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from multirec.backend import Array, Operands, Problem

from ._blocks import run_blocks
from ._feedforward import run_feedforward
from ._pieces import divisor, in_pieces
from ._steps import run_steps
from ._tables import Tables, block_length, build_tables

__all__ = ["Filter", "compute_type", "make_filter", "run"]

_LONGEST_MERGED = 32
"""Taps of feedforward up to which it is part of the block's matrix."""

_SHORTEST_BLOCKED = 64
"""Samples below which steps are faster than blocks, and compile in a third of the time."""


_STEPPED = 256
"""Channels that take their steps together."""


class Filter(NamedTuple):
    """Coefficients, and the tables of those that stay the same over time."""

    feedforward: Array | None
    feedback: Array | None
    tables: Tables | None


def compute_type(problem: Problem) -> Any:
    """Return the dtype that samples are computed in."""
    real = jnp.dtype(problem.compute_dtype)
    return jnp.result_type(real, jnp.complex64) if problem.is_complex else real


def make_filter(feedforward: Array | None, feedback: Array | None, length: int, reverse: bool, dtype: Any) -> Filter:
    """Prepare coefficients (B|1, C|1, T|1, taps) for signals of `length`."""
    if feedback is not None and not feedback.shape[-1]:
        feedback = None
    if feedback is None or feedback.shape[2] > 1 or length < _SHORTEST_BLOCKED:
        return Filter(feedforward, feedback, None)
    merged = _merged(feedforward)
    past = max(feedback.shape[-1], merged.shape[-1] - 1 if merged is not None else 0)
    block = block_length(past, length)
    tables = build_tables(None if merged is None else merged[:, :, 0], feedback[:, :, 0], block, reverse, dtype)
    return Filter(feedforward, feedback, tables)


def _merged(feedforward: Array | None) -> Array | None:
    fits = feedforward is not None and feedforward.shape[2] == 1 and feedforward.shape[3] <= _LONGEST_MERGED
    return feedforward if fits else None


def run(operands: Operands, filter_: Filter, channels: int, reverse: bool, dtype: Any) -> Array:
    """Return y (B, C, T) in `dtype`; coefficients are the filter's."""
    x, inputs, outputs = operands.x, operands.inputs, operands.outputs
    feedforward, feedback, tables = filter_
    shape = (x.shape[0], channels, x.shape[2])
    if feedback is not None:
        p = feedback.shape[-1]
        past = jnp.zeros((*shape[:2], p), dtype) if outputs is None else outputs.astype(dtype)

    def drive() -> Array:
        u = x.astype(dtype)
        if feedforward is not None:
            u = run_feedforward(u, feedforward, None if inputs is None else inputs.astype(dtype), reverse)
        return u

    if feedback is None:
        return jnp.broadcast_to(drive(), shape)

    def steps() -> Array:
        return _steps(drive(), feedback, past, reverse)

    if tables is None:
        return steps()
    if _merged(feedforward) is None:
        return run_blocks(drive(), None, past, tables, reverse, steps)
    return run_blocks(x.astype(dtype), inputs, past, tables, reverse, steps)


def _steps(u: Array, feedback: Array, past: Array, reverse: bool) -> Array:
    """Run the steps, some sequences at a time: laying them side by side is cheap only in the cache."""
    shape = past.shape[:2]
    axis = 0
    if feedback.shape[:2] == shape:
        u = jnp.broadcast_to(u, (*shape, u.shape[2]))
        u, feedback, past = (part.reshape(1, -1, *part.shape[2:]) for part in (u, feedback, past))
        axis = 1
    count = past.shape[axis]
    size = divisor(count, _STEPPED // past.shape[1 - axis])
    if size * past.shape[1 - axis] < _STEPPED // 2:
        size = count

    def piece(u: Array, feedback: Array, past: Array) -> tuple[Array, None]:
        u = jnp.broadcast_to(u, (*past.shape[:2], u.shape[2]))
        return run_steps(u, feedback, past, reverse), None

    y: Array = in_pieces(piece, (u, feedback, past), count, size, axis)[0]
    return y.reshape(*shape, u.shape[2])
