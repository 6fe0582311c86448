"""The recurrence and its adjoint in float64 by SciPy, for static filters on signals too long for the oracle's loop.

All arrays have the axes (B, C, T), coefficients (C, taps). Tests hold it to the oracle.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np

from .signals import Array, Outputs

# up to here the loop takes less time than importing SciPy
_SHORT = 2000
State: TypeAlias = tuple[Array, Array] | None


def serves(x: Array, feedback: Array) -> bool:
    """Say whether SciPy is installed, can compute this, and is faster here, its import included."""
    return feedback.ndim == 2 and x.shape[-1] > _SHORT and find_spec("scipy") is not None


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
