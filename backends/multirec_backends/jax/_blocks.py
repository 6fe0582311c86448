"""Constant feedback: the outputs of all blocks by one matrix product, from the outputs that precede each."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from multirec.backend import Array

from ._tables import Tables

__all__ = ["run_blocks"]

_TRUSTED = {"float32": 1e30, "float64": 1e300}
"""The sum of magnitudes up to which a sequence is trusted."""


def run_blocks(u: Array, past: Array, tables: Tables, reverse: bool) -> tuple[Array, Array]:
    """Return y (B, C, T), and which sequences (B, C) went out of range and are not to be trusted.

    Parameters
    ----------
    u
        The signal (B, C|1, T), through the feedforward.
    past
        The p outputs before the block, (B, C, p).
    """
    table, ends, jump = tables
    batch, channels, _ = past.shape
    length, block = u.shape[-1], table.shape[-1]
    u = _padded(u, block, reverse)
    count, short = u.shape[-1] // block, u.shape[-1] - length
    rows = u.reshape(*u.shape[:2], count, block)
    added = _product(rows.astype(ends.dtype), ends).astype(jump.dtype)
    carries = _carries(added, jump, past, reverse).astype(u.dtype)
    rows = jnp.broadcast_to(rows, (batch, channels, *rows.shape[2:]))
    y = _product(jnp.concatenate([rows, carries], -1), table)
    # what overflows stays so, and a product with what is not finite may have spoilt the samples before it
    wrong = ~(jnp.abs(y).sum(2) < _TRUSTED[u.real.dtype.name]).all(-1)
    y = y.reshape(batch, channels, count * block)
    return (y[..., short:] if reverse else y[..., :length]), wrong


def _padded(signal: Array, block: int, reverse: bool) -> Array:
    """Return a signal (B, C, T) with zeros after its last sample in running order, so that it is of whole blocks."""
    short = -signal.shape[-1] % block
    return jnp.pad(signal, ((0, 0), (0, 0), (short, 0) if reverse else (0, short)))


def _product(rows: Array, matrix: Array) -> Array:
    """Return rows (B, C|1, N, K) times matrix (B|1, C|1, K, L)."""
    if rows.shape[1] == matrix.shape[0] == 1:
        # one product serves all channels
        return jnp.einsum("bnk,ckl->bcnl", rows[:, 0], matrix[0], precision=lax.Precision.HIGHEST)
    return jnp.matmul(rows, matrix, precision=lax.Precision.HIGHEST)


def _carries(ends: Array, jump: Array, past: Array, reverse: bool) -> Array:
    """Return the p outputs before each block, (B, C, N, p), from what each block adds to those after it."""

    def step(carry: Array, end: Array) -> tuple[Array, Array]:
        for k in range(jump.shape[-1]):
            end = end + carry[..., k, None] * jump[..., k, :]
        return end, carry

    _, carries = lax.scan(step, past.astype(jump.dtype), jnp.moveaxis(ends, 2, 0), reverse=reverse)
    return jnp.moveaxis(carries, 0, 2)
