"""A function of every filter, drawn by how many there are: a line, lines, or a map."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._canvas import Axes, Values
from ._colours import colours, key

__all__ = ["draw_lines", "draw_map"]


def draw_lines(ax: Axes, x: Values, rows: Values, labels: list[str] | None) -> None:
    """Draw rows (N, F) over x (F,) as lines: one in the colour that is next, several in colours by their number."""
    # lines that are nowhere finite have no part in the limits
    ax.update_datalim([(x[0], 0), (x[-1], 0)], updatey=False)
    if len(rows) == 1:
        ax.plot(x, rows[0], label=None if labels is None else labels[0])
        return
    for number, (row, colour) in enumerate(zip(rows, colours(ax, len(rows)), strict=True)):
        ax.plot(x, row, color=colour, linewidth=1.3, label=str(number) if labels is None else labels[number])
    key(ax, labels, len(rows))


def draw_map(ax: Axes, x: Values, rows: Values, labels: list[str] | None, title: str, **style: Any) -> Any:
    """Draw rows (N, F) over x (F,) as a map of colours, one row a filter, and return the bar with their scale."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    ax.grid(visible=False)
    count = len(rows)
    mesh = ax.pcolormesh(x, np.arange(count), rows, shading="nearest", rasterized=True, **style)
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02, aspect=30, label=title)
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
    ax.set_ylim(-0.5, count - 0.5)
    if len(x) > 1:
        ax.set_xlim(x[0], x[-1])
    if labels is None:
        ax.set_ylabel("filter")
        ax.yaxis.set_major_locator(MaxNLocator(8, integer=True))
    else:
        shown = np.unique(np.linspace(0, count - 1, 9).round().astype(int))
        ax.set_yticks(shown, labels=[labels[number] for number in shown])
    return bar
