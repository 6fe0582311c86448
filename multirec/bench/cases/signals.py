"""The arrays of a case: seeded, stable, and the same in every process."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from multirec._core.problem import COMPLEX_DTYPES, join_shape
from multirec._machine.bfloat16 import from_bfloat16
from multirec.reference import narrow

from .case import Case, Mode

Array: TypeAlias = npt.NDArray[Any]
Outputs: TypeAlias = dict[str, Array]
"""Arrays by name: y, and with backward the gradients of x, feedforward, feedback, weight, where there are such."""

# a prime near 2^20: repeats never line up with the rows of an array
_PERIOD = 1_048_573
# added to the seed
_GRAD_Y = 2


class Signals(NamedTuple):
    """What every contestant gets, in the case's layout and dtype; None for what the case does not have.

    bfloat16 is given as its bits in uint16, and coefficients are float32 where x is of a half type.

    `state` are the last inputs and outputs before the block, `weight` (C, features) and `reflection` (C, p) the
    parameters of a layer, whose feedforward is its gain.
    """

    x: Array
    feedforward: Array | None
    feedback: Array
    state: tuple[Array, Array] | None
    weight: Array | None
    reflection: Array | None
    grad_y: Array | None


def signals(case: Case, mode: Mode) -> Signals:
    """Return the arrays of a case; the gradient of y only where `mode` has backward."""
    weight: Array | None = None
    reflection: Array | None = None
    feedforward: Array | None
    state = None
    if case.features:
        weight = noise((case.channels, case.features), case.dtype, case.seed + 3)
        weight /= np.sqrt(case.features).astype(case.dtype)
        reflection, feedforward, feedback = _layer_coefficients(case)
    else:
        feedforward, feedback = coefficients(case)
    x = noise(case.x_shape, case.dtype, case.seed + 1)
    if case.stateful:
        shapes = ((case.x_channels, max(case.taps - 1, 0)), (case.channels, case.order))
        inputs, outputs = (
            noise(join_shape((case.batch,), channels, count, case.layout), case.dtype, case.seed + 4)
            for channels, count in shapes
        )
        state = (inputs, outputs)
    grad_y = noise(case.y_shape, case.dtype, case.seed + _GRAD_Y) if mode != "forward" else None
    return Signals(x, feedforward, feedback, state, weight, reflection, grad_y)


def grad_y_at(case: Case, places: Array) -> Array:
    """Return the gradient of y at some places in its memory, without making all of it."""
    return np.take(_period(case.dtype, case.seed + _GRAD_Y), places, mode="wrap")


def numbers(array: Array) -> Array:
    """Return the numbers of an array: those of bits of bfloat16 as float32, all others as they are."""
    return from_bfloat16(array) if array.dtype == np.uint16 else array


def coefficients(case: Case) -> tuple[Array | None, Array]:
    """Return feedforward (C, taps) or None, and feedback: stable, rounded once to the dtype of coefficients."""
    rng = np.random.default_rng(case.seed)
    if case.time_varying:
        # the sizes of a sample's taps sum to less than 1, so that no sequence of them grows
        feedback = (0.75 + 0.1 * noise(case.feedback_shape, case.computed, case.seed + 5).real).clip(0.5, 0.999)
        b = rng.standard_normal((case.channels, case.taps)) / max(case.taps, 1)
        return _rounded(b, case) if case.taps else None, _rounded(feedback / case.order, case)
    complex_ = case.dtype in COMPLEX_DTYPES
    design = _complex_poles if complex_ else _band_pass if case.order == 2 else _spread_poles
    b, a = design(rng, case.channels, case.order)
    if case.input_taps is not None:
        b = rng.standard_normal((case.channels, case.taps)) / case.taps
    return _rounded(b, case) if case.feedforward else None, _rounded(-a[:, 1:], case)


def noise(shape: tuple[int, ...], dtype: str, seed: int) -> Array:
    """Return seeded noise at the speed of a copy: a million normal numbers, repeated."""
    size, block = prod(shape), _period(dtype, seed)
    out = np.empty(size, block.dtype)
    for start in range(0, size, _PERIOD):
        piece = out[start : start + _PERIOD]
        piece[...] = block[: piece.size]
    return out.reshape(shape)


@lru_cache(maxsize=8)
def _period(dtype: str, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    block = rng.standard_normal(_PERIOD)
    if dtype in COMPLEX_DTYPES:
        block = (block + 1j * rng.standard_normal(_PERIOD)) / np.sqrt(2)
    return narrow(block, dtype)


def _rounded(array: Array, case: Case) -> Array:
    return np.ascontiguousarray(array.astype(case.computed))


def _band_pass(rng: np.random.Generator, channels: int, order: int) -> tuple[Array, Array]:
    centre = 2 * np.pi * np.geomspace(0.01, 0.4, channels)
    alpha = np.sin(centre) / (2 * rng.uniform(1.0, 4.0, channels))
    b = np.stack([alpha, np.zeros(channels), -alpha], axis=-1)
    a = np.stack([1 + alpha, -2 * np.cos(centre), 1 - alpha], axis=-1)
    return b / a[:, :1], a / a[:, :1]


def _spread_poles(rng: np.random.Generator, channels: int, order: int) -> tuple[Array, Array]:
    pairs = order // 2
    # evenly spread angles keep a direct form of high order well conditioned
    angles = np.pi * (np.arange(pairs) + rng.uniform(0.3, 0.7, (channels, 1))) / max(pairs, 1)
    poles = rng.uniform(0.8, 0.95, (channels, pairs)) * np.exp(1j * angles)
    roots = [poles, poles.conj()]
    if order % 2:
        roots.append(rng.uniform(0.5, 0.9, (channels, 1)) * rng.choice([-1.0, 1.0], (channels, 1)))
    a = np.stack([np.real(np.poly(row)) for row in np.concatenate(roots, axis=-1)])
    return rng.standard_normal((channels, order + 1)) / (order + 1), a


def _complex_poles(rng: np.random.Generator, channels: int, order: int) -> tuple[Array, Array]:
    angles = 2 * np.pi * (np.arange(order) + rng.uniform(0.3, 0.7, (channels, 1))) / order
    poles = rng.uniform(0.8, 0.95, (channels, order)) * np.exp(1j * angles)
    b = rng.standard_normal((channels, order + 1)) + 1j * rng.standard_normal((channels, order + 1))
    return b / (order + 1), np.stack([np.poly(row) for row in poles])


def _layer_coefficients(case: Case) -> tuple[Array, Array, Array]:
    """Return a layer's reflection weights (C, p), its gain (C, 1) and feedback (C, p): the Levinson step-up."""
    reflection = _rounded(np.random.default_rng(case.seed).uniform(-1.5, 0.5, (case.channels, case.order)), case)
    k = np.tanh(reflection.astype(np.float64)).astype(case.dtype).astype(np.float64)
    a = np.zeros((case.channels, 0))
    for m in range(case.order):
        last = k[:, m : m + 1]
        a = np.concatenate([a + last * a[:, ::-1], last], axis=1)
    gain = np.sqrt(np.prod(1 - k * k, axis=1, keepdims=True))
    return reflection, _rounded(gain, case), _rounded(-a, case)
