"""Responses over frequency and the delays that go with them."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from operator import index
from typing import Any, TypeAlias

import numpy as np

from .._core.arrays import family_of, is_compiling, name_of
from .._core.axes import cast_to, concatenate, namespace, zeros
from ..errors import ArgumentError, FamilyError, ShapeError
from ..signal._arrays import like
from ._centred import centred, turn
from ._subject import Section, rate_of, target_of, wide_sections

__all__ = ["frequency_response", "group_delay"]

Array: TypeAlias = Any


def frequency_response(bank: Any, frequencies: Any = 512, *, sample_rate: float | None = None) -> tuple[Array, Array]:
    """Return frequencies and the complex response of every filter at them, as `scipy.signal.freqz` does.

    Sections are multiplied as responses; no polynomial is expanded. Near 0 Hz the response of second-order sections is
    accurate to rounding, relative to itself, however close to z = 1 poles and zeros are. It is differentiable in the
    coefficients and in frequencies that are of the coefficients' library, to any order.

    Parameters
    ----------
    bank
        A `RecurrenceBank`, a `RecurrenceCascade`, a layer of `multirec.nn`, or anything with a method `to_bank`. A
        layer with a projection counts as its recurrences alone.
    frequencies
        F frequencies, in Hz with a `sample_rate`, else in radians per sample; or how many, evenly spaced from 0 to half
        the sample rate, which is left out.
    sample_rate
        In Hz.

    Returns
    -------
    frequencies, response
        (F,), and (…, C, F) with the batch axes of per-example coefficients: in the coefficients' library, complex, in
        double precision where the library has it. A bank with `reverse` responds with the conjugate (at negative
        frequency, if its coefficients are complex). Where a pole is on the unit circle the response is not finite.

    Raises
    ------
    ArgumentError
        `bank` is none, `sample_rate` is not above 0, or a count is not a number of at least 1.
    ShapeError
        `frequencies` has not one axis.

    Example
    -------
    >>> import multirec as mr
    >>> bank = mr.RecurrenceBank.from_ba([[1, -1], [1, 1]], [[1, -0.5], [1, 0]])
    >>> frequencies, response = frequency_response(bank, [0.0, 4000.0], sample_rate=8000)
    >>> abs(response).round(6)
    array([[0.      , 1.333333],
           [2.      , 0.      ]])
    """
    sections, given, radians = _prepared(bank, frequencies, sample_rate)
    with _unwarned():
        parts = [_response(section, -radians if section.reverse else radians) for section in sections]
        return given, math.prod(parts[1:], start=parts[0])


def group_delay(bank: Any, frequencies: Any = 512, *, sample_rate: float | None = None) -> tuple[Array, Array]:
    """Return frequencies and the group delay of every filter at them, in samples: -dφ/dω of the response.

    It is the derivative, not a difference of phases: Re(Σ k·b[k]·z^-k / B) - Re(Σ k·a[k]·z^-k / A), summed over
    sections (Oppenheim and Schafer, *Discrete-Time Signal Processing*; Smith, *Introduction to Digital Filters*). It is
    differentiable as `frequency_response` is.

    At a zero on the unit circle the phase jumps, and the delay there is the limit from both sides: half a sample for
    each zero, plus what the others give. SciPy sets 0 there. Only a zero of order 3 and more in one polynomial that is
    not symmetric is NaN. The same holds for poles on the circle. The gradient has no bound near such a frequency.

    Parameters
    ----------
    bank, frequencies, sample_rate
        As in `frequency_response`; the delay is in samples with and without a `sample_rate`.

    Returns
    -------
    frequencies, delay
        (F,) and (…, C, F), real. A bank with `reverse` answers ahead of time: its delay is the negative one.

    Raises
    ------
    ArgumentError, ShapeError
        As in `frequency_response`.

    Example
    -------
    >>> import multirec as mr
    >>> bank = mr.RecurrenceBank.from_ba([[1, 2, 1], [1, 0, 0]], [[1, 0, 0], [1, -0.5, 0]])
    >>> group_delay(bank, 2)[1].round(6)
    array([[ 1. ,  1. ],
           [ 1. , -0.2]])
    """
    sections, given, radians = _prepared(bank, frequencies, sample_rate)
    with _unwarned():
        delays = [-_delay(section, -radians) if section.reverse else _delay(section, radians) for section in sections]
        return given, sum(delays[1:], start=delays[0])


def _unwarned() -> AbstractContextManager[Any]:
    """Return a context in which NumPy divides by 0 without a word; a compiler knows none, and has no such words."""
    return nullcontext() if is_compiling() else np.errstate(all="ignore")


def _prepared(bank: Any, frequencies: Any, sample_rate: float | None) -> tuple[list[Section], Array, Array]:
    """Return the sections, the frequencies as they were given, and in radians per sample, in the sections' library."""
    sections = wide_sections(bank)
    target = target_of([part for section in sections for part in section[:2]])
    rate = rate_of(sample_rate)
    given = _frequencies(frequencies, math.pi if rate is None else rate / 2, target)
    if given.ndim != 1:
        raise ShapeError(f"frequencies have shape {tuple(given.shape)}; they are (F,), or a number of them.")
    return sections, given, given if rate is None else given * (2 * math.pi / rate)


def _frequencies(frequencies: Any, highest: float, target: Array) -> Array:
    if not isinstance(frequencies, list | tuple) and getattr(frequencies, "ndim", 0) == 0:
        try:
            count = index(frequencies)
        except TypeError:
            count = 0
        if isinstance(frequencies, bool) or count < 1:
            raise ArgumentError(f"frequencies are an array (F,) or how many, at least 1, got {frequencies!r}.")
        frequencies = np.arange(count) * (highest / count)
    if type(frequencies) in (list, tuple) or isinstance(frequencies, np.ndarray):
        frequencies = like(np.asarray(frequencies, np.float64), target)
    if family_of(frequencies, "frequencies") != family_of(target):
        raise FamilyError(
            f"frequencies are a {family_of(frequencies)} array and the coefficients are of {family_of(target)}. Pass "
            "them in that library, or as NumPy's array or a list."
        )
    return cast_to(frequencies, name_of(target.real.dtype))


def _response(section: Section, radians: Array) -> Array:
    """Return B/A (…, C, F) of one section."""
    total: Array = 1.0
    lag = 0.0
    for taps, sign in _polynomials(section):
        value = centred(taps, radians)
        total = total * value if sign > 0 else total / value
        lag += sign * (taps.shape[-1] - 1) / 2
    return total * namespace(radians).exp(-1j * lag * radians)


def _delay(section: Section, radians: Array) -> Array:
    """Return the group delay (…, C, F) of one section, in samples."""
    total: Array = 0.0
    for taps, sign in _polynomials(section):
        total = total + sign * ((taps.shape[-1] - 1) / 2 - turn(taps, radians))
    return total


def _polynomials(section: Section) -> list[tuple[Array, int]]:
    """Return the taps of the numerator, with 1, and of the denominator, with -1, as far as there are such."""
    feedforward, feedback, _ = section
    found = [] if feedforward is None else [(feedforward, 1)]
    if feedback is not None:
        one = zeros(feedback, (*feedback.shape[:-1], 1)) + 1
        found.append((concatenate((one, -feedback)), -1))
    return found
