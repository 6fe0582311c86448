"""Poles, zeros, and whether filters are stable: values in NumPy."""

from __future__ import annotations

from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .._core.arrays import is_traced
from ..errors import ArgumentError
from ._roots import discriminant, roots
from ._subject import sections_of

__all__ = ["is_stable", "poles", "stability_margin", "zeros"]

Design: TypeAlias = npt.NDArray[Any]


def poles(bank: Any) -> npt.NDArray[np.complex128]:
    """Return the poles of every filter: the roots of its denominator, as `scipy.signal.tf2zpk` has them.

    Of first and second order they come by closed form, with double poles as exact as simple ones. Above, they are
    eigenvalues of companion matrices: exact for coefficients that differ from these by rounding, which moves a pole of
    multiplicity m by up to about 1e-16^(1/m). Use sections (`RecurrenceBank.from_sos`) for filters of high order.

    Parameters
    ----------
    bank
        As in `frequency_response`.

    Returns
    -------
    poles
        (…, C, p), p the number of feedback taps; of a cascade the poles of each section in turn. The poles of a filter
        with feedforward taps alone, all at 0, are left out. Not finite coefficients have poles NaN. A bank with
        `reverse` has the poles of its recurrence in the direction that it runs.

    Raises
    ------
    ArgumentError
        `bank` is none, or its coefficients have no values, under a compiler or a transformation.

    Example
    -------
    >>> import multirec as mr
    >>> poles(mr.RecurrenceBank.from_ba([1.0], [[1, -1, 0.5], [1, -1, 0.25]]))
    array([[0.5+0.5j, 0.5-0.5j],
           [0.5+0.j , 0.5+0.j ]])
    """
    return _joined([roots(a) for _, a in _pairs(bank)])


def zeros(bank: Any) -> npt.NDArray[np.complex128]:
    """Return the zeros of every filter: the roots of its numerator, as `scipy.signal.tf2zpk` has them.

    They are computed as `poles` are.

    Returns
    -------
    zeros
        (…, C, q) for q + 1 feedforward taps; of a cascade the zeros of each section in turn. Leading taps of 0 give
        zeros at infinity (inf); a numerator that is 0 has NaN.

    Raises
    ------
    ArgumentError
        `bank` is none, or its coefficients have no values, under a compiler or a transformation.

    Example
    -------
    >>> import multirec as mr
    >>> zeros(mr.RecurrenceBank.from_ba([[1, 0, -1], [0, 2, -1]], 1.0))
    array([[-1. +0.j,  1. +0.j],
           [ inf+0.j,  0.5+0.j]])
    """
    return _joined([roots(b) for b, _ in _pairs(bank)])


def stability_margin(bank: Any) -> npt.NDArray[np.float64]:
    """Return 1 - the largest radius of a pole, for every filter: its distance to instability.

    A response decays as (1 - margin)^t. Of first and second order it is right to a few units in its last place, and
    above 0 for stable filters alone. Of higher order it is as exact as `poles`.

    Returns
    -------
    margin
        (…, C): 1 for filters without feedback, at most 0 for unstable ones, NaN where coefficients are not finite.

    Raises
    ------
    ArgumentError
        `bank` is none, or its coefficients have no values, under a compiler or a transformation.

    Example
    -------
    >>> import multirec as mr
    >>> stability_margin(mr.RecurrenceBank.from_ba([1.0], [[1, -1.5], [1, -0.9375]]))
    array([-0.5   ,  0.0625])
    """
    with np.errstate(all="ignore"):
        return reduce(np.minimum, [_margin(-a[..., 1:]) for _, a in _pairs(bank)])


def is_stable(bank: Any) -> npt.NDArray[np.bool_]:
    """Return whether every pole of a filter is inside the unit circle.

    No poles are computed, so clusters of them do not mislead it: of first and second order it is exact; above, the
    reflection coefficients are within (-1, 1) (Schur and Cohn), in double precision.

    Returns
    -------
    stable
        (…, C); False where coefficients are not finite. Filters without feedback are stable.

    Raises
    ------
    ArgumentError
        `bank` is none, or its coefficients have no values, under a compiler or a transformation.

    Example
    -------
    >>> import multirec as mr
    >>> is_stable(mr.RecurrenceBank.from_ba([1.0], [[1, -2, 1], [1, -1.5, 0.75]]))
    array([False,  True])
    """
    with np.errstate(all="ignore"):
        return reduce(np.logical_and, [_stable(-a[..., 1:]) for _, a in _pairs(bank)])


def _pairs(bank: Any) -> list[tuple[Design, Design]]:
    """Return SciPy's b and a of each section; raise where they have no values."""
    sections = sections_of(bank)
    taps = [part for section in sections for part in (section.feedforward, section.feedback)]
    if any(is_traced(part) for part in taps if part is not None):
        raise ArgumentError(
            "poles, zeros and stability are values, and the coefficients have none here, under a compiler or a "
            "transformation (jit, grad, vmap). Ask outside of it. Responses and delays are differentiable."
        )
    return [section.ba() for section in sections]


def _joined(parts: list[Design]) -> Design:
    lead = np.broadcast_shapes(*(part.shape[:-1] for part in parts))
    return np.concatenate([np.broadcast_to(part, (*lead, part.shape[-1])) for part in parts], -1)


def _margin(feedback: Design) -> Design:
    """Return 1 - the largest radius (…, C) of a section's poles."""
    order = feedback.shape[-1]
    if not order:
        return np.ones(feedback.shape[:-1])
    if order > 2 or np.iscomplexobj(feedback):
        margins: Design = 1 - np.abs(roots(np.concatenate([np.ones_like(feedback[..., :1]), -feedback], -1)))
        margin: Design = margins.min(-1)
        return margin
    half, last = np.abs(feedback[..., 0]) / 2, feedback[..., 1] if order == 2 else np.zeros(feedback.shape[:-1])
    inside = discriminant(half, last)
    root = np.sqrt(np.abs(inside))
    # 1 minus what is nearer to it comes first, which is exact: signs are those of the exact margins
    edge = np.where(last > 0.5, (1 - last) - 2 * half, (1 - 2 * half) - last)
    pair = (1 + last) / (1 + np.sqrt(-last))
    real = np.where(half < 1, edge / ((1 - half) + root), 1 - (half + root))
    found: Design = np.where(inside < 0, pair, real)
    return found


def _stable(feedback: Design) -> Design:
    order = feedback.shape[-1]
    if not order:
        return np.ones(feedback.shape[:-1], np.bool_)
    if order <= 2 and not np.iscomplexobj(feedback):
        return _margin(feedback) > 0
    stable = np.ones(feedback.shape[:-1], np.bool_)
    a = -feedback
    for _ in range(order):
        k = a[..., -1:]
        stable &= np.abs(k[..., 0]) < 1
        rest = a[..., :-1]
        a = (rest - k * rest[..., ::-1].conj()) / (1 - np.abs(k) ** 2)
    return stable
