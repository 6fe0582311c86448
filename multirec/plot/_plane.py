"""Poles and zeros in the plane of z."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import analysis
from ..analysis._subject import rate_of
from ._canvas import LINES, Axes, Labels, Values, axes_for, host, names
from ._colours import colours, ink, is_dark, key

__all__ = ["pole_zero"]

_REACH = 2.0
"""How far from 0 zeros are drawn; poles are everywhere."""
_NEAR = 1e-3


def pole_zero(bank: Any, *, sample_rate: float | None = None, labels: Labels = None, ax: Axes | None = None) -> Axes:
    """Draw poles (×) and zeros (○) of every filter with the unit circle, and say whether they are stable.

    Poles of unstable filters are red and large. Roots of one filter that lie on each other have their number beside
    them. Zeros beyond radius 2 are only counted.

    Parameters
    ----------
    bank, labels, ax
        As in `magnitude`.
    sample_rate
        In Hz: what the angles around the circle are called; else they are in radians per sample.

    Returns
    -------
    ax
        matplotlib's Axes.

    Raises
    ------
    LibraryMissingError, ArgumentError, ShapeError
        As in `magnitude`.

    Example
    -------
    >>> import multirec as mr
    >>> ax = pole_zero(mr.RecurrenceBank.from_ba([1.0, 1.0], [1.0, -0.75]))
    >>> [text.get_text() for text in ax.texts][-1]
    'stable, margin 0.25'
    """
    sample_rate = rate_of(sample_rate)
    poles, zeros = host(analysis.poles(bank)), host(analysis.zeros(bank))
    stable, margin = np.ravel(analysis.is_stable(bank)), np.ravel(analysis.stability_margin(bank))
    count = len(stable)
    labelled = names(labels, count)
    ax = axes_for(ax)
    _circle(ax, sample_rate)
    inks = colours(ax, count) if count > 1 else [None]
    size, edge = (6, 1.2) if count <= LINES else (4, 0.8)
    style = {"linestyle": "none", "markersize": size, "markeredgewidth": edge, "rasterized": count > LINES}
    for number, colour in enumerate(inks):
        name = None if labelled is None else labelled[number]
        own = poles[number] if stable[number] else poles[number, :0]
        (line,) = ax.plot(*_xy(own), "x", color=colour, label=name, **style)
        ax.plot(*_xy(_within(zeros[number])), "o", color=line.get_color(), fillstyle="none", **style)
    if not stable.all():
        warning = "#ff6b5e" if is_dark(ax) else "#c8102e"
        ax.plot(*_xy(poles[~stable].ravel()), "X", color=warning, markersize=8, label="unstable")
    if count > 1:
        key(ax, labelled, count)
    else:
        _count(ax, poles[0])
        _count(ax, _within(zeros[0]))
    _say(ax, stable, margin, int((np.abs(zeros) > _REACH).sum()))
    shown = np.concatenate([poles[np.isfinite(poles)], _within(zeros.ravel())])
    reach = max(1.6, 1.1 * float(np.max(np.abs(shown), initial=1)))
    ax.set(aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach), xlabel="real", ylabel="imaginary")
    ax.locator_params(nbins=6)
    return ax


def _hertz(value: float) -> str:
    return f"{value / 1000:g} kHz" if value >= 1000 else f"{value:g} Hz"


def _xy(roots: Values) -> tuple[Values, Values]:
    return roots.real, roots.imag


def _within(zeros: Values) -> Values:
    return zeros[np.abs(zeros) <= _REACH]


def _circle(ax: Axes, sample_rate: float | None) -> None:
    """Draw the unit circle, faintly filled, with the angles of its upper half."""
    from matplotlib.patches import Circle

    colour = ink(ax)
    ax.grid(visible=False)
    ax.add_patch(Circle((0, 0), 1, facecolor=colour, alpha=0.05, edgecolor="none", zorder=0))
    ax.add_patch(Circle((0, 0), 1, fill=False, edgecolor=colour, linewidth=1, zorder=1))
    for place, name in enumerate(("0", "π/4", "π/2", "3π/4", "π")):
        x, y = math.cos(place * math.pi / 4), math.sin(place * math.pi / 4)
        ax.plot((0, x), (0, y), color=colour, alpha=0.15, linewidth=0.8, zorder=0)
        text = name if sample_rate is None else _hertz(sample_rate * place / 8)
        side = ("left", "left", "center", "right", "right")[place]
        ax.annotate(text, (1.1 * x, 1.1 * y), ha=side, va="center", fontsize="small", color=colour, alpha=0.7)


def _count(ax: Axes, roots: Values) -> None:
    """Write how many roots lie at one place, beside it."""
    rest = roots[np.isfinite(roots)]
    while rest.size:
        same = np.abs(rest - rest[0]) < _NEAR
        if same.sum() > 1:
            at = rest[0].real, rest[0].imag
            ax.annotate(str(same.sum()), at, (4, 4), textcoords="offset points", fontsize="small")
        rest = rest[~same]


def _say(ax: Axes, stable: Values, margin: Values, far: int) -> None:
    """Write in the corner whether the filters are stable, and how far from not being so."""
    count = len(stable)
    least = float(margin.min())
    if stable.all():
        text = f"stable, margin {least:.2g}" if count == 1 else f"all {count} stable, least margin {least:.2g}"
    else:
        text = "unstable" if count == 1 else f"{(~stable).sum()} of {count} unstable"
    if far:
        text += f"\n{far} zero{'s' if far > 1 else ''} beyond radius {_REACH:g}"
    ax.annotate(text, (0.02, 0.02), xycoords="axes fraction", fontsize="small", va="bottom")
