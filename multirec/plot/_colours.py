"""Colours that suit the paper, and that colour-blind readers can follow."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._canvas import LINES, Axes

__all__ = ["colours", "ink", "intensity", "is_dark", "key"]


def ink(ax: Axes) -> Any:
    """Return the colour of text on axes."""
    return ax.xaxis.label.get_color()


def is_dark(ax: Axes) -> bool:
    """Whether axes are of light ink on dark paper."""
    from matplotlib.colors import to_rgb

    return float(np.dot(to_rgb(ink(ax)), (0.2126, 0.7152, 0.0722))) > 0.5


def intensity(ax: Axes) -> str:
    """Return the name of a colormap from about the paper's colour to far from it."""
    return "magma" if is_dark(ax) else "YlGnBu"


def colours(ax: Axes, count: int) -> Any:
    """Return a colour (count, 4) for each filter, in their order, none of them close to the paper."""
    from matplotlib import colormaps

    low, high = (0.25, 1.0) if is_dark(ax) else (0.0, 0.8)
    return colormaps["viridis"](np.linspace(low, high, count))


def key(ax: Axes, labels: list[str] | None, count: int) -> None:
    """Draw the colours of filters and their numbers, or names, beside axes."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap, Normalize
    from matplotlib.ticker import MaxNLocator

    few = count <= LINES
    norm = BoundaryNorm(np.arange(count + 1) - 0.5, count) if few else Normalize(0, count - 1)
    mapped = ScalarMappable(norm, ListedColormap(colours(ax, count)))
    bar = ax.figure.colorbar(mapped, ax=ax, pad=0.02, aspect=30)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    if labels is not None and few:
        bar.set_ticks(range(count), labels=labels)
    else:
        bar.set_ticks(range(count)) if few else bar.ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        bar.set_label("filter")
    bar.ax.yaxis.minorticks_off()
