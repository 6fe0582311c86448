"""The part of the recurrence that looks at inputs only."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from multirec.backend import Array

__all__ = ["run_feedforward", "with_past"]

_UNROLLED = 16


def run_feedforward(whole: Array, taps: Array, reverse: bool) -> Array:
    """Return Σ_j taps[j] · x[t-j] (…, T) of a signal with its past, (…, q + T), and taps (…, T|1, q+1)."""
    q = taps.shape[-1] - 1

    def term(j: Array | int) -> Array:
        lagged = lax.dynamic_slice_in_dim(whole, j if reverse else q - j, whole.shape[-1] - q, -1)
        return lax.dynamic_index_in_dim(taps, j, -1, keepdims=False) * lagged

    total = term(0)
    if q < _UNROLLED:
        for j in range(1, q + 1):
            total = total + term(j)
        return total
    return lax.fori_loop(1, q + 1, lambda j, sum_: sum_ + term(j), total)


def with_past(x: Array, past: Array | None, q: int, reverse: bool) -> Array:
    """Return x (…, T) with the q samples before it, or zeros."""
    past = jnp.zeros((*x.shape[:-1], q), x.dtype) if past is None else past.astype(x.dtype)
    return jnp.concatenate([x, past] if reverse else [past, x], -1)
