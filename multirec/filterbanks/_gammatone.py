"""Gammatone filters as Slaney's four second-order sections."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .._core.scalars import check_sample_rate, whole
from ..biquads._parameters import check_frequency
from ..errors import ArgumentError, ShapeError
from ._scales import Hertz, spaced

__all__ = ["Gammatone", "erb_centres", "gammatone"]

# Glasberg and Moore's equivalent rectangular bandwidth, as Slaney writes it: f/9.26449 + 24.7 Hz
_EAR_Q, _LEAST_BANDWIDTH = 9.26449, 24.7


class Gammatone(NamedTuple):
    """A bank of gammatone filters."""

    sos: npt.NDArray[np.float64]
    """SciPy's rows (C, 4, 6)."""
    centres: Hertz
    """Centre frequencies (C,) in Hz."""


def gammatone(centres: npt.ArrayLike, sample_rate: float) -> Gammatone:
    """Return fourth-order gammatone filters, gain 1 at their centres: models of the ear's frequency selectivity.

    The impulse response is close to t³·exp(-2π·1.019·ERB·t)·cos(2π·centre·t), with Glasberg and Moore's ERB. A filter
    is four sections that share their poles, each with gain 1 at the centre. Their product is the polynomial of order 8
    of ``scipy.signal.gammatone(centre, "iir", fs=sample_rate)``, which in float32 is unstable at low centres, where the
    sections are not. M. Slaney, *An Efficient Implementation of the Patterson-Holdsworth Auditory Filter Bank*, Apple
    Technical Report 35, 1993.

    Parameters
    ----------
    centres
        Centre frequencies (C,) in Hz, each above 0 and below half the sample rate. `erb_centres` spaces them.
    sample_rate
        In Hz.

    Raises
    ------
    ArgumentError
        A frequency is not above 0 and below half the sample rate.
    ShapeError
        `centres` has not one axis.

    Example
    -------
    >>> from multirec import RecurrenceBank, filterbanks
    >>> sos, centres = filterbanks.gammatone(filterbanks.erb_centres(64, 80.0, 7600.0), 16000)
    >>> sos.shape
    (64, 4, 6)
    >>> bank = RecurrenceBank.from_sos(sos)
    """
    centres, sample_rate = np.asarray(centres, dtype=np.float64).copy(), check_sample_rate(sample_rate)
    if centres.ndim != 1 or not centres.size:
        raise ShapeError(f"centres are one or more frequencies in Hz on one axis, got shape {centres.shape}.")
    check_frequency("centres", centres, sample_rate)
    angle = 2 * math.pi * centres / sample_rate
    radius = np.exp(-2 * math.pi * 1.019 * (centres / _EAR_Q + _LEAST_BANDWIDTH) / sample_rate)
    cos, sin, root = np.cos(angle), np.sin(angle), math.sqrt(2)
    # Slaney's four zeros: √(3 ± 2√2) is √2 ± 1
    zeros = radius[:, None] * (cos[:, None] + np.array([-root - 1, root + 1, 1 - root, root - 1]) * sin[:, None])
    turn = np.exp(1j * angle)
    distance = (1 - radius) * np.abs(turn - radius / turn)
    gain = distance[:, None] / np.abs(turn[:, None] - zeros)
    sos = np.zeros((len(centres), 4, 6))
    sos[..., 0], sos[..., 1] = gain, -gain * zeros
    sos[..., 3:] = np.stack([np.ones_like(radius), -2 * radius * cos, radius**2], -1)[:, None]
    return Gammatone(sos, centres)


def erb_centres(count: int, f_min: float, f_max: float) -> Hertz:
    """Return `count` frequencies in Hz from `f_min` to `f_max`, equally spaced on the ear's ERB-number scale.

    A single one is in the middle of it. 21.4·log10(1 + 0.00437·f): B. R. Glasberg and B. C. J. Moore, *Derivation of
    auditory filter shapes from notched-noise data*, Hearing Research 47, 1990.

    Example
    -------
    >>> erb_centres(4, 100.0, 8000.0).round(1)
    array([ 100. ,  733. , 2584.5, 8000. ])
    """
    if not 0 < f_min < f_max < math.inf:
        raise ArgumentError(f"f_min is above 0 Hz and below f_max, got f_min={f_min!r}, f_max={f_max!r}.")
    return spaced("erb", f_min, f_max, whole("count", count, 1))
