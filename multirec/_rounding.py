"""What rounding coefficients to float32 does to filters, judged by their poles and their frequency response.

A filter is spoiled where it is stable in float64 and not in float32, or where its frequency response moves by more than
`TOLERANCE` of its own maximum. Rounding moves the denominator by much the same everywhere on the unit circle, so it
tells where that is small: the response is compared at the angles of the poles, within their bandwidths, at zero, at
half the sample rate and on a coarse grid. How far poles move is no measure, since those of an ordinary filter may lie
close together: a gammatone filter's move by 4 % of their distance to the circle, and its response by 7e-6.

Poles are dear to find. A bound that needs none clears most filters before.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["TOLERANCE", "damage"]

Design: TypeAlias = npt.NDArray[Any]
Mask: TypeAlias = npt.NDArray[np.bool_]

TOLERANCE = 0.01
"""The largest change of its response that a filter may suffer, as a share of its maximum: 0.09 dB."""

_BANDWIDTHS = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
_GRID = np.linspace(-np.pi, np.pi, 33)


def damage(feedforward: Design | None, feedback: Design | None) -> str:
    """Say which filters rounding to float32 spoils, and how; nothing if it spoils none.

    Coefficients (…, C, taps) are broadcast over their first axes. A filter that is not stable and finite itself has no
    response to compare, and one without feedback loses no more than the rounding of its taps.

    Example
    -------
    >>> damage(None, np.array([[1.8, -0.81]]))
    ''
    >>> damage(None, np.array([[0.5], [1 - 1e-8]]))
    'filter 1 is no longer stable: a pole moves from radius 0.99999999 to 1'
    """
    if feedback is None or not feedback.shape[-1]:
        return ""
    feedforward = np.ones((1, 1)) if feedforward is None else feedforward
    lead = np.broadcast_shapes(feedforward.shape[:-1], feedback.shape[:-1])
    rows = (
        np.broadcast_to(taps, (*lead, taps.shape[-1])).reshape(-1, taps.shape[-1]) for taps in (feedforward, feedback)
    )
    with np.errstate(all="ignore"):
        own = _Filters(*rows)
        suspects = np.flatnonzero(~_surely_held(own, own.rounded()))
        return _described(own.only(suspects), suspects % lead[-1]) if suspects.size else ""


class _Filters(NamedTuple):
    """Filters by rows: feedforward (N, q+1) and feedback (N, p)."""

    feedforward: Design
    feedback: Design

    def only(self, rows: npt.NDArray[np.intp]) -> _Filters:
        return _Filters(self.feedforward[rows], self.feedback[rows])

    def rounded(self) -> _Filters:
        narrow = (taps.astype(np.complex64 if np.iscomplexobj(taps) else np.float32) for taps in self)
        return _Filters(*(taps.astype(own.dtype) for taps, own in zip(narrow, self, strict=True)))

    def poles(self) -> Design:
        """Return the poles (N, p): eigenvalues of companion matrices, NaN where those are not finite."""
        count, order = self.feedback.shape
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
    held: Mask = (moved_a + moved_b == 0) | ((moved_a < least) & (change <= TOLERANCE))
    return held


def _described(own: _Filters, channels: npt.NDArray[np.intp]) -> str:
    """Look at filters closely, and say what becomes of those of these channels."""
    rounded, poles = own.rounded(), own.poles()
    delay = _near(poles)
    before, after = own.response(delay), rounded.response(delay)
    largest = np.abs(before).max(-1)
    change = np.abs(after - before).max(-1) / largest
    radius, moved = np.abs(poles).max(-1), np.abs(rounded.poles()).max(-1)
    judged = (radius < 1) & (largest > 0) & np.isfinite(largest)
    lost = judged & ~(moved < 1)
    if lost.any():
        first = np.argmax(lost)
        moves = f"a pole moves from radius {radius[first]:.10g} to {moved[first]:.10g}"
        return f"{_named(channels[lost])} no longer stable: {moves}"
    spoiled = judged & ~(change <= TOLERANCE)
    if not spoiled.any():
        return ""
    return f"{_named(channels[spoiled])} off by {change[spoiled].max():.1%} of the largest response"


def _near(poles: Design) -> Design:
    """Return exp(-jω) at the frequencies (N, F) that tell of filters with these poles (N, p)."""
    near = np.angle(poles)[..., None] + (1 - np.abs(poles))[..., None] * _BANDWIDTHS
    grid = np.broadcast_to(_GRID, (len(poles), _GRID.size))
    return np.exp(-1j * np.concatenate([near.reshape(len(poles), -1), grid], -1))


def _polynomial(taps: Design, delay: Design) -> Design:
    """Return Σ taps[k]·delay^k."""
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
