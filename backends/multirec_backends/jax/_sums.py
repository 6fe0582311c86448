"""Constant feedback of low order: each sample of a block as one sum of products, by XLA's own loops.

The outputs before each block come first, from what each block adds to those after it: p numbers a block. Then all
samples are one sum of products, written once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax

from multirec.backend import Array

from ._blocks import TRUSTED, padded
from ._tables import Tables

__all__ = ["run_sums"]


def run_sums(
    u: Array,
    past: Array,
    tables: Tables,
    reverse: bool,
    stepped: Array,
    steps: Callable[[], Array],
) -> Array:
    """Return y (B, C, T).

    Parameters
    ----------
    u
        The signal (B, C|1, T), through the feedforward.
    past
        The p outputs before the block, (B, C, p).
    stepped
        Whether steps are to be taken all the same.
    steps
        Computes y in the exact order of rounding, also for sequences that go out of range.
    """
    table, ends, jump = tables
    batch, channels, _ = past.shape
    length, block = u.shape[-1], table.shape[-1]
    u = padded(u, block, reverse)
    count, short = u.shape[-1] // block, u.shape[-1] - length
    rows = _rows(u, block)
    carries, last = _carries(_columns(rows, ends), jump, past, reverse, u.dtype)
    # what overflows stays so, and a sum of products with what is not finite spoils the samples before it
    largest = jnp.maximum(_largest(rows), jnp.maximum(_largest(carries), jnp.abs(last).max(-1)))
    wrong = stepped | ~(largest * jnp.abs(table).sum(-2).max(-1) < TRUSTED[u.real.dtype.name]).all()

    def samples(u: Array, carries: list[Array], table: Array) -> Array:
        y = _product([*_rows(u, block), *carries], table)
        return jnp.broadcast_to(y, (batch, channels, count, block))

    def exact(*_: Any) -> Array:
        return padded(steps(), block, reverse).reshape(batch, channels, count, block)

    # out of the branches come blocks: a loop over samples, which finds the block of each, is several times slower
    y = lax.cond(wrong, exact, samples, u, carries, table).reshape(batch, channels, count * block)
    return y[..., short:] if reverse else y[..., :length]


def _rows(u: Array, block: int) -> list[Array]:
    """Return what the blocks see at each of their places: arrays (B, C|1, N)."""
    return [u[..., k::block] for k in range(block)]


def _product(rows: list[Array], matrix: Array) -> Array:
    """Return (B, C|1, N, L) of as many rows (B, C|1, N) as the matrix (B|1, C|1, K, L) has."""
    return sum(row[..., None] * matrix[:, :, None, k] for k, row in enumerate(rows))


def _columns(rows: list[Array], matrix: Array) -> list[Array]:
    """Return the columns of the product, each (B, C|1, N)."""
    return [sum(row * matrix[:, :, k, None, j] for k, row in enumerate(rows)) for j in range(matrix.shape[-1])]


def _carries(added: list[Array], jump: Array, past: Array, reverse: bool, dtype: Any) -> tuple[list[Array], Array]:
    """Return the p outputs before each block, (B, C, N) each, from what blocks add; and those after all of them."""
    p = len(added)

    def step(carry: list[Array], own: list[Array]) -> tuple[list[Array], list[Array]]:
        after = [own[j] + sum(carry[k] * jump[..., k, j] for k in range(p)) for j in range(p)]
        return after, [part.astype(dtype) for part in carry]

    shape = past.shape[:2]
    in_order = [jnp.moveaxis(jnp.broadcast_to(part, (*shape, part.shape[-1])), 2, 0) for part in added]
    start = [past[..., k].astype(jump.dtype) for k in range(p)]
    last, before = lax.scan(step, start, in_order, reverse=reverse)
    return [jnp.moveaxis(part, 0, 2) for part in before], jnp.stack(last, -1).astype(dtype)


def _largest(parts: list[Array]) -> Array:
    """Return the largest magnitude of each sequence, (B, C|1), or NaN."""
    return functools.reduce(jnp.maximum, [jnp.abs(part) for part in parts]).max(-1)
