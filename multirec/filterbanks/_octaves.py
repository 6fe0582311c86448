"""The standard's octave and third-octave bands."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .._core.scalars import check_sample_rate, whole
from ..biquads._parameters import check_frequency
from ..errors import ArgumentError
from ._butterworth import band_pass
from ._scales import Hertz

__all__ = ["Bands", "octave", "third_octave"]

_PER_DECADE = {1: 10 / 3, 3: 10.0}
_PREFERRED = np.array([1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0])


class Bands(NamedTuple):
    """A bank of octave or fractional-octave bands."""

    sos: npt.NDArray[np.float64]
    """SciPy's rows (C, order, 6)."""
    centres: Hertz
    """Exact mid-band frequencies (C,) in Hz."""
    edges: Hertz
    """Band-edge frequencies (C, 2) in Hz, where the gain is -3 dB."""
    nominal: Hertz
    """What the bands are called, (C,) in Hz."""


def octave(sample_rate: float, *, f_min: float = 31.5, f_max: float | None = None, order: int = 4) -> Bands:
    """Return the octave bands of IEC 61260-1. As `third_octave`.

    Example
    -------
    >>> octave(16000).nominal
    array([  31.5,   63. ,  125. ,  250. ,  500. , 1000. , 2000. , 4000. ])
    """
    return _bands(1, sample_rate, f_min, f_max, order)


def third_octave(sample_rate: float, *, f_min: float = 25.0, f_max: float | None = None, order: int = 4) -> Bands:
    """Return the third-octave bands of IEC 61260-1:2014, with Butterworth filters of class 1.

    The exact mid-band frequencies are 1000·10^(k/10) Hz, and the edges a factor of 10^(1/20) from them: the standard's
    octave is 10^0.3. The bilinear transform makes the lower skirt of bands near half the sample rate less steep, so
    class 1 takes order 4; with order 3 only the bands that end below a quarter of the sample rate are of class 1.

    Parameters
    ----------
    sample_rate
        In Hz.
    f_min, f_max
        The first and the last band are those that these frequencies in Hz lie in: nominal names do. None is the last
        band that ends below half the sample rate, and at most that at 20 kHz (`octave`: 16 kHz).
    order
        Of the prototype, as in `scipy.signal.butter`: a filter has twice as many poles.

    Raises
    ------
    ArgumentError
        A band ends above half the sample rate, there is none, or the order is not a whole number of at least 1.

    Example
    -------
    >>> bands = third_octave(16000, f_min=100, f_max=500)
    >>> bands.nominal
    array([100., 125., 160., 200., 250., 315., 400., 500.])
    >>> bands.sos.shape, bands.edges[0].round(2)
    ((8, 4, 6), array([ 89.13, 112.2 ]))
    """
    return _bands(3, sample_rate, f_min, f_max, order)


def _bands(fraction: int, sample_rate: float, f_min: float, f_max: float | None, order: int) -> Bands:
    """Return bands of 1/fraction of an octave."""
    sample_rate, order = check_sample_rate(sample_rate), whole("order", order, 1)
    check_frequency("f_min", np.asarray(f_min), sample_rate)
    per_decade = _PER_DECADE[fraction]
    half_band = 10 ** (0.5 / per_decade)
    if f_max is None:
        # the last whole band, less a rounding of its edge
        highest = math.ceil(per_decade * math.log10(sample_rate / 2000) - 0.5 - 1e-9) - 1
        last = min(highest, _number(20000.0 if fraction == 3 else 16000.0, per_decade))
    else:
        check_frequency("f_max", np.asarray(f_max), sample_rate)
        last = _number(f_max, per_decade)
    numbers = np.arange(_number(f_min, per_decade), last + 1)
    centres = 1000 * 10 ** (numbers / per_decade)
    if not numbers.size or centres[-1] * half_band >= sample_rate / 2:
        top = "the last one" if f_max is None else f"that of f_max={f_max:g} Hz"
        got = f"the last one ends at {centres[-1] * half_band:g} Hz" if numbers.size else "there is none"
        raise ArgumentError(
            f"bands are from that of f_min={f_min:g} Hz to {top} and end below half the sample rate, "
            f"{sample_rate / 2:g} Hz, but {got}. Change f_min or f_max."
        )
    edges = centres[:, None] * np.array([1 / half_band, half_band])
    tenths = numbers * (3 // fraction)
    nominal = _PREFERRED[tenths % 10] * 10.0 ** (3 + tenths // 10)
    return Bands(band_pass(edges, sample_rate, order), centres, edges, nominal)


def _number(hertz: float, per_decade: float) -> int:
    """Return how many bands the one that a frequency lies in is from that at 1000 Hz."""
    return round(per_decade * math.log10(hertz / 1000))
