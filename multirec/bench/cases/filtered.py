"""The recurrence and its adjoint in float64: by SciPy where it is installed and the filters stay, else by the oracle.

All arrays have the axes (B, C, T), coefficients (C, taps), or (B, C, T, taps) where they change with time.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

from multirec._core.problem import Spec
from multirec._core.validate import Choices, build_call
from multirec.backend import Operands
from multirec.reference import kernel

from .signals import Array

# up to here the loop takes less time than importing SciPy
_SHORT = 2000
State = tuple[Array, Array] | None


def outputs_of(dtype: str, x: Array, feedforward: Array | None, feedback: Array, state: State) -> Array:
    """Return y."""
    if _by_scipy(x, feedback):
        return _filter(*_wide(x, feedforward, feedback), state)
    return kernel.wide_forward(*_canonical(dtype, x, feedforward, feedback, state))


def both(
    dtype: str, x: Array, feedforward: Array | None, feedback: Array, state: State, grad_y: Array
) -> dict[str, Array]:
    """Return y and the gradients by name, conjugated as torch's are."""
    if not _by_scipy(x, feedback):
        problem, operands = _canonical(dtype, x, feedforward, feedback, state)
        found = {"y": kernel.wide_forward(problem, operands)}
        wide = kernel.wide_vjp(problem, operands, grad_y)
        found["x"] = np.asarray(wide.x)
        if feedforward is not None:
            found["feedforward"] = np.asarray(wide.feedforward)[0, :, 0]
        taps = np.asarray(wide.feedback)
        found["feedback"] = taps if feedback.ndim == 4 else taps[0, :, 0]
        return found
    x, b, a = _wide(x, feedforward, feedback)
    y = _filter(x, b, a, state)
    slope = _filter(grad_y[..., ::-1].astype(y.dtype), np.ones((len(a), 1)), a.conj(), None)[..., ::-1]
    grad_x = np.zeros_like(slope)
    for j in range(b.shape[1]):
        grad_x[..., : y.shape[-1] - j] += b[:, j, None].conj() * slope[..., j:]
    found = {"y": y, "x": grad_x.sum(1, keepdims=True) if x.shape[1] == 1 else grad_x}
    past = (None, None) if state is None else state
    if feedforward is not None:
        found["feedforward"] = _correlated(slope, x, past[0], range(b.shape[1]))
    return found | {"feedback": _correlated(slope, y, past[1], range(1, a.shape[1]))}


def _by_scipy(x: Array, feedback: Array) -> bool:
    return feedback.ndim == 2 and x.shape[-1] > _SHORT and find_spec("scipy") is not None


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


def _canonical(dtype: str, x: Array, feedforward: Array | None, feedback: Array, state: State) -> tuple[Any, Operands]:
    def four(taps: Array | None) -> Array | None:
        return taps if taps is None or taps.ndim == 4 else taps[None, :, None]

    def spec(array: Array | None) -> Spec | None:
        return None if array is None else Spec(array.shape, dtype, "numpy", "cpu")

    inputs, outputs = (None, None) if state is None else state
    x_spec = spec(x)
    assert x_spec is not None
    call = build_call(x_spec, spec(feedforward), spec(feedback), spec(inputs), spec(outputs), Choices())
    return call.problem, Operands(x, four(feedforward), four(feedback), inputs, outputs)
