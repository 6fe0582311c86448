"""What figures share: colours for every eye, in light and dark, and names at the ends of lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from .panels import Panel, Series

# Okabe and Ito's colours, and lighter ones of the same hues
_LIGHT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DARK = ("#62B4F0", "#FF8A4C", "#3CCBA0", "#E79AC6", "#F2B93B", "#A5D8FF")
_MARKERS = "osD^vPX*"
_DASHES = ("-", "--", ":")


Styles: TypeAlias = Mapping[str, Mapping[str, Any]]


class Theme(NamedTuple):
    """The colours of a figure on a light or a dark page."""

    ink: str
    faint: str
    paper: str
    colours: tuple[str, ...]


THEMES = {False: Theme("#1f2328", "#d5d9de", "#ffffff", _LIGHT), True: Theme("#e6e8eb", "#3a4048", "#16191d", _DARK)}


def settings(theme: Theme) -> Any:
    """Return what matplotlib is to be set to."""
    return {
        "font.family": "sans-serif",
        "font.size": 8.5,
        "text.color": theme.ink,
        "axes.labelcolor": theme.ink,
        "axes.edgecolor": theme.ink,
        "axes.facecolor": theme.paper,
        "figure.facecolor": theme.paper,
        "savefig.facecolor": theme.paper,
        "xtick.color": theme.ink,
        "ytick.color": theme.ink,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": theme.faint,
        "grid.linewidth": 0.6,
        "axes.axisbelow": True,
    }


def style(series: Series, runs: int, theme: Theme) -> dict[str, Any]:
    """Return a contestant's colour, with the marker and the dashes of its run where there are several."""
    colours, (contestant, run) = theme.colours, series
    shape = run if runs > 1 else contestant
    return {
        "color": colours[contestant % len(colours)],
        "marker": _MARKERS[shape % len(_MARKERS)],
        "linestyle": _DASHES[(run if runs > 1 else contestant // len(colours)) % len(_DASHES)],
    }


def label_lines(axes: Any, panel: Panel, styles: Styles, theme: Theme) -> None:
    """Write the names at the right, each at the height of its line's end, moved apart where they would overlap."""
    ends = {name: (points[-1].at, points[-1].value.middle) for name, points in panel.series.items()}
    if panel.limit:
        last = max(panel.limit)
        ends[panel.limit_name] = (last, panel.limit[last])
    box = axes.get_window_extent()
    step = 9.5 * axes.figure.dpi / 72
    heights = {name: axes.transData.transform(end)[1] for name, end in ends.items()}
    names = sorted(ends, key=lambda name: heights[name])
    placed = _apart([heights[name] for name in names], step)
    for name, height in zip(names, placed, strict=True):
        colour = styles[name]["color"] if name in styles else theme.ink
        axes.annotate(
            name,
            xy=ends[name],
            xytext=(1.03, (height - box.y0) / box.height),
            textcoords="axes fraction",
            color=colour,
            fontsize=8,
            va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 3},
        )


def _apart(heights: Sequence[float], step: float) -> list[float]:
    """Move ascending positions apart, to `step` at least, as little as possible.

    Example
    -------
    >>> _apart([0.0, 1.0, 10.0], 4.0)
    [-1.5, 2.5, 10.0]
    """
    groups: list[list[float]] = []
    for height in heights:
        groups.append([height])
        # groups that would overlap become one, around their common middle
        while len(groups) > 1 and _span(groups[-2], step)[1] + step > _span(groups[-1], step)[0]:
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_span(group, step)[0] + place * step for group in groups for place in range(len(group))]


def _span(group: Sequence[float], step: float) -> tuple[float, float]:
    middle, half = sum(group) / len(group), (len(group) - 1) * step / 2
    return middle - half, middle + half
