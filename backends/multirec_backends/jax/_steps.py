"""The recurrence one sample after the other: exact order of rounding, any coefficients."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

__all__ = ["run_steps"]


def run_steps(u: jax.Array, feedback: jax.Array, past: jax.Array, reverse: bool) -> jax.Array:
    """Return y (B, C, T) of `u` (B, C, T), `feedback` (B|1, C|1, T|1, p) and the `past` outputs (B, C, p)."""
    p = feedback.shape[-1]
    constant = feedback.shape[2] == 1
    taps = jnp.moveaxis(feedback, (2, 3), (0, 1))  # (T|1, p, B|1, C|1)
    history = [past[..., k] for k in (range(p) if reverse else range(p - 1, -1, -1))]  # newest first

    def step(history: list[jax.Array], given: tuple[jax.Array, jax.Array | None]) -> tuple[list[jax.Array], jax.Array]:
        y, own = given
        for tap, before in zip(taps[0] if own is None else own, history, strict=True):
            y = y + tap * before
        return [y, *history[:-1]], y

    _, y = lax.scan(step, history, (jnp.moveaxis(u, 2, 0), None if constant else taps), reverse=reverse)
    return jnp.moveaxis(y, 0, 2)
