"""The sections by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

from .._core.scalars import check_sample_rate
from ..errors import ShapeError
from ._kinds import KINDS, Kind, Recipe, checked, table
from ._parameters import dtype_name, joined, together
from ._section import coefficients, limited_q, q_from_octaves, stacked

__all__ = [
    "BUTTERWORTH",
    "all_pass",
    "band_pass",
    "band_pass_skirt",
    "equaliser",
    "high_pass",
    "high_shelf",
    "low_pass",
    "low_shelf",
    "notch",
    "peak",
    "q_of_bandwidth",
]

Array: TypeAlias = Any
"""Of NumPy, torch, JAX or CuPy, or a number or list that is made one of NumPy."""

BUTTERWORTH = math.sqrt(0.5)


def low_pass(frequency: Array, q: Array = BUTTERWORTH, *, sample_rate: float) -> Array:
    """Return a low-pass filter's section (…, 6): gain 1 at 0 Hz, `q` at `frequency`, 0 at half the sample rate.

    Parameters
    ----------
    frequency
        In Hz, above 0 and below half the sample rate.
    q
        Above 0. The default is a Butterworth filter's, -3 dB at `frequency`.
    sample_rate
        In Hz, a number.

    Returns
    -------
    sos
        SciPy's row of six, for each of the parameters' broadcast shape. See `multirec.biquads` for limits.

    Raises
    ------
    ArgumentError
        A number or a value of a NumPy array makes no sense.
    FamilyError
        Parameters are arrays of different libraries; NumPy's go with any other.
    DtypeError
        A parameter is not real numbers.

    Example
    -------
    >>> low_pass(12000.0, sample_rate=48000).round(4) + 0.0
    array([0.2929, 0.5858, 0.2929, 1.    , 0.    , 0.1716])
    """
    return _designed("low_pass", sample_rate, frequency=frequency, q=q)


def high_pass(frequency: Array, q: Array = BUTTERWORTH, *, sample_rate: float) -> Array:
    """Return a high-pass filter's section: gain 0 at 0 Hz, `q` at `frequency`, 1 at half the sample rate.

    Parameters, shapes and errors are those of `low_pass`.
    """
    return _designed("high_pass", sample_rate, frequency=frequency, q=q)


def band_pass(frequency: Array, q: Array, *, sample_rate: float) -> Array:
    """Return a band-pass filter's section: gain 1 at `frequency`, 0 at 0 Hz and half the sample rate.

    Parameters, shapes and errors are those of `low_pass`; `q_of_bandwidth` gives q of a bandwidth.
    """
    return _designed("band_pass", sample_rate, frequency=frequency, q=q)


def band_pass_skirt(frequency: Array, q: Array, *, sample_rate: float) -> Array:
    """Return a band-pass filter's section with gain `q` at `frequency`, whose skirts do not depend on q.

    Parameters, shapes and errors are those of `low_pass`.
    """
    sample_rate = check_sample_rate(sample_rate)
    frequency, q = together(sample_rate, {"frequency": frequency, "q": q})
    b0, b1, b2, *a = coefficients(KINDS["band_pass"], sample_rate, frequency, q)
    q = limited_q(q)
    return stacked((b0 * q, b1 * q, b2 * q, *a))


def notch(frequency: Array, q: Array, *, sample_rate: float) -> Array:
    """Return a notch filter's section: gain 0 at `frequency`, 1 at 0 Hz and half the sample rate.

    Parameters, shapes and errors are those of `low_pass`.
    """
    return _designed("notch", sample_rate, frequency=frequency, q=q)


def all_pass(frequency: Array, q: Array, *, sample_rate: float) -> Array:
    """Return an all-pass filter's section: gain 1 everywhere, and half a turn of phase at `frequency`.

    Parameters, shapes and errors are those of `low_pass`.

    Example
    -------
    >>> all_pass(12000.0, 1.0, sample_rate=48000).round(4) + 0.0
    array([0.3333, 0.    , 1.    , 1.    , 0.    , 0.3333])
    """
    return _designed("all_pass", sample_rate, frequency=frequency, q=q)


def peak(frequency: Array, q: Array, gain: Array, *, sample_rate: float) -> Array:
    """Return a peaking equaliser's section: `gain` in dB at `frequency`, 0 dB at 0 Hz and half the sample rate.

    The bandwidth that `q` stands for is between the points of half the gain in dB, so that a boost and a cut of the
    same q undo each other. Parameters, shapes and errors are those of `low_pass`; `gain` is finite.

    Example
    -------
    >>> import numpy as np
    >>> peak(1000.0, 2.0, np.array([6.0, 0.0, -6.0]), sample_rate=48000).shape
    (3, 6)
    """
    return _designed("peak", sample_rate, frequency=frequency, q=q, gain=gain)


def low_shelf(frequency: Array, q: Array = BUTTERWORTH, gain: Array = 0.0, *, sample_rate: float) -> Array:
    """Return a low shelf's section: `gain` in dB at 0 Hz, half of it at `frequency`, 0 dB at half the sample rate.

    With q up to the default the gain goes one way only; it is the cookbook's slope 1. Parameters, shapes and errors are
    those of `low_pass`; `gain` is finite.
    """
    return _designed("low_shelf", sample_rate, frequency=frequency, q=q, gain=gain)


def high_shelf(frequency: Array, q: Array = BUTTERWORTH, gain: Array = 0.0, *, sample_rate: float) -> Array:
    """Return a high shelf's section: 0 dB at 0 Hz, half of `gain` at `frequency`, `gain` at half the sample rate.

    As `low_shelf`.
    """
    return _designed("high_shelf", sample_rate, frequency=frequency, q=q, gain=gain)


def equaliser(kinds: Sequence[Kind], frequency: Array, q: Array, gain: Array = 0.0, *, sample_rate: float) -> Array:
    """Return a cascade (…, S, 6) of S sections of the kinds that are named, in one go.

    Parameters
    ----------
    kinds
        S names, each of `low_pass`, `high_pass`, `band_pass`, `notch`, `all_pass`, `peak`, `low_shelf`, `high_shelf`.
    frequency, q, gain
        Of a shape that broadcasts to (…, S). `gain` means nothing to kinds that have none.
    sample_rate
        In Hz, a number.

    Raises
    ------
    ArgumentError
        No kind of that name; as in `low_pass`.
    ShapeError
        The last axis of a parameter is neither S nor 1.

    Example
    -------
    >>> import numpy as np
    >>> frequency = np.array([[50.0, 1000.0], [80.0, 3000.0]])
    >>> equaliser(["high_pass", "peak"], frequency, 0.7, 3.0, sample_rate=16000).shape
    (2, 2, 6)
    """
    kinds = checked(kinds)
    sample_rate = check_sample_rate(sample_rate)
    given = {"frequency": frequency, "q": q, "gain": gain}
    arrays = together(sample_rate, given)
    for name, array in zip(given, arrays, strict=True):
        if array.ndim and array.shape[-1] not in (1, len(kinds)):
            raise ShapeError(
                f"{name} of an equaliser of {len(kinds)} sections is one number a section, on the last axis, or one "
                f"for all, got shape {tuple(array.shape)}."
            )
    recipe = Recipe(*joined(table(kinds), arrays[0], dtype_name(arrays[0])))
    return stacked(coefficients(recipe, sample_rate, *arrays))


def q_of_bandwidth(bandwidth: Array, frequency: Array, *, sample_rate: float) -> Array:
    """Return the Q of a band-pass filter, notch or peak that is `bandwidth` octaves wide.

    1/Q = 2·sinh(ln 2/2 · bandwidth · ω/sin ω), the cookbook's, which allows for the bilinear transform. The band lies
    between -3 dB points, or those of half a peak's gain in dB.

    Example
    -------
    >>> float(q_of_bandwidth(1.0, 100.0, sample_rate=48000).round(4))
    1.4142
    """
    sample_rate = check_sample_rate(sample_rate)
    bandwidth, frequency = together(sample_rate, {"bandwidth": bandwidth, "frequency": frequency})
    return q_from_octaves(bandwidth, frequency, sample_rate)


def _designed(kind: Kind, sample_rate: float, **parameters: Array) -> Array:
    sample_rate = check_sample_rate(sample_rate)
    return stacked(coefficients(KINDS[kind], sample_rate, *together(sample_rate, parameters)))
