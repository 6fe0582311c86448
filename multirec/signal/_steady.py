"""The memory of a filter that has been given 1 for ever: its steady state, in closed form.

Of transposed direct form II each number of the memory is what the next one and the newest samples give, so at rest,
with outputs of H(1), they are sums from the last to the first. Any scale of the input scales them.
"""

from __future__ import annotations

from .._core.axes import concatenate, filled, flipped, namespace
from ..errors import ArgumentError
from ._arrays import Array, host_values
from ._coefficients import Sections, Transfer

__all__ = ["section_steady", "steady"]


def steady(filters: Transfer) -> Array:
    """Return the memory (C, n) of filters at rest at 1."""
    feedforward, feedback = filters.feedforward, filters.feedback
    later = filled(feedforward[..., 1:], filters.order)
    if feedback is None:
        return _sums_from_last(later)
    gain = feedforward.sum(-1) / _denominator(feedback, filters.source)
    return _sums_from_last(later + filled(feedback, filters.order) * gain[..., None])


def section_steady(sections: Sections) -> Array:
    """Return the memory (C, S, 2) of sections at rest with an input of 1."""
    feedforward, feedback = sections.taps[..., :3], sections.taps[..., 3:]
    gain = feedforward.sum(-1) / _denominator(feedback, sections.source)
    before = namespace(gain).cumprod(concatenate((gain[..., :1] * 0 + 1, gain[..., :-1])), -1)
    alone = _sums_from_last(feedforward[..., 1:] + feedback * gain[..., None])
    return alone * before[..., None]


def _denominator(feedback: Array, source: str) -> Array:
    """Return Σ a / a0."""
    total = 1 - feedback.sum(-1)
    values = host_values(total)
    if values is not None and not values.all():
        raise ArgumentError(
            f"{source}: a filter has a pole at z = 1, and given 1 for ever it never comes to rest. Pass zi of your own "
            "to lfilter or sosfilt."
        )
    return total


def _sums_from_last(taps: Array) -> Array:
    return flipped(namespace(taps).cumsum(flipped(taps), -1))
