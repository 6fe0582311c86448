"""Second-order sections of zeros, poles and gains: those of a pole next to the unit circle get the zeros next to it.

A section's response is then never far from flat, so none loses digits that the next one needs (L. B. Jackson, Digital
Filters and Signal Processing, 1986, on pairing and ordering).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import ArgumentError, ShapeError

__all__ = ["sections_of"]

Roots: TypeAlias = npt.NDArray[Any]


def sections_of(zeros: npt.ArrayLike, poles: npt.ArrayLike, gain: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return SciPy's sections (C, S, 6), or (S, 6), of k·Π(1 − z[i]/z)/Π(1 − p[i]/z)."""
    z, p, k = _roots(zeros, "z"), _roots(poles, "p"), np.asarray(gain)
    if k.ndim > 1 or not np.isrealobj(k) or k.dtype.kind not in "fiu":
        raise ShapeError(f"k has shape {k.shape} and dtype {k.dtype}; it is a real number, or one a filter (C,).")
    try:
        lead = np.broadcast_shapes(z.shape[:-1], p.shape[:-1], k.shape)
    except ValueError:
        raise ShapeError(
            f"z has shape {z.shape}, p has shape {p.shape} and k has shape {k.shape}; they are (C, zeros), (C, poles) "
            "and (C,) with the same number C of filters, or (zeros,), (poles,) and a number for one."
        ) from None
    count = max(z.shape[-1], p.shape[-1], 1)
    count += count % 2
    z, p = (_rows(np.broadcast_to(part, (*lead, part.shape[-1]))) for part in (z, p))
    gains = np.broadcast_to(k, lead).reshape(-1)
    found = [_one(_even(own_z, count), _even(own_p, count)) for own_z, own_p in zip(z, p, strict=True)]
    rows = np.array(found).reshape(len(z), count // 2, 6)
    rows[:, 0, :3] *= gains[:, None]
    return rows.reshape(*lead, count // 2, 6)


def _roots(given: npt.ArrayLike, name: str) -> Roots:
    try:
        roots = np.atleast_1d(np.asarray(given))
    except ValueError as error:
        raise ShapeError(f"{name} is no array: its rows differ in length. Pad them with zeros.") from error
    if roots.ndim > 2 or roots.dtype.kind not in "fciu":
        raise ShapeError(f"{name} has shape {roots.shape} and dtype {roots.dtype}; it is numbers (C, n), or (n,).")
    roots = roots.astype(np.complex128)
    real = np.abs(roots.imag) <= 100 * np.finfo(float).eps * np.abs(roots)
    roots = np.where(real, roots.real, roots)
    for row, own in enumerate(_rows(roots)):
        upper, lower = (np.sort_complex(part) for part in (own[own.imag > 0], own[own.imag < 0].conj()))
        if len(upper) != len(lower) or not np.allclose(upper, lower, rtol=1e-8, atol=0):
            raise ArgumentError(
                f"{name} of filter {row} has complex numbers without their conjugates, so its coefficients are not "
                "real. Add the conjugates, or give complex coefficients to from_ba."
            )
    return roots


def _rows(roots: Roots) -> Roots:
    return roots.reshape(prod(roots.shape[:-1]), roots.shape[-1])


def _even(roots: Roots, count: int) -> Roots:
    """Return `count` roots, those that are missing at zero."""
    return np.concatenate([roots, np.zeros(count - len(roots))])


def _one(zeros: Roots, poles: Roots) -> npt.NDArray[np.float64]:
    """Return the sections (S, 6) of as many zeros as poles; that of the poles next to the circle comes last."""
    zeros_left, poles_left = ([root for root in roots if root.imag >= 0] for roots in (zeros, poles))
    rows = []
    while poles_left:
        pair = _take(poles_left, _to_circle)
        own = _take(zeros_left, partial(_between, pair[0]))
        rows.append(np.concatenate([_polynomial(own), _polynomial(pair)]))
    return np.stack(rows[::-1])


def _to_circle(root: complex) -> float:
    return abs(1 - abs(root))


def _between(one: complex, other: complex) -> float:
    return abs(one - other)


def _take(left: list[complex], distance: Callable[[complex], float]) -> tuple[complex, complex]:
    """Take the root of least distance off a list, and its conjugate or, if it is real, the nearest other real one."""
    first = min(left, key=distance)
    left.remove(first)
    if first.imag:
        return first, first.conjugate()
    second = min((root for root in left if not root.imag), key=distance)
    left.remove(second)
    return first, second


def _polynomial(pair: tuple[complex, complex]) -> npt.NDArray[np.float64]:
    one, other = pair
    return np.array([1.0, 0.0 - (one + other).real, 0.0 + (one * other).real])
