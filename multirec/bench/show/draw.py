"""Drawing with matplotlib: logarithmic axes with units, labels at the lines, colours for every eye."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import log10
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from multirec.errors import ArgumentError

from ..results.format import Axis, Document
from .panels import AXES, METRICS, Metric, Panel, Series, all_series, panels
from .style import THEMES, Styles, Theme, label_lines, settings, style
from .text import half_width

_LIMIT = (0, (4, 3))
# what a tick does not need behind its point, which goes too if nothing is left
_ZEROS = re.compile(r"(\.\d*[1-9])0+(?!\d)|\.0+(?!\d)")
_WIDTH, _HEIGHT = 4.9, 3.3
# inches a row of dots takes, and what stands around them
_DOT, _AROUND = 0.27, 1.0


def _draw(
    panels: Sequence[Panel], metric: Metric, axis: str | None, series: Mapping[str, Series], footer: str, dark: bool
) -> Figure:
    """Return a figure with a row for each set of cases and a column for each mode, in the styles of all `series`."""
    theme = THEMES[dark]
    rows = list(dict.fromkeys(panel.row for panel in panels))
    columns = list(dict.fromkeys(panel.column for panel in panels))
    runs = 1 + max(place.run for place in series.values())
    styles = {name: style(place, runs, theme) for name, place in series.items()}
    heights = [_height([panel for panel in panels if panel.row == row], axis) for row in rows]
    with matplotlib.rc_context(settings(theme)):
        figure = Figure(figsize=(_WIDTH * len(columns) + 1.2, sum(heights) + 0.6), layout="constrained")
        grid = figure.subplots(len(rows), len(columns), squeeze=False, height_ratios=heights)
        for axes in grid.flat:
            axes.set_visible(False)
        for panel in panels:
            axes = grid[rows.index(panel.row), columns.index(panel.column)]
            axes.set_visible(True)
            axes.set_title(f"{panel.column}\n{panel.row}", loc="left", fontsize=8.5)
            if axis is None:
                _dots(axes, panel, metric, styles, theme)
            else:
                _lines(axes, panel, metric, styles, theme)
                axes.set_xlabel(axis)
        figure.suptitle(metric.title, x=0.01, ha="left", fontweight="bold")
        figure.supxlabel(footer, x=0.01, ha="left", fontsize=7, color=theme.ink, alpha=0.75)
        figure.draw_without_rendering()
        if axis is not None:
            for panel in panels:
                label_lines(grid[rows.index(panel.row), columns.index(panel.column)], panel, styles, theme)
    return figure


def _height(panels: Sequence[Panel], axis: str | None) -> float:
    return _HEIGHT if axis is not None else _AROUND + _DOT * max(len(panel.series) for panel in panels)


def _lines(axes: Any, panel: Panel, metric: Metric, styles: Styles, theme: Theme) -> None:
    for name, points in panel.series.items():
        at = [point.at for point in points]
        axes.plot(at, [point.value.middle for point in points], markersize=4, linewidth=1.4, **styles[name])
        lows, highs = [point.value.low for point in points], [point.value.high for point in points]
        axes.fill_between(at, lows, highs, color=styles[name]["color"], alpha=0.25, linewidth=0)
    if panel.limit:
        ends = sorted(panel.limit)
        axes.plot(ends, [panel.limit[at] for at in ends], color=theme.ink, linewidth=1, linestyle=_LIMIT)
    axes.set_xscale("log")
    axes.set_yscale("log", base=metric.base)
    at = sorted({point.at for points in panel.series.values() for point in points})
    axes.set_xticks(_spaced(at), labels=[_size(value) for value in _spaced(at)])
    axes.xaxis.set_minor_locator(NullLocator())
    _units(axes.yaxis, metric, axes.get_ylim())
    axes.set_ylabel(metric.label.format(limit=panel.limit_name))


def _dots(axes: Any, panel: Panel, metric: Metric, styles: Styles, theme: Theme) -> None:
    values = {name: points[0].value for name, points in panel.series.items()}
    # the best is on top
    names = sorted(values, key=lambda name: values[name].middle, reverse=metric.less_is_better)
    axes.set_xscale("log", base=metric.base)
    for place, name in enumerate(names):
        value, style = values[name], styles[name]
        axes.plot([value.low, value.high], [place, place], color=style["color"], linewidth=2.5, alpha=0.5)
        axes.plot([value.middle], [place], color=style["color"], marker=style["marker"], markersize=5)
        text = metric.text(value.middle, half_width(value.middle, value.low, value.high))
        axes.annotate(text, (value.high, place), (7, 0), textcoords="offset points", va="center", fontsize=8)
    for limit in panel.limit.values():
        axes.axvline(limit, color=theme.ink, linewidth=1, linestyle=_LIMIT)
        where: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        axes.annotate(panel.limit_name, (limit, 0), (3, 3), **where, fontsize=7, va="bottom")
    axes.set_yticks(range(len(names)), labels=names)
    axes.set_ylim(-0.9, len(names) - 0.4)
    axes.grid(visible=False, axis="y")
    low, high = axes.get_xlim()
    # room for the figures at the dots on the right
    axes.set_xlim(low, high * (high / low) ** 0.2)
    _units(axes.xaxis, metric, axes.get_xlim())
    axes.set_xlabel(metric.label.format(limit=panel.limit_name))


def _spaced(values: Sequence[float]) -> list[float]:
    """Return the values that are far enough from each other on a logarithmic axis to be labelled."""
    kept: list[float] = []
    whole = log10(values[-1] / values[0]) if len(values) > 1 else 1.0
    for value in values:
        if not kept or log10(value / kept[-1]) > whole / 9:
            kept.append(value)
    return kept


def _size(value: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


def _units(axis: Any, metric: Metric, limits: tuple[float, float]) -> None:
    """Label a logarithmic axis with units; more than the powers of ten where it spans few."""
    decades = log10(limits[1] / limits[0])
    steps = (1.0,) if decades > 2.5 or metric.base == 2 else (1.0, 3.0) if decades > 1.3 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(base=metric.base, subs=steps, numticks=8))
    # ticks are round: zeros after their point say nothing
    axis.set_major_formatter(FuncFormatter(lambda value, _: _ZEROS.sub(r"\1", metric.text(value, None))))
    axis.set_minor_formatter(NullFormatter())


def figure(documents: Sequence[Document], metric: str, axis: Axis | None = None, dark: bool = False) -> Figure:
    """Return a matplotlib figure of a metric, along `axis` or, without one, side by side.

    Raises
    ------
    ArgumentError
        No cell has a value of this metric.
    """
    drawn = panels(documents, metric, axis)
    if not drawn:
        names = ", ".join(document["run"]["name"] for document in documents)
        raise ArgumentError(f"there is nothing to draw: no cell of {names} has a value for {metric!r}.")
    along = AXES[axis] if axis is not None else None
    return _draw(drawn, METRICS[metric], along, all_series(documents), _footer(documents), dark)


def _footer(documents: Sequence[Document]) -> str:
    """Return where it was measured, which a figure says wherever it is shown."""
    machines = {f"{doc['machine']['cpu']}, {doc['machine']['threads']} threads" for doc in documents}
    versions = {f"multirec {doc['versions'].get('multirec', 'unknown')}" for doc in documents}
    return f"{'; '.join(sorted(machines))}; {', '.join(sorted(versions))}; medians with 95 % intervals"
