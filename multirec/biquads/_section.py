"""From frequency, Q and gain to the coefficients of a section, accurate and stable in the precision of the parameters.

With t = tan(ω/2) of the poles and w = t/((1 + t²)·Q), the cookbook's sin(ω)/2Q, the denominator is 1, k·(1 + a2), a2,
where k = (t² - 1)/(t² + 1) = -cos(ω) and a2 = (1 - w)/(1 + w) are its reflection coefficients.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from .._core.axes import namespace
from ._kinds import Recipe
from ._parameters import limited

__all__ = ["MOST_GAIN", "MOST_Q", "coefficients", "limited_q", "q_from_octaves", "stacked"]

Array: TypeAlias = Any
Six: TypeAlias = tuple[Array, Array, Array, Array, Array, Array]

MOST_Q, MOST_GAIN = 1e9, 300.0
_MOST_OCTAVES = 100.0


def coefficients(recipe: Recipe, sample_rate: float, frequency: Array, q: Array, gain: Array | None = None) -> Six:
    """Return b0, b1, b2, a0, a1, a2 of sections; parameters are arrays of one library and precision, broadcast."""
    library, eps = namespace(frequency), _eps(frequency)
    # 1 - |k| and 1 - |a2| of at least 2·eps keep |a1| < 1 + a2 < 2 through all rounding
    least = _least_tangent(eps)
    _, sine, cosine = _half_angle(frequency, sample_rate)
    tangent = sine / cosine
    damping = 1 / limited_q(q)
    if gain is not None:
        gain = limited(gain, -MOST_GAIN, MOST_GAIN)
        tangent = tangent * _power(gain, recipe.frequency_power)
        damping = damping * _power(gain, recipe.damping_power)
    tangent = limited(tangent, least, 1 / least)
    square = tangent * tangent
    cosine = 1 / (1 + square)
    k = library.where(square < 1, 2 * square * cosine - 1, 1 - 2 * cosine)
    width = limited(damping * tangent * cosine, 2 * eps, 0.5 / eps)
    share = 1 / (1 + width)
    a2 = library.where(width < 1, 1 - 2 * width * share, 2 * share - 1)
    total = 1 + a2
    a1 = k * total
    # what 1 + a2 was rounded by, for where a1 cancels nearly all of it
    lost = a2 - (total - 1)
    high, band, low = ((total - a1) + lost) / 4, (1 - a2) / 2, ((total + a1) + lost) / 4
    if gain is None:
        high, band, low = recipe.high * high, recipe.band * band, recipe.low * low
    else:
        high = (recipe.high + (_power(gain, recipe.high_power) - 1)) * high
        band = (recipe.band + (_power(gain, recipe.band_power) - 1)) * band
        low = (recipe.low + (_power(gain, recipe.low_power) - 1)) * low
    b0 = recipe.signal + ((high + low) + band)
    b1 = recipe.signal * a1 + 2 * (low - high)
    b2 = recipe.signal * a2 + ((high + low) - band)
    return b0, b1, b2, library.ones_like(a2), a1, a2


def limited_q(q: Array) -> Array:
    return limited(q, 1 / MOST_Q, MOST_Q)


def q_from_octaves(bandwidth: Array, frequency: Array, sample_rate: float) -> Array:
    """Return the cookbook's Q of a bandwidth in octaves."""
    angle, sine, cosine = _half_angle(frequency, sample_rate)
    bandwidth = limited(bandwidth, 1 / MOST_Q, _MOST_OCTAVES)
    stretched = (math.log(2) / 2) * bandwidth * (angle / (sine * cosine))
    return 0.5 / namespace(frequency).sinh(limited(stretched, 0.5 / MOST_Q, math.asinh(MOST_Q / 2)))


def _half_angle(frequency: Array, sample_rate: float) -> tuple[Array, Array, Array]:
    """Return half the angular frequency, limited, its sine and its cosine."""
    library = namespace(frequency)
    half, unit = sample_rate / 2, math.pi / sample_rate
    edge = math.atan(_least_tangent(_eps(frequency))) / unit
    hertz = limited(frequency, edge, half - edge)
    # two sines: each keeps its digits where it is small, at 0 Hz and at half the sample rate
    return hertz * unit, library.sin(hertz * unit), library.sin((half - hertz) * unit)


def _least_tangent(eps: float) -> float:
    return 1.01 * math.sqrt(eps)


def _power(gain: Array, exponent: Any) -> Array:
    """Return a power of A = 10^(gain/40)."""
    return 10.0 ** (gain * exponent / 40)


def _eps(array: Array) -> float:
    library = namespace(array)
    found = library.finfo(array.dtype) if library.__name__ == "torch" else np.finfo(array.dtype)
    return float(found.eps)


def stacked(six: Six) -> Array:
    """Return coefficients as SciPy's rows (…, 6)."""
    return namespace(six[0]).stack(six, -1)
