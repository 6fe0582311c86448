"""Roots of real and complex polynomials, many at once, in NumPy's double precision."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["discriminant", "roots"]

Design: TypeAlias = npt.NDArray[Any]

_SPLIT = float(2**27 + 1)


def roots(polynomials: Design) -> Design:
    """Return the roots (…, n) of polynomials (…, n + 1), highest power first, as complex128.

    Leading zeros are roots at infinity (inf), trailing ones at 0. A polynomial that is 0 or not finite has NaN.
    """
    rows = polynomials.reshape(-1, polynomials.shape[-1])
    degree = rows.shape[-1] - 1
    found = np.full((len(rows), degree), np.nan, np.complex128)
    there = rows != 0
    proper = np.flatnonzero(np.isfinite(rows).all(-1) & there.any(-1))
    ends = np.stack([there.argmax(-1), there[:, ::-1].argmax(-1)], -1)
    for leading, trailing in np.unique(ends[proper], axis=0):
        own = proper[(ends[proper] == (leading, trailing)).all(-1)]
        last = degree - trailing
        with np.errstate(all="ignore"):
            found[own, leading:last] = _monic(-rows[own, leading + 1 : last + 1] / rows[own, leading, None])
        found[own, :leading] = np.inf
        found[own, last:] = 0
    return found.reshape(*polynomials.shape[:-1], degree)


def _monic(feedback: Design) -> Design:
    """Return the roots (N, p) of z^p - Σ feedback[k]·z^(p-1-k)."""
    count, order = feedback.shape
    if order < 2:
        return feedback
    if order == 2:
        return _quadratic(feedback)
    finite = np.isfinite(feedback).all(-1, keepdims=True)
    companion = np.zeros((count, order, order), feedback.dtype)
    companion[:, 0] = np.where(finite, feedback, 0)
    companion[:, np.arange(1, order), np.arange(order - 1)] = 1
    return np.where(finite, np.linalg.eigvals(companion), np.nan)


def _quadratic(feedback: Design) -> Design:
    half, last = feedback[:, 0] / 2, feedback[:, 1]
    if np.iscomplexobj(feedback):
        root = np.sqrt(half * half + last)
        far = half + np.where((half.conj() * root).real < 0, -root, root)
        return np.stack([far, np.where(far == 0, 0, -last / far)], -1)
    inside = discriminant(half, last)
    root = np.sqrt(np.abs(inside))
    far = half + np.copysign(root, half)
    # the product of both is -last: no difference of neighbours is taken
    real = np.stack([far, np.where(far == 0, 0, -last / far)], -1)
    pair = np.stack([half + 1j * root, half - 1j * root], -1)
    return np.where((inside < 0)[:, None], pair, real)


def discriminant(half: Design, last: Design) -> Design:
    """Return half² + last of z² - 2·half·z - last, right to a few units in the last place though the two cancel.

    The square's rounding error is added (Dekker 1971; Kahan 2004), so that close poles are told apart.
    """
    square = half * half
    high = _SPLIT * half
    high = high - (high - half)
    low = half - high
    error = ((high * high - square) + 2 * high * low) + low * low
    found: Design = (square + last) + np.where(np.isfinite(error), error, 0)
    return found
