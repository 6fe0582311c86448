"""What rounding coefficients to float32 does to filters, judged by their poles and their frequency response.

A filter is held where it is stable before and after, and its frequency response moves by at most `TOLERANCE` of its own
maximum. Rounding moves the denominator by much the same everywhere on the unit circle, so it
tells where that is small: the response is compared at the angles of the poles, within their bandwidths, at zero, at
half the sample rate and on a coarse grid. How far poles move is no measure, since those of an ordinary filter may lie
close together: a gammatone filter's move by 4 % of their distance to the circle, and its response by 7e-6.

Poles take long to find, so a bound that needs none clears most filters first. Where poles lie so close together that
even float64 finds them on the edge of stability, the filter is none that float32 holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["TOLERANCE", "damage", "same_response"]

Design: TypeAlias = npt.NDArray[Any]
Mask: TypeAlias = npt.NDArray[np.bool_]

TOLERANCE = 0.01
"""The largest change of its response that a filter may suffer, as a share of its maximum: 0.09 dB."""

_BANDWIDTHS = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
_GRID = np.linspace(-np.pi, np.pi, 33)
_UNSTABLE = 1.01
"""The radius beyond which a pole is unstable for certain, and was meant to be."""
_CHUNK = 4096
"""Filters looked at together: bounds the memory."""


def damage(feedforward: Design | None, feedback: Design | None) -> str:
    """Say which filters rounding to float32 spoils, and how; nothing if it spoils none.

    Coefficients (…, C, taps) are broadcast over their first axes; those that do not fit together are no filters.
    Filters that rounding does not change, that are not finite, or that are plainly unstable are not spoiled by it. Of
    very many filters, the first few thousand that have spoiled ones among them are told of.

    Example
    -------
    >>> damage(None, np.array([[1.8, -0.81]]))
    ''
    >>> damage(None, np.array([[0.5], [1 - 1e-8]]))
    'filter 1 is no longer stable: a pole moves from radius 0.99999999 to 1'
    """
    feedforward = np.ones((1, 1)) if feedforward is None else feedforward
    feedback = np.zeros((1, 0)) if feedback is None else feedback
    try:
        lead = np.broadcast_shapes(feedforward.shape[:-1], feedback.shape[:-1])
    except ValueError:
        return ""
    filters = _Filters(*(_rows(taps, lead) for taps in (feedforward, feedback)))
    with np.errstate(all="ignore"):
        for start in range(0, len(filters.feedback), _CHUNK):
            own = _Filters(*(taps[start : start + _CHUNK] for taps in filters))
            suspects = np.flatnonzero(~_surely_held(own, own.rounded()))
            channels = (start + suspects) % lead[-1]
            found = _described(own.only(suspects), channels) if suspects.size else ""
            if found:
                return found
    return ""


def _rows(taps: Design, lead: tuple[int, ...]) -> Design:
    """Return coefficients (N, taps) of filters (…, C), in double precision."""
    taps = taps.astype(np.complex128 if np.iscomplexobj(taps) else np.float64, copy=False)
    return np.broadcast_to(taps, (*lead, taps.shape[-1])).reshape(prod(lead), taps.shape[-1])


def same_response(design: Sequence[Design], other: Sequence[Design]) -> Mask:
    """Return which filters (C,) are stable and respond as designs do, both (feedforward, feedback) of (C, taps)."""
    own, others = _Filters(*design), _Filters(*other)
    with np.errstate(all="ignore"):
        change, largest = _change(own, others, own.poles())
        same: Mask = (_radius(others.poles()) < 1) & (change <= TOLERANCE * largest)
    return same


class _Filters(NamedTuple):
    """Filters by rows: feedforward (N, q+1) and feedback (N, p)."""

    feedforward: Design
    feedback: Design

    def only(self, rows: npt.NDArray[np.intp]) -> _Filters:
        return _Filters(self.feedforward[rows], self.feedback[rows])

    def rounded(self) -> _Filters:
        narrow = (taps.astype(np.complex64 if np.iscomplexobj(taps) else np.float32) for taps in self)
        return _Filters(*(taps.astype(own.dtype) for taps, own in zip(narrow, self, strict=True)))

    def same(self, other: _Filters) -> Mask:
        """Return which filters (N,) have the same coefficients as others."""
        same: Mask = np.all([np.all(own == others, -1) for own, others in zip(self, other, strict=True)], 0)
        return same

    def finite(self) -> Mask:
        """Return which filters (N,) have finite coefficients."""
        finite: Mask = np.all([np.isfinite(taps).all(-1) for taps in self], 0)
        return finite

    def poles(self) -> Design:
        """Return the poles (N, p): eigenvalues of companion matrices, NaN where those are not finite."""
        count, order = self.feedback.shape
        if not order:
            return np.zeros((count, 0))
        finite = np.isfinite(self.feedback).all(-1, keepdims=True)
        companion = np.zeros((count, order, order), self.feedback.dtype)
        companion[:, 0] = np.where(finite, self.feedback, 0)
        companion[:, np.arange(1, order), np.arange(order - 1)] = 1
        return np.where(finite, np.linalg.eigvals(companion), np.nan)

    def response(self, delay: Design) -> Design:
        """Return the response (N, F) at delay = exp(-jω)."""
        response: Design = _polynomial(self.feedforward, delay) / (1 - delay * _polynomial(self.feedback, delay))
        return response


def _surely_held(own: _Filters, rounded: _Filters) -> Mask:
    """Return which filters (N,) cannot be spoiled, by bounds: |A| ≥ Π(1 - |k|) with its reflection coefficients k."""
    moved_b, moved_a = (np.abs(new - old).sum(-1) for new, old in zip(rounded, own, strict=True))
    taps, least = -own.feedback, np.ones(len(own.feedback))
    for last in reversed(range(taps.shape[-1])):
        k, taps = taps[:, last], taps[:, :last]
        least = least * np.maximum(1 - np.abs(k), 0)
        taps = (taps - k[:, None] * taps[:, ::-1].conj()) / (1 - np.abs(k) ** 2)[:, None]
    ends = np.abs(own.response(np.array([1.0, -1.0]))).max(-1)
    mean = np.sqrt((np.abs(own.feedforward) ** 2).sum(-1)) / (1 + np.abs(own.feedback).sum(-1))
    change = (moved_b / np.maximum(ends, mean) + moved_a) / (least - moved_a)
    held: Mask = own.same(rounded) | ((moved_a < least) & (change <= TOLERANCE))
    return held


def _described(own: _Filters, channels: npt.NDArray[np.intp]) -> str:
    """Look at filters closely, and say what becomes of those of these channels."""
    rounded, poles = own.rounded(), own.poles()
    radius, moved = _radius(poles), _radius(rounded.poles())
    judged = own.finite() & ~(radius > _unstable(own.feedback))
    out_of_range = judged & ~rounded.finite()
    if out_of_range.any():
        return f"{_named(channels[out_of_range])} beyond the range of float32"
    marginal = judged & ~(radius < 1) & ~_same_at_poles(own, rounded, poles)
    if marginal.any():
        return f"{_named(channels[marginal])} at the edge of stability: a pole has radius {radius[marginal].max():.10g}"
    lost = judged & (radius < 1) & ~(moved < 1)
    if lost.any():
        first = np.argmax(lost)
        moves = f"a pole moves from radius {radius[first]:.10g} to {moved[first]:.10g}"
        return f"{_named(channels[lost])} no longer stable: {moves}"
    change, largest = _change(own, rounded, poles)
    spoiled = judged & (radius < 1) & ~(change <= TOLERANCE * largest)
    if not spoiled.any():
        return ""
    return f"{_named(channels[spoiled])} off by {(change / largest)[spoiled].max():.1%} of the largest response"


def _radius(poles: Design) -> Design:
    radius: Design = np.abs(poles).max(-1, initial=0)
    return radius


def _unstable(feedback: Design) -> Design:
    """Return the radius (N,) beyond which poles are unstable for certain; those close together are found badly."""
    blur = np.finfo(np.float64).eps * (1 + np.abs(feedback).sum(-1))
    margin: Design = np.clip(2 * blur ** (1 / max(feedback.shape[-1], 1)), _UNSTABLE - 1, 1)
    return 1 + margin


def _same_at_poles(own: _Filters, other: _Filters, poles: Design) -> Mask:
    """Return which filters (N,) keep their poles exactly, and within `TOLERANCE` how they excite them: accumulators."""
    delay = np.exp(-1j * np.angle(poles))
    before, after = (_polynomial(filters.feedforward, delay) for filters in (own, other))
    excited: Mask = (np.abs(after - before) <= TOLERANCE * np.abs(before)).all(-1)
    excited &= np.all(own.feedback == other.feedback, -1)
    return excited


def _change(own: _Filters, other: _Filters, poles: Design) -> tuple[Design, Design]:
    """Return the largest change of filters' responses to others', and their own largest responses, (N,) each."""
    delay = _near(poles)
    before, after = own.response(delay), other.response(delay)
    return np.abs(after - before).max(-1), np.abs(before).max(-1)


def _near(poles: Design) -> Design:
    """Return exp(-jω) at the frequencies (N, F) that tell of filters with these poles (N, p)."""
    near = np.angle(poles)[..., None] + (1 - np.abs(poles))[..., None] * _BANDWIDTHS
    grid = np.broadcast_to(_GRID, (len(poles), _GRID.size))
    return np.exp(-1j * np.concatenate([near.reshape(len(poles), -1), grid], -1))


def _polynomial(taps: Design, delay: Design) -> Design:
    """Return Σ taps[k]·delay^k."""
    if not taps.shape[-1]:
        return np.zeros((len(taps), 1))
    total = taps[:, -1:]
    for index in reversed(range(taps.shape[-1] - 1)):
        total = total * delay + taps[:, index : index + 1]
    return total


def _named(channels: npt.NDArray[np.intp]) -> str:
    """Name the filters of channels, with the verb that follows."""
    which = np.unique(channels)
    if len(which) == 1:
        return f"filter {which[0]} is"
    return f"filters {', '.join(map(str, which[:3]))}{', …' if len(which) > 3 else ''} are"
