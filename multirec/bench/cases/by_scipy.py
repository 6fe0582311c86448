"""The recurrence and its adjoint in float64 by SciPy, for static filters on signals too long for the oracle's loop.

All arrays have the axes (B, C, T), coefficients (C, taps). Tests hold it to the oracle.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np

from .case import Case
from .signals import Array, Outputs, Signals, numbers
from .window import canonical

# up to here the loop takes less time than importing SciPy
_SHORT = 2000
State: TypeAlias = tuple[Array, Array] | None


def serves(feedback: Array, length: int) -> bool:
    """Say whether SciPy is installed, can compute this, and is faster here, its import included."""
    return feedback.ndim == 2 and length > _SHORT and find_spec("scipy") is not None


def results(x: Array, feedforward: Array | None, feedback: Array, state: State, grad_y: Array | None) -> Outputs:
    """Return y, and with a gradient of y those of x and of the coefficients, conjugated as torch's are."""
    x, b, a = _wide(x, feedforward, feedback)
    y = _filter(x, b, a, state)
    if grad_y is None:
        return {"y": y}
    slope = _filter(grad_y[..., ::-1].astype(y.dtype), np.ones((len(a), 1)), a.conj(), None)[..., ::-1]
    grad_x = np.zeros_like(slope)
    for j in range(b.shape[1]):
        grad_x[..., : y.shape[-1] - j] += b[:, j, None].conj() * slope[..., j:]
    found = {"y": y, "x": grad_x.sum(1, keepdims=True) if x.shape[1] == 1 else grad_x}
    past = (None, None) if state is None else state
    if feedforward is not None:
        found["feedforward"] = _correlated(slope, x, past[0], range(b.shape[1]))
    return found | {"feedback": _correlated(slope, y, past[1], range(1, a.shape[1]))}


def sums(case: Case, arrays: Signals, weights: Array, backward: bool) -> tuple[Outputs, Outputs]:
    """Return weighted sums over time (B, C, sums) of y, and of the gradient of x, of all channels; and their sizes.

    The sum of w · (h * x) is that of x times what the reversed filter makes of w, and that of w · (gradient of x) is
    that of the gradient of y times h * w: a filter a channel, not one an example. Without state; coefficients stay.
    """
    length = len(weights)
    wide, b, a = _wide(weights.T[:, None], arrays.feedforward, arrays.feedback)
    ahead = np.moveaxis(_filter(wide, b, a, None), 0, -1)
    behind = np.moveaxis(_filter(wide[..., ::-1], b, a, None)[..., ::-1], 0, -1)
    impulse = np.zeros((1, 1, length), wide.dtype)
    impulse[..., 0] = 1
    # x and the gradient of y are noise of size 1
    gains = np.sqrt(length) * np.linalg.norm(_filter(impulse, b, a, None)[0], axis=-1)
    x = canonical(arrays.x, case.layout)[:, :, :length]
    weight = None if arrays.weight is None else arrays.weight.astype(np.float64)
    found = np.stack([_products(example, behind, weight) for example in x])
    mixed = np.ones(case.channels) if weight is None else np.linalg.norm(weight, axis=1)
    values, large = {"y": found}, {"y": np.broadcast_to(gains * mixed, found.shape[:2])}
    if not backward or arrays.grad_y is None:
        return values, large
    grad_y = canonical(arrays.grad_y, case.layout)[:, :, :length]
    slopes = np.stack([_products(example, ahead.conj(), None) for example in grad_y])
    size = np.broadcast_to(gains, slopes.shape[:2])
    if weight is not None:
        slopes, size = np.einsum("cf,bcs->bfs", weight, slopes), np.sqrt(size**2 @ weight**2)
    elif case.x_channels != case.channels:
        slopes, size = slopes.sum(1, keepdims=True), np.sqrt((size**2).sum(1, keepdims=True))
    return values | {"x": slopes}, large | {"x": size}


def _products(example: Array, weights: Array, mixed: Array | None) -> Array:
    """Return Σ_t example[c, t] · weights[c, t, sum] (C, sums); of the mixed features where there are such."""
    wide = numbers(example).astype(weights.dtype)
    if mixed is not None:
        wide = mixed @ wide
    found: Array = np.einsum("ct,cts->cs", np.broadcast_to(wide, (len(weights), wide.shape[-1])), weights)
    return found


def _wide(x: Array, feedforward: Array | None, feedback: Array) -> tuple[Array, Array, Array]:
    wide: Any = np.complex128 if np.iscomplexobj(x) or np.iscomplexobj(feedback) else np.float64
    ones = np.ones((len(feedback), 1), wide)
    b = ones if feedforward is None else feedforward.astype(wide)
    return x.astype(wide), b, np.concatenate([ones, -feedback.astype(wide)], axis=1)


def _filter(x: Array, b: Array, a: Array, state: State) -> Array:
    from scipy.signal import lfilter, lfiltic

    y = np.empty((x.shape[0], len(a), x.shape[-1]), x.dtype)
    for c in range(len(a)):
        source = x[:, min(c, x.shape[1] - 1)]
        if state is None:
            y[:, c] = lfilter(b[c], a[c], source)
            continue
        inputs, outputs = (part[:, min(c, part.shape[1] - 1), ::-1] for part in state)
        start = [lfiltic(b[c], a[c], outputs[n], inputs[n]) for n in range(len(x))]
        y[:, c], _ = lfilter(b[c], a[c], source, zi=np.stack(start))
    return y


def _correlated(slope: Array, signal: Array, past: Array | None, delays: range) -> Array:
    """Return Σ slope[t] · conj(signal[t − delay]) over examples and time, (C, delays)."""
    length, longest = slope.shape[-1], max(delays, default=0)
    before = np.zeros((*signal.shape[:2], longest), signal.dtype)
    if past is not None and longest:
        before[..., longest - past.shape[-1] :] = past
    whole = np.concatenate([before, signal], axis=-1)
    sums = [
        np.einsum(
            "bct,bct->c", slope, np.broadcast_to(whole[..., longest - d : longest - d + length].conj(), slope.shape)
        )
        for d in delays
    ]
    return np.stack(sums, axis=-1) if sums else np.zeros((slope.shape[1], 0), slope.dtype)
