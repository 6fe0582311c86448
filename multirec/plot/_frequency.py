"""Gain, phase and delay over frequency."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import analysis
from ..analysis._subject import rate_of
from ..errors import ArgumentError
from ._canvas import LINES, Axes, Labels, Values, axes_for, fit, host, names
from ._colours import intensity, is_dark
from ._rows import draw_lines, draw_map

__all__ = ["group_delay", "magnitude", "phase"]

_POINTS = 500
_SPAN = 1200
"""How many times the lowest frequency on a logarithmic axis goes into the highest: 20 Hz at 48 kHz."""
_BANDWIDTHS = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])


def magnitude(
    bank: Any,
    *,
    sample_rate: float | None = None,
    frequencies: Any = None,
    dynamic_range: float | None = None,
    labels: Labels = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the gain of every filter over frequency, in dB.

    Parameters
    ----------
    bank
        A `RecurrenceBank`, a `RecurrenceCascade`, a layer of `multirec.nn`, or anything with a method `to_bank`.
    sample_rate
        In Hz: the axis of frequencies is then logarithmic and in Hz; else it is linear, in radians per sample.
    frequencies
        F frequencies to draw at, ascending; None is from 0, or from 1/2400 of the sample rate, to half the sample rate,
        and for lines also at the poles, so that no narrow peak is missed.
    dynamic_range
        How many dB below the largest gain the picture ends; None is 80, and 60 for a map.
    labels
        A name for each filter; of one filter, a string. A line has it as its label, for `ax.legend`.
    ax
        The axes to draw on; None makes a figure.

    Returns
    -------
    ax
        matplotlib's Axes.

    Raises
    ------
    LibraryMissingError
        matplotlib is not installed.
    ArgumentError
        `bank` is none, `sample_rate` is not above 0, or there is no frequency to draw at.
    ShapeError
        There are not as many labels as filters, or no filters.

    Example
    -------
    >>> import multirec as mr
    >>> bank = mr.RecurrenceBank.from_ba([[1, -1], [1, 1]], [[1, -0.5], [1, -0.5]])
    >>> magnitude(bank, sample_rate=8000).get_ylabel()
    'gain, dB'
    """
    sample_rate = rate_of(sample_rate)
    x, response = _evaluated(analysis.frequency_response, bank, frequencies, sample_rate)
    labelled = names(labels, len(response))
    ax = axes_for(ax)
    with np.errstate(divide="ignore"):
        gain = 20 * np.log10(np.abs(response))
    finite = gain[np.isfinite(gain)]
    peak = float(finite.max()) if finite.size else 0.0
    is_map = len(gain) > LINES
    depth = (60.0 if is_map else 80.0) if dynamic_range is None else dynamic_range
    floor = peak - depth
    if is_map:
        # a ripple above a round number is none
        top = math.ceil(peak - 0.01)
        style = {"cmap": intensity(ax), "vmin": top - depth, "vmax": top}
        draw_map(ax, x, np.maximum(gain, top - depth), labelled, "gain, dB", **style)
    else:
        was_empty = not ax.has_data()
        # what is cut off leaves the picture
        draw_lines(ax, x, np.maximum(gain, floor - depth), labelled)
        low = max(floor, float(np.min(gain, initial=peak, where=~np.isnan(gain))) - 1)
        fit(ax, was_empty, low, peak + max(1.0, 0.04 * (peak - low)))
        ax.set_ylabel("gain, dB")
    _label(ax, sample_rate)
    return ax


def phase(
    bank: Any,
    *,
    sample_rate: float | None = None,
    frequencies: Any = None,
    labels: Labels = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the phase of every filter over frequency, in degrees.

    Lines are unwrapped by the group delay, so they are right for long delays too; a map shows it within ±180°.

    Parameters
    ----------
    bank, sample_rate, frequencies, labels, ax
        As in `magnitude`.

    Returns
    -------
    ax
        matplotlib's Axes.

    Raises
    ------
    LibraryMissingError, ArgumentError, ShapeError
        As in `magnitude`.
    """
    sample_rate = rate_of(sample_rate)
    x, response = _evaluated(analysis.frequency_response, bank, frequencies, sample_rate)
    labelled = names(labels, len(response))
    ax = axes_for(ax)
    angle = np.angle(response)
    if len(angle) > LINES:
        cyclic = "twilight_shifted" if is_dark(ax) else "twilight"
        bar = draw_map(ax, x, np.degrees(angle), labelled, "phase, degrees", cmap=cyclic, vmin=-180, vmax=180)
        bar.set_ticks(range(-180, 181, 90))
    else:
        delay = host(analysis.group_delay(bank, x, sample_rate=sample_rate)[1])
        draw_lines(ax, x, np.degrees(_unwrapped(angle, delay, _steps(x, sample_rate))), labelled)
        ax.set_ylabel("phase, degrees")
    _label(ax, sample_rate)
    return ax


def group_delay(
    bank: Any,
    *,
    sample_rate: float | None = None,
    frequencies: Any = None,
    labels: Labels = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the group delay of every filter over frequency: in milliseconds with a `sample_rate`, else in samples.

    The colours of a map end at the 1st and 99th percentile, and are logarithmic where all delays are above 0.

    Parameters
    ----------
    bank, sample_rate, frequencies, labels, ax
        As in `magnitude`.

    Returns
    -------
    ax
        matplotlib's Axes.

    Raises
    ------
    LibraryMissingError, ArgumentError, ShapeError
        As in `magnitude`.
    """
    sample_rate = rate_of(sample_rate)
    x, delay = _evaluated(analysis.group_delay, bank, frequencies, sample_rate)
    labelled = names(labels, len(delay))
    ax = axes_for(ax)
    title = "group delay, samples" if sample_rate is None else "group delay, ms"
    delay = delay if sample_rate is None else delay * (1000 / sample_rate)
    if len(delay) > LINES:
        draw_map(ax, x, delay, labelled, title, cmap=intensity(ax), norm=_spread(delay))
    else:
        draw_lines(ax, x, delay, labelled)
        ax.set_ylabel(title)
    _label(ax, sample_rate)
    return ax


def _evaluated(function: Any, bank: Any, frequencies: Any, sample_rate: float | None) -> tuple[Values, Values]:
    """Return frequencies that can be drawn and the values (N, F) of a function of filters at them."""
    if frequencies is None:
        frequencies = _grid(bank, sample_rate)
    x, values = (host(part) for part in function(bank, frequencies, sample_rate=sample_rate))
    drawn = x > 0 if sample_rate is not None else np.isfinite(x)
    if not drawn.any():
        which = "finite" if sample_rate is None else "above 0 Hz, where an axis of logarithms begins"
        raise ArgumentError(f"of {len(x)} frequencies to draw at none is {which}. Pass others, or None.")
    return x[drawn], values[:, drawn]


def _grid(bank: Any, sample_rate: float | None) -> Values:
    """Return frequencies across the axis, and those about the poles of few filters."""
    highest = math.pi if sample_rate is None else sample_rate / 2
    base = np.linspace(0, highest, _POINTS) if sample_rate is None else np.geomspace(highest / _SPAN, highest, _POINTS)
    poles = host(analysis.poles(bank))
    poles = poles[np.isfinite(poles).all(-1)]
    if len(poles) > LINES:
        return base
    about = np.abs(np.angle(poles))[..., None] + (1 - np.abs(poles))[..., None] * _BANDWIDTHS
    about = about.ravel() * (highest / math.pi)
    return np.unique(np.concatenate([base, about[(about > base[0]) & (about < highest)]]))


def _steps(x: Values, sample_rate: float | None) -> Values:
    return np.diff(x) * (1.0 if sample_rate is None else 2 * math.pi / sample_rate)


def _unwrapped(angle: Values, delay: Values, steps: Values) -> Values:
    """Return phases (N, F) without jumps, whatever lies between two frequencies: the delay tells how far they turn."""
    turned = -np.cumsum(np.nan_to_num((delay[:, 1:] + delay[:, :-1]) / 2 * steps), -1)
    turned = np.pad(turned, [(0, 0), (1, 0)])
    return np.unwrap(np.nan_to_num(angle - turned)) + turned


def _spread(delay: Values) -> Any:
    """Return the norm of a map's colours."""
    from matplotlib.colors import LogNorm, Normalize

    finite = delay[np.isfinite(delay)]
    low, high = np.percentile(finite, (1, 99)) if finite.size else (0.0, 1.0)
    return LogNorm(low, high, clip=True) if finite.size and finite.min() > 0 else Normalize(low, high, clip=True)


def _label(ax: Axes, sample_rate: float | None) -> None:
    ax.margins(x=0)
    if sample_rate is None:
        if np.ptp(ax.get_xlim()) > math.pi / 2:
            _in_quarters(ax.xaxis)
        ax.set_xlabel("frequency, rad/sample")
    else:
        ax.set_xscale("log")
        _in_hertz(ax)
        ax.set_xlabel("frequency, Hz")


def _in_quarters(axis: Any) -> None:
    """Write angles as quarters of π."""
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    quarters = {0: "0", 1: "π/4", 2: "π/2", 3: "3π/4", 4: "π"}
    axis.set_major_locator(MultipleLocator(math.pi / 4))
    axis.set_major_formatter(FuncFormatter(lambda angle, _: quarters.get(round(4 * angle / math.pi), "")))


def _in_hertz(ax: Axes) -> None:
    """Write frequencies on a logarithmic axis as numbers, thousands as k, as many as there is room for."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    wide = ax.get_window_extent().width / ax.figure.dpi > 3.2
    low, high = ax.get_xlim()
    steps = LogLocator(subs=(1.0, 2.0, 5.0) if wide else (1.0,), numticks=20)
    ax.xaxis.set_major_locator(MaxNLocator(6) if high < 5 * low else steps)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda hz, _: f"{hz / 1000:g}k" if hz >= 1000 else f"{hz:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
