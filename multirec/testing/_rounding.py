"""How far rounding moves each result of a recurrence: its errors, followed through the problem.

One sample errs by at most u · m[s], with u the unit roundoff and m[s] the sum of the magnitudes that make it; the
filter passes that on to y[t] by its response h[t, s]:

    |error of y[t]| ≤ n · u · Σ_s |h[t, s]| · m[s]

and likewise for the adjoint, and for the sums that make the gradients of coefficients. Everything here is
canonical and dense: signals (B, C, past + T) that run forward, coefficients (B, C, T, taps).
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["LEAST", "ROUNDOFF", "Results", "error_bounds"]

Wide: TypeAlias = npt.NDArray[Any]

ROUNDOFF = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24, "float64": 2.0**-53}
ROUNDOFF |= {"complex64": 2.0**-24, "complex128": 2.0**-53}
# kernels may flush to zero what is below the least normal number that they compute in
LEAST = {"float16": 2.0**-24, "bfloat16": 2.0**-126, "float32": 2.0**-126, "float64": 2.0**-1022}
LEAST |= {"complex64": 2.0**-126, "complex128": 2.0**-1022}


class Results(NamedTuple):
    """What a recurrence and its adjoint give; signals have their past in front."""

    x: Wide
    y: Wide
    grad_x: Wide
    grad_past_y: Wide
    grad_feedforward: Wide
    grad_feedback: Wide


def error_bounds(results: Results, feedforward: Wide, feedback: Wide, grad_y: Wide, kept: Wide) -> Results:
    """Return Σ |h| m for every result, in units of the roundoff.

    `grad_y` is the whole gradient of y, and `kept` the error, in the same units, that y has because it is stored in
    a narrower type before its gradient is computed.
    """
    length = grad_y.shape[-1]
    p, q = feedback.shape[-1], feedforward.shape[-1] - 1
    b, a = np.abs(feedforward), np.abs(feedback)
    x, y = np.abs(results.x), np.abs(results.y)
    response = _response(feedback)
    adjoint = np.abs((response.conj().swapaxes(-1, -2) @ grad_y[..., None])[..., 0])
    response = np.abs(response)

    made = np.zeros_like(y[..., p:])
    for j in range(q + 1):
        made += b[..., j] * _lagged(x, j, length)
    for k in range(1, p + 1):
        made += a[..., k - 1] * _lagged(y, k, length)
    error_y = np.zeros_like(y)
    error_y[..., p:] = (response @ made[..., None])[..., 0]

    made_adjoint = np.abs(grad_y) + _reach(a, adjoint, 1, p)[..., p:]
    error_adjoint = adjoint + (response.swapaxes(-1, -2) @ made_adjoint[..., None])[..., 0]
    of_taps = error_y.copy()
    of_taps[..., p:] += kept
    return Results(
        x=np.zeros_like(x),
        y=error_y,
        grad_x=_reach(b, error_adjoint, 0, q),
        grad_past_y=_reach(a, error_adjoint, 1, p)[..., :p],
        grad_feedforward=_stacked([error_adjoint * _lagged(x, j, length) for j in range(q + 1)], b),
        grad_feedback=_stacked(
            [error_adjoint * _lagged(y, k, length) + adjoint * _lagged(of_taps, k, length) for k in range(1, p + 1)], a
        ),
    )


def _response(feedback: Wide) -> Wide:
    """Return h[t, s] (B, C, T, T): how sample s of Σ feedforward · x moves y[t]."""
    batch, channels, length, p = feedback.shape
    response = np.zeros((batch, channels, length, length), feedback.dtype)
    for t in range(length):
        response[:, :, t, t] = 1
        for k in range(1, min(p, t) + 1):
            response[:, :, t] += feedback[:, :, t, k - 1, None] * response[:, :, t - k]
    return response


def _lagged(signal: Wide, lag: int, length: int) -> Wide:
    """View signal[t - lag] for the last `length` samples t."""
    start = signal.shape[-1] - length - lag
    return signal[..., start : start + length]


def _reach(taps: Wide, signal: Wide, first: int, past: int) -> Wide:
    """Return Σ_j taps_j[t + j] · signal[t + j] over past and block; the transpose of a filter's taps."""
    length = signal.shape[-1]
    total = np.zeros((*signal.shape[:-1], past + length))
    for index in range(taps.shape[-1]):
        start = past - index - first
        total[..., start : start + length] += taps[..., index] * signal
    return total


def _stacked(columns: list[Wide], like: Wide) -> Wide:
    return np.stack(columns, -1) if columns else np.zeros_like(like)
