"""A block of samples as one matrix.

With a block's L inputs, which have been through the feedforward, and the p outputs before it in one row, its L
outputs are

    y = [u | c] W        W = [H; P]

H is the impulse response of the feedback as a Toeplitz matrix, and P holds the responses to each past output. The last
p columns of W give the outputs that the next block starts from. Everything is built in float64 from the rounded
coefficients, and W alone is rounded: what blocks start from is carried in float64, and for low orders all of it is
computed so, since its error stays in all that follows.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from multirec.backend import Array

__all__ = ["Responses", "Tables", "block_length", "block_responses", "build_tables"]

_SHORTEST_BLOCK = 8

_PRECISE = 4
"""The order up to which it costs little to compute the ends of blocks in float64."""


class Responses(NamedTuple):
    """What the outputs of a block answer to, in order of time, in float64."""

    inputs: Array
    """H, (B|1, C|1, L, L)."""
    outputs: Array
    """P, (B|1, C|1, p, L)."""
    impulse: Array
    """Of the feedback alone, (B|1, C|1, L)."""


class Tables(NamedTuple):
    """The matrices of filters (B|1, C|1), in the order of memory."""

    samples: Array
    """[H; P], (B|1, C|1, L + p, L)."""
    ends: Array
    """The last p columns of H, (B|1, C|1, L, p), of low orders in float64."""
    jump: Array
    """The last p columns of P, (B|1, C|1, p, p), in float64: from one block's past outputs to those of the next."""


def block_length(past: int, length: int, longest: int) -> int:
    """Return L: at least the `past` outputs, and its square about as large as the signal at most."""
    block = _SHORTEST_BLOCK
    while block < past or (block < longest and 4 * block * block <= length):
        block *= 2
    return block


def block_responses(feedback: Array, length: int) -> Responses:
    """Return the responses of a block of `length` of feedback (B|1, C|1, p)."""
    wide = jnp.result_type(feedback.dtype, jnp.float64)
    a = feedback.astype(wide)
    p = a.shape[-1]
    start = jnp.eye(p, p + 1, dtype=wide)  # rows are outputs, oldest first; columns are responses to c and to u[0]
    first = jnp.zeros((1, p + 1), wide).at[0, p].set(1)

    def step(rows: Array, drive: Array) -> tuple[Array, Array]:
        row = jnp.sum(a[..., ::-1, None] * rows, -2) + drive
        return jnp.concatenate([rows[..., 1:, :], row[..., None, :]], -2), row

    drives = jnp.concatenate([first, jnp.zeros((length - 1, p + 1), wide)])
    _, rows = lax.scan(step, jnp.broadcast_to(start, (*a.shape[:-1], p, p + 1)), drives)
    rows = jnp.moveaxis(rows, 0, -1)  # (B|1, C|1, p + 1, L)
    impulse = rows[..., p, :]
    return Responses(_toeplitz(impulse, length), rows[..., :p, :], impulse)


def build_tables(responses: Responses, reverse: bool, dtype: jnp.dtype) -> Tables:
    """Return the tables for computing in `dtype`."""
    inputs, outputs = responses.inputs, responses.outputs
    outputs = jnp.broadcast_to(outputs, (*inputs.shape[:2], *outputs.shape[2:]))
    p, length = outputs.shape[2:]
    ends, jump = inputs[..., length - p :], outputs[..., length - p :]
    if reverse:
        inputs, outputs, ends, jump = (part[..., ::-1, ::-1] for part in (inputs, outputs, ends, jump))
    # what is carried is complex where samples are
    wide = jnp.result_type(dtype, jnp.float64)
    samples = jnp.concatenate([inputs, outputs], -2).astype(dtype)
    return Tables(samples, ends.astype(wide if p <= _PRECISE else dtype), jump.astype(wide))


def _toeplitz(impulse: Array, length: int) -> Array:
    """Return H[t, l] = impulse[l - t]."""
    lag = jnp.arange(length) - jnp.arange(length)[:, None]
    return jnp.where(lag >= 0, impulse[..., lag.clip(0)], 0)
