"""The recurrence and its adjoint as loops that the numba package compiles; imported where it is installed.

x is (B, 1 or C, T), y and its gradient (B, C, T), feedforward (C, taps), feedback (C, p); no taps: y begins with x[t].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange


def _forward(x: Any, feedforward: Any, feedback: Any, y: Any) -> None:
    batch, channels, length = y.shape
    taps, order, own = feedforward.shape[1], feedback.shape[1], x.shape[1] > 1
    for row in prange(batch * channels):
        n, c = row // channels, row % channels
        source = x[n, c if own else 0]
        for t in range(length):
            value = source[t] if taps == 0 else feedforward[c, 0] * source[t]
            for j in range(1, min(taps, t + 1)):
                value += feedforward[c, j] * source[t - j]
            for k in range(1, min(order, t) + 1):
                value += feedback[c, k - 1] * y[n, c, t - k]
            y[n, c, t] = value


def _backward(
    x: Any, feedforward: Any, feedback: Any, y: Any, grad_y: Any, grad_x: Any, grad_feedforward: Any, grad_feedback: Any
) -> None:
    """Add gradients to zeros: those of x, and those of the coefficients, for each example apart: (B, C, taps)."""
    batch, channels, length = y.shape
    taps, order, own = feedforward.shape[1], feedback.shape[1], x.shape[1] > 1
    for n in prange(batch):
        slope = np.empty(length, y.dtype)
        for c in range(channels):
            from_x = c if own else 0
            for t in range(length - 1, -1, -1):
                value = grad_y[n, c, t]
                for k in range(1, min(order, length - 1 - t) + 1):
                    value += np.conj(feedback[c, k - 1]) * slope[t + k]
                slope[t] = value
                if taps == 0:
                    grad_x[n, from_x, t] += value
                for j in range(min(taps, length - t)):
                    grad_x[n, from_x, t] += np.conj(feedforward[c, j]) * slope[t + j]
                for j in range(min(taps, t + 1)):
                    grad_feedforward[n, c, j] += value * np.conj(x[n, from_x, t - j])
                for k in range(1, min(order, t) + 1):
                    grad_feedback[n, c, k - 1] += value * np.conj(y[n, c, t - k])


# prange is range where nothing is parallel
KERNELS = {
    parallel: (njit(parallel=parallel)(_forward), njit(parallel=parallel)(_backward)) for parallel in (False, True)
}
