"""The recurrence one sample after the other: exact order of rounding, any coefficients.

Steps want the samples of all sequences side by side, and memory has those of one together. So many sequences go part
by part of their time, of which each is turned over and back while it is in the cache.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax

from multirec.backend import Array

from ._feedforward import run_feedforward, with_past

__all__ = ["Driven", "run_steps"]

_PART = 1 << 16
"""Samples that are turned over together."""

_LOW = 2
"""The order up to which past outputs are arrays of their own: more would be copied one by one in each step."""

_FEW = 4
"""Samples up to which there is no loop, which takes longer to compile."""


class Driven(NamedTuple):
    """What is computed by steps: (B|1, C|1, …) of (B, C) sequences."""

    x: Array
    """The signal, (B, C|1, T)."""
    feedforward: Array | None
    """(B|1, C|1, T|1, q+1)"""
    feedback: Array
    """(B|1, C|1, T|1, p)"""
    inputs: Array
    """The q samples before the signal, (B, C|1, q)."""
    outputs: Array
    """The p outputs before, (B, C, p)."""


class _Past(NamedTuple):
    inputs: Array
    outputs: Array
    """(p, …), newest first."""


def run_steps(given: Driven, reverse: bool) -> Array:
    """Return y (B, C, T)."""
    if given.outputs.shape[0] == 1:
        # an axis of length 1 makes XLA lay arrays out twice
        return _in_parts(Driven(*(None if part is None else part[0] for part in given)), reverse)[None]
    return _in_parts(given, reverse)


def _in_parts(given: Driven, reverse: bool) -> Array:
    """Return y (…, T) of arrays that have one axis less, or none."""
    x, _, _, inputs, outputs = given
    p, length, dtype = outputs.shape[-1], x.shape[-1], outputs.dtype
    newest_first = outputs if reverse else outputs[..., ::-1]
    past = _Past(inputs, jnp.moveaxis(newest_first, -1, 0))
    sequences = outputs.size // p
    size = max(_PART // max(sequences, 1), 1)
    count, rest = divmod(length, size)
    if sequences == 1 or count < 2:
        return _run(given, 0, length, past, reverse)[1]
    # what is left over comes first
    start = length - rest if reverse else 0
    past, y = _run(given, start, rest, past, reverse)
    y = lax.dynamic_update_slice_in_dim(jnp.zeros((*outputs.shape[:-1], length), dtype), y, start, -1)

    def part(i: Array, running: tuple[_Past, Array]) -> tuple[_Past, Array]:
        past, y = running
        start = length - rest - (i + 1) * size if reverse else rest + i * size
        past, own = _run(given, start, size, past, reverse)
        return past, lax.dynamic_update_slice_in_dim(y, own, start, -1)

    whole: Array = lax.fori_loop(0, count, part, (past, y))[1]
    return whole


def _run(given: Driven, start: Array | int, count: int, past: _Past, reverse: bool) -> tuple[_Past, Array]:
    """Return the past after `count` steps from `start` on in memory, and y (…, count)."""
    q, (p, *sequences) = past.inputs.shape[-1], past.outputs.shape
    whole = with_past(_part(given.x, start, count, -1), past.inputs, q, reverse)
    u, b, a = whole, given.feedforward, _part(given.feedback, start, count, -2)
    if b is not None:
        u = run_feedforward(whole, _part(b, start, count, -2), reverse)
    u = jnp.broadcast_to(u, (*sequences, count))
    constant = a.shape[-2] == 1
    taps = jnp.moveaxis(a[..., 0, :], -1, 0) if constant else jnp.moveaxis(a, (-2, -1), (0, 1))

    def step(outputs: Any, given: tuple[Array, Any]) -> tuple[Any, Array]:
        y, own = given
        own = taps if own is None else own
        if p > _LOW:
            y = y + (own * outputs).sum(0)
            return jnp.concatenate([y[None], outputs[:-1]]), y
        for tap, before in zip(own, outputs, strict=True):
            y = y + tap * before
        return [y, *outputs[:-1]], y

    driven = jnp.moveaxis(u, -1, 0), None if constant else taps
    start_from = past.outputs if p > _LOW else list(past.outputs)
    outputs, y = lax.scan(step, start_from, driven, reverse=reverse, unroll=0 < count <= _FEW)
    outputs = outputs if p > _LOW else jnp.stack(outputs)
    inputs = whole[..., :q] if reverse else whole[..., whole.shape[-1] - q :]
    return _Past(inputs, outputs), jnp.moveaxis(y, 0, -1)


def _part(array: Array, start: Array | int, count: int, axis: int) -> Array:
    """Return `count` samples, or the only one there is."""
    return array if array.shape[axis] == 1 else lax.dynamic_slice_in_dim(array, start, count, axis)
