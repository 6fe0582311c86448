"""Responses to an impulse over time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import analysis
from .._core.scalars import whole
from ..analysis._subject import rate_of, sections_of
from ._canvas import LINES, Axes, Labels, Values, axes_for, host, names
from ._colours import colours, ink, intensity
from ._rows import draw_map

__all__ = ["impulse"]

_STEMS = 64
_LEAST, _MOST = 32, 2000
_PLACES, _RANGE = 500, 60.0
_DECAY = math.log(100)
"""A response ends where its slowest pole has decayed by 40 dB."""


def impulse(
    bank: Any,
    *,
    sample_rate: float | None = None,
    length: int | None = None,
    labels: Labels = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the response of every filter to an impulse, over milliseconds with a `sample_rate`, else over samples.

    One filter is a line, with a stem for each of up to 64 samples. Those of several are drawn one above the other, each
    as a share of its own peak, since narrow filters answer weakly and long. The map of more than 16 shows how they die
    away: at each time the largest value from then on, in dB of the peak. Of complex responses the real part is drawn.

    Parameters
    ----------
    bank, sample_rate, labels, ax
        As in `magnitude`.
    length
        Number of samples, at least 1; None is until the slowest filter has decayed by 40 dB, from 32 to 2000.

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
    length = _length(bank) if length is None else whole("length", length, 1)
    response = host(analysis.impulse_response(bank, length)).real
    count = len(response)
    labelled = names(labels, count)
    ax = axes_for(ax)
    time = np.arange(response.shape[-1]) * (1.0 if sample_rate is None else 1000 / sample_rate)
    ax.set_xlabel("time, samples" if sample_rate is None else "time, ms")
    if count == 1:
        _one(ax, time, response[0], labelled)
        return ax
    peak = np.max(np.abs(response), -1, keepdims=True, initial=0, where=np.isfinite(response))
    share = response / np.where(peak == 0, 1, peak)
    if count > LINES:
        stride = -(-time.size // _PLACES)
        level = _still_to_come(share)[:, ::stride]
        title = "largest still to come, dB"
        draw_map(ax, time[::stride], level, labelled, title, cmap=intensity(ax), vmin=-_RANGE, vmax=0)
    else:
        _stacked(ax, time, share, labelled)
    return ax


def _one(ax: Axes, time: Values, response: Values, labels: list[str] | None) -> None:
    (line,) = ax.plot(time, response, label=None if labels is None else labels[0])
    if len(response) <= _STEMS:
        line.set(linestyle="none", marker="o", markersize=4)
        ax.vlines(time, 0, response, color=line.get_color(), linewidth=1.2)
    ax.axhline(0, color=ink(ax), linewidth=0.8, alpha=0.5, zorder=0)
    ax.set_ylabel("impulse response")


def _stacked(ax: Axes, time: Values, share: Values, labels: list[str] | None) -> None:
    """Draw responses one above the other, the first at the bottom."""
    count = len(share)
    ax.grid(visible=False, axis="y")
    for number, (row, colour) in enumerate(zip(share, colours(ax, count), strict=True)):
        ax.axhline(number, color=ink(ax), linewidth=0.6, alpha=0.2, zorder=0)
        ax.plot(time, number + 0.48 * row, color=colour, linewidth=1.2)
    ax.set_yticks(range(count), labels=labels)
    ax.set_ylim(-0.6, count - 0.4)
    ax.margins(x=0)
    ax.set_ylabel("filter, each by its peak" if labels is None else "")


def _still_to_come(share: Values) -> Values:
    """Return the largest size from each sample on, in dB, cut at the end of the range."""
    largest = np.maximum.accumulate(np.abs(share)[:, ::-1], -1)[:, ::-1]
    with np.errstate(divide="ignore"):
        found: Values = np.maximum(20 * np.log10(largest), -_RANGE)
    return found


def _length(bank: Any) -> int:
    """Return after how many samples every filter has decayed, within bounds."""
    margin = np.ravel(analysis.stability_margin(bank))
    taps = 1 + sum(section.ba()[0].shape[-1] - 1 for section in sections_of(bank))
    decaying = margin[(margin > 0) & (margin < 1)]
    slowest = _DECAY / -math.log1p(-float(decaying.min())) if decaying.size else 0.0
    return int(min(max(1.25 * taps, slowest, _LEAST), _MOST))
