"""The recurrence one sample after the other: exact order of rounding, any coefficients."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from multirec.backend import Array

__all__ = ["run_steps"]


def run_steps(u: Array, feedback: Array, past: Array, reverse: bool) -> Array:
    """Return y (B, C, T) of `u` (B, C, T), `feedback` (B|1, C|1, T|1, p) and the `past` outputs (B, C, p)."""
    if u.shape[0] == 1:
        # an axis of length 1 makes XLA lay arrays out twice
        return _run(u[0], feedback[0], past[0], reverse)[None]
    return _run(u, feedback, past, reverse)


def _run(u: Array, feedback: Array, past: Array, reverse: bool) -> Array:
    """Return y (…, T) of `u`, `feedback` (…, T|1, p) and `past` (…, p)."""
    p = feedback.shape[-1]
    history = [past[..., k] for k in (range(p) if reverse else range(p - 1, -1, -1))]  # newest first
    constant = feedback.shape[-2] == 1
    taps = [feedback[..., 0, k] if constant else jnp.moveaxis(feedback[..., k], -1, 0) for k in range(p)]

    def step(history: list[Array], given: tuple[Array, Any]) -> tuple[list[Array], Array]:
        y, own = given
        for tap, before in zip(taps if own is None else own, history, strict=True):
            y = y + tap * before
        return [y, *history[:-1]], y

    _, y = lax.scan(step, history, (jnp.moveaxis(u, -1, 0), None if constant else taps), reverse=reverse)
    return jnp.moveaxis(y, 0, -1)
