"""What blocks lose to steps: a bound on their error over that of the recurrence taken one sample after the other.

A block of L samples is computed from its inputs as if it followed zeros, and from the p outputs before it. Where the
feedforward has zeros near the poles of the feedback (high-passes, notches, shelves), and where poles lie together,
both parts are much larger than y and cancel. For white inputs of size 1, with g the impulse response of the feedback
alone, h that of the whole filter, and norms for what white numbers of size 1 become:

* A step rounds by hypot(|a| |h|, |b|) in each sample, which then goes through g.
* A block rounds by hypot(|W|, |P| |h|) in each sample, where W and P are its responses to inputs and past outputs, and
  that stays where it is.
* The end of a block loses as much, and that goes on through the responses to past outputs. What is lost by rounding the
  matrix from end to end, in float64, is the same in each block: that adds up in phase as long as the filter remembers.
* A steady input may be stopped by the filter. Then |h| is as small as its gain.
* The gradient of x filters the adjoint's outputs by the feedforward. That takes most of what steps lose away, since it
  is smooth, and nothing of what blocks do.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax

from multirec.backend import Array

from ._tables import Responses

__all__ = ["predicted_loss"]

_STEP, _STEP_FILTERED, _BLOCK, _IN_PHASE = 0.22, 0.15, 0.4, 2.0
"""Factors of the above, as measured: of a step, in y and in the gradient of x; of a block; of what is in phase."""

_ROUNDINGS = 4 / 3
"""A relative error of so many roundings is none."""

_FREQUENCIES = 128

_SMALL = 1e-2
"""The relative error of steps up to which rounding is small, as all of this takes it to be."""


def predicted_loss(
    responses: Responses,
    before: Array | None,
    feedback: Array,
    after: Array | None,
    count: int,
    eps: float,
    eps_of_ends: float,
) -> Array:
    """Return the error over that of steps (B|1, C|1): of the outputs, or of what `after` makes of them if it is more.

    Parameters
    ----------
    responses
        Of a block.
    before, feedback, after
        Coefficients (B|1, C|1, taps): feedforward that inputs and outputs go through, or None.
    count, eps, eps_of_ends
        Number of blocks, and the precision of a sample, and of what inputs give to the end of a block.
    """
    inputs, outputs, impulse = responses
    p, length = outputs.shape[-2:]
    onward = _onward(outputs, count)
    accumulated = jnp.trace(onward, axis1=-2, axis2=-1).real
    remembered = (accumulated / _power(outputs)).clip(1, count)
    g = _size(impulse, onward)
    h = g if before is None else _size(_filtered(impulse, before), onward)
    a, b = jnp.sqrt(1 + _power(feedback[..., None])), _norm(before)
    ends = _power(inputs[..., length - p :]) * (eps_of_ends / eps) ** 2
    jump = _power(outputs[..., length - p :]) * (_IN_PHASE * p * np.finfo(np.float64).eps / eps) ** 2 * remembered

    def in_block(h: Array) -> Array:
        return _BLOCK * jnp.sqrt((_power(inputs) + _power(outputs) * h**2) / length)

    def lost(h: Array) -> Array:
        """Return the error of outputs of size h, relative to that of steps."""
        steps = _STEP * jnp.hypot(a * h, b) * g + _ROUNDINGS * h
        return jnp.hypot(in_block(h), jnp.sqrt((ends + jump * h**2) * accumulated / (p * length))) / steps

    loss = jnp.maximum(lost(h), lost(_smallest_gain(before, feedback)))
    loss = jnp.where(_STEP * a * g * eps < _SMALL, loss, jnp.inf)
    if after is None:
        return loss
    filtered, c = _size(_filtered(impulse, after), onward), _norm(after)
    steps = _STEP_FILTERED * (a * h * filtered + c * h) + _ROUNDINGS * filtered
    return jnp.maximum(loss, c * in_block(h) / steps)


def _smallest_gain(feedforward: Array | None, feedback: Array) -> Array:
    """Return the least that is left of a steady tone, of all frequencies."""
    angle = jnp.linspace(0, 2 * jnp.pi, _FREQUENCIES, endpoint=False)

    def at_all(taps: Array, first: int) -> Array:
        turns = jnp.exp(-1j * angle * (first + jnp.arange(taps.shape[-1]))[:, None])
        return taps.astype(turns.dtype) @ turns

    gain = jnp.abs(1.0 if feedforward is None else at_all(feedforward, 0)) / jnp.abs(1 - at_all(feedback, 1))
    # a pole on the circle may have a zero upon it
    return jnp.where(jnp.isfinite(gain), gain, jnp.inf).min(-1)


def _onward(outputs: Array, count: int) -> Array:
    """Return what past outputs become, squared and summed over `count` blocks, as a form (B|1, C|1, p, p) in them."""
    jump = outputs[..., outputs.shape[-1] - outputs.shape[-2] :]

    def twice(_: Array, given: tuple[Array, Array]) -> tuple[Array, Array]:
        form, power = given
        return form + power @ form @ _adjoint(power), power @ power

    form, _ = lax.fori_loop(0, (count - 1).bit_length(), twice, (outputs @ _adjoint(outputs), jump))
    return form


def _size(impulse: Array, onward: Array) -> Array:
    """Return the norm of an impulse response, of which `impulse` is the first block."""
    last = impulse[..., None, impulse.shape[-1] - onward.shape[-1] :]
    return jnp.sqrt(_power(impulse[..., None]) + (last @ onward @ _adjoint(last))[..., 0, 0].real)


def _filtered(impulse: Array, taps: Array) -> Array:
    """Return as much of a response that goes through `taps` as there is of `impulse`."""
    length = impulse.shape[-1]
    padded = jnp.pad(impulse, [(0, 0)] * (impulse.ndim - 1) + [(length, 0)])
    lagged = [taps[..., j, None] * padded[..., length - j : 2 * length - j] for j in range(min(taps.shape[-1], length))]
    return sum(lagged[1:], lagged[0])


def _adjoint(matrix: Array) -> Array:
    return matrix.conj().swapaxes(-1, -2)


def _power(matrix: Array) -> Array:
    """Return the sum of squares of (B|1, C|1, …, …)."""
    return jnp.sum(jnp.abs(matrix) ** 2, (-2, -1))


def _norm(taps: Array | None) -> Array | float:
    return 1.0 if taps is None else jnp.sqrt(_power(taps[..., None]))
