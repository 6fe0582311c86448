"""What rounding coefficients to float32 does to filters, judged by their poles and their frequency response.

A filter is spoiled where it is stable in float64 and not in float32, or where its frequency response moves by more than
`TOLERANCE` of its own maximum. Rounding moves the denominator by much the same everywhere on the unit circle, so it
tells where that is small: the response is compared at the angles of the poles, within their bandwidths, at zero, at
half the sample rate and on a coarse grid. How far poles move is no measure, since those of an ordinary filter may lie
close together: a gammatone filter's move by 4 % of their distance to the circle, and its response by 7e-6.
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
    with np.errstate(all="ignore"):
        own = _Filters(feedforward, feedback)
        rounded = _Filters(_rounded(feedforward), _rounded(feedback))
        if all(map(np.array_equal, own, rounded)):
            return ""
        return _described(own, rounded)


class _Filters(NamedTuple):
    feedforward: Design
    feedback: Design

    def poles(self) -> Design:
        """Return the poles (…, p): eigenvalues of companion matrices, NaN where those are not finite."""
        order = self.feedback.shape[-1]
        finite = np.isfinite(self.feedback).all(-1, keepdims=True)
        companion = np.zeros((*self.feedback.shape[:-1], order, order), self.feedback.dtype)
        companion[..., 0, :] = np.where(finite, self.feedback, 0)
        companion[..., np.arange(1, order), np.arange(order - 1)] = 1
        return np.where(finite, np.linalg.eigvals(companion), np.nan)

    def response(self, delay: Design) -> Design:
        """Return the response (…, F) at delay = exp(-jω)."""
        response: Design = _polynomial(self.feedforward, delay) / (1 - delay * _polynomial(self.feedback, delay))
        return response


def _described(own: _Filters, rounded: _Filters) -> str:
    poles = own.poles()
    delay = _near(poles)
    before, after = own.response(delay), rounded.response(delay)
    largest = np.abs(before).max(-1)
    change = np.abs(after - before).max(-1) / largest
    radius, moved = (np.broadcast_to(np.abs(part).max(-1), change.shape) for part in (poles, rounded.poles()))
    judged = (radius < 1) & (largest > 0) & np.isfinite(largest)
    lost = judged & ~(moved < 1)
    if lost.any():
        place = np.unravel_index(np.argmax(lost), lost.shape)
        return f"{_named(lost)} no longer stable: a pole moves from radius {radius[place]:.10g} to {moved[place]:.10g}"
    spoiled = judged & ~(change <= TOLERANCE)
    return f"{_named(spoiled)} off by {change[spoiled].max():.1%} of the largest response" if spoiled.any() else ""


def _rounded(taps: Design) -> Design:
    return taps.astype(np.complex64 if np.iscomplexobj(taps) else np.float32).astype(taps.dtype)


def _near(poles: Design) -> Design:
    """Return exp(-jω) at the frequencies (…, F) that tell of filters with these poles (…, p)."""
    near = np.angle(poles)[..., None] + (1 - np.abs(poles))[..., None] * _BANDWIDTHS
    near = near.reshape((*poles.shape[:-1], -1))
    grid = np.broadcast_to(_GRID, (*near.shape[:-1], _GRID.size))
    return np.exp(-1j * np.concatenate([near, grid], -1))


def _polynomial(taps: Design, delay: Design) -> Design:
    """Return Σ taps[k]·delay^k."""
    total = taps[..., -1:]
    for index in reversed(range(taps.shape[-1] - 1)):
        total = total * delay + taps[..., index : index + 1]
    return total


def _named(which: Mask) -> str:
    """Name the channels of the filters (…, C) that are marked, with the verb that follows."""
    channels = np.flatnonzero(which.reshape(-1, which.shape[-1]).any(0))
    if len(channels) == 1:
        return f"filter {channels[0]} is"
    return f"filters {', '.join(map(str, channels[:3]))}{', …' if len(channels) > 3 else ''} are"
