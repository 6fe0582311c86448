"""The part of the recurrence that looks at inputs only."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from multirec.backend import Array

__all__ = ["run_feedforward"]

_UNROLLED = 16


def run_feedforward(x: Array, taps: Array, past: Array | None, reverse: bool) -> Array:
    """Return Σ_j taps[j] · x[t-j] (B, C, T) of `x` (B, C|1, T), taps (B|1, C|1, T|1, q+1) and the `past` q inputs."""
    q, length = taps.shape[-1] - 1, x.shape[-1]
    if past is None:
        past = jnp.zeros((*x.shape[:-1], q), x.dtype)
    whole = jnp.concatenate([x, past] if reverse else [past, x], -1)

    def term(j: Array | int) -> Array:
        lagged = lax.dynamic_slice_in_dim(whole, j if reverse else q - j, length, 2)
        return lax.dynamic_index_in_dim(taps, j, 3, keepdims=False) * lagged

    total = term(0)
    if q < _UNROLLED:
        for j in range(1, q + 1):
            total = total + term(j)
        return total
    return lax.fori_loop(1, q + 1, lambda j, sum_: sum_ + term(j), total)
