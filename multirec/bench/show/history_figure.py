"""The figure of a history: for each machine and problem a line a contestant over the runs, its steps marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from multirec.errors import ArgumentError

from ..results.history import Place, Track
from .history import label
from .panels import Panel, Point, Series, Value
from .style import THEMES, Styles, label_lines, settings, style
from .text import ratio_text

_WIDTH, _HEIGHT = 7.2, 3.4
_STEPS = {"faster": ("v", -13), "slower": ("^", 9)}


def history_figure(places: Sequence[Place], dark: bool = False) -> Figure:
    """Return a figure with a panel for each machine, problem and mode.

    Raises
    ------
    ArgumentError
        Nothing was timed beside a copy of memory.
    """
    panels = [(place, panel) for place in places for panel in _panels(place)]
    if not panels:
        raise ArgumentError("there is nothing to draw: nothing in these runs was timed beside a copy of memory.")
    theme = THEMES[dark]
    names = list(dict.fromkeys(track.contestant for place in places for track in place.tracks))
    styles = {name: style(Series(place, 0), 1, theme) for place, name in enumerate(names)}
    with matplotlib.rc_context(settings(theme)):
        figure = Figure(figsize=(_WIDTH, _HEIGHT * len(panels) + 0.6), layout="constrained")
        grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axes, (place, panel) in zip(grid, panels, strict=True):
            axes.set_title(f"{panel.column}  {panel.row}\n{place.machine}", loc="left", fontsize=8)
            _draw(axes, place, panel, styles)
            _mark(axes, place, panel, styles)
        figure.suptitle("Time over that of a copy of memory in the same run", x=0.01, ha="left", fontweight="bold")
        figure.draw_without_rendering()
        for axes, (_, panel) in zip(grid, panels, strict=True):
            label_lines(axes, panel, styles, theme)
    return figure


def _panels(place: Place) -> list[Panel]:
    found: dict[tuple[str, str], Panel] = {}
    for track in place.tracks:
        points = [
            Point(float(point.run), Value(point.copies, point.low or point.copies, point.high or point.copies))
            for point in track.points
            if point.copies is not None
        ]
        if points:
            panel = found.setdefault((track.case, track.mode), Panel(track.case, track.mode, {}, "a copy", {}))
            panel.series[track.contestant] = points
            panel.limit.update({point.at: 1.0 for point in points})
    return list(found.values())


def _draw(axes: Any, place: Place, panel: Panel, styles: Styles) -> None:
    for name, points in panel.series.items():
        at = [point.at for point in points]
        axes.plot(at, [point.value.middle for point in points], markersize=3.5, linewidth=1.4, **styles[name])
        lows, highs = [point.value.low for point in points], [point.value.high for point in points]
        axes.vlines(at, lows, highs, color=styles[name]["color"], linewidth=2.5, alpha=0.5)
    axes.axhline(1.0, color=matplotlib.rcParams["text.color"], linewidth=1, linestyle=(0, (4, 3)))
    axes.set_yscale("log")
    # room for what is written at steps
    axes.margins(y=0.15)
    for formatter in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        low, high = axes.get_ylim()
        few = formatter == axes.yaxis.set_major_formatter or high / low < 20
        formatter(FuncFormatter(lambda value, _: ratio_text(value)) if few else NullFormatter())
    runs = place.runs
    ticks = [f"{label(run)[:7]}\n{run['run']['started'][5:10]}" for run in runs]
    axes.set_xticks(range(len(runs)), labels=ticks, fontsize=7)
    axes.set_xlim(-0.3, len(runs) - 0.7)
    axes.set_ylabel("copies")


def _mark(axes: Any, place: Place, panel: Panel, styles: Styles) -> None:
    for track in _tracks(place, panel):
        for point in track.points:
            if point.change not in _STEPS or point.speed is None:
                continue
            marker, above = _STEPS[point.change]
            colour = styles[track.contestant]["color"]
            axes.plot([point.run], [point.copies], marker=marker, markersize=9, color=colour)
            text = ratio_text(point.speed if point.change == "faster" else 1 / point.speed)
            where: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 7}
            axes.annotate(f"{text} {point.change}", (point.run, point.copies), (0, above), **where)


def _tracks(place: Place, panel: Panel) -> list[Track]:
    return [track for track in place.tracks if (track.case, track.mode) == (panel.row, panel.column)]
