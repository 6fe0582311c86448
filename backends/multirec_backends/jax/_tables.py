"""A block of samples as one matrix.

With the q inputs before a block, its L inputs, and the p outputs before it in one row, the L outputs are

    y = [x | c] W        W = [B H; P]

B holds the feedforward taps, H the impulse response of the feedback as a Toeplitz matrix, and P the responses to
each past output. The last p columns of W give the outputs that the next block starts from. Everything is
built in float64 from the rounded coefficients; W alone is rounded.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from multirec.backend import Array

__all__ = ["Tables", "block_length", "build_tables"]

_SHORTEST_BLOCK, _LONGEST_BLOCK = 8, 16


class Tables(NamedTuple):
    """The matrices of filters (B|1, C|1), in the order of memory."""

    samples: Array
    """[B H; P], (B|1, C|1, q + L + p, L)."""
    jump: Array
    """From the p outputs before a block to its own last p, (B|1, C|1, p, p), in float64."""


def block_length(past: int, length: int) -> int:
    """Return L: at least the `past` inputs and outputs, and its square about as large as the signal at most."""
    block = _SHORTEST_BLOCK
    while block < past or (block < _LONGEST_BLOCK and 4 * block * block <= length):
        block *= 2
    return block


def build_tables(feedforward: Array | None, feedback: Array, length: int, reverse: bool, dtype: jnp.dtype) -> Tables:
    """Return the tables for blocks of `length` of coefficients (B|1, C|1, taps)."""
    wide = jnp.complex128 if jnp.issubdtype(dtype, jnp.complexfloating) else jnp.float64
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
    decay, impulse = rows[..., :p, :], rows[..., p, :]
    response = _toeplitz(impulse, length)
    if feedforward is not None:
        response = _taps_matrix(feedforward.astype(wide), length) @ response
        outer = response.shape[:2]
        decay = jnp.broadcast_to(decay, (*outer, *decay.shape[2:]))
    samples, jump = jnp.concatenate([response, decay], -2), decay[..., length - p :]
    if reverse:
        samples = jnp.concatenate([response[..., ::-1, ::-1], decay[..., ::-1, ::-1]], -2)
        jump = jump[..., ::-1, ::-1]
    return Tables(samples.astype(dtype), jump)


def _toeplitz(impulse: Array, length: int) -> Array:
    """Return H[t, l] = impulse[l - t]."""
    lag = jnp.arange(length) - jnp.arange(length)[:, None]
    return jnp.where(lag >= 0, impulse[..., lag.clip(0)], 0)


def _taps_matrix(taps: Array, length: int) -> Array:
    """Return B[w, t] = taps[t - w + q]: what the sample w of past and block gives to the block's sample t."""
    q = taps.shape[-1] - 1
    index = jnp.arange(length) - jnp.arange(q + length)[:, None] + q
    return jnp.where((index >= 0) & (index <= q), taps[..., index.clip(0, q)], 0)
