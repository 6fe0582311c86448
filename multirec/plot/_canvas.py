"""Axes to draw on, colours that suit their paper, and scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import LibraryMissingError, ShapeError

__all__ = [
    "LINES",
    "Axes",
    "Labels",
    "Values",
    "axes_for",
    "colours",
    "fit",
    "hertz",
    "host",
    "ink",
    "intensity",
    "is_dark",
    "key",
    "names",
    "radians",
    "require_matplotlib",
]

Axes: TypeAlias = Any
Values: TypeAlias = npt.NDArray[Any]
Labels: TypeAlias = str | Sequence[str] | None

LINES = 16
"""The most filters that are drawn as lines."""


def require_matplotlib() -> None:
    """Raise unless matplotlib is installed."""
    if find_spec("matplotlib") is None:
        raise LibraryMissingError(
            "multirec.plot draws with matplotlib, which is not installed. Install it with: "
            "pip install 'multirec-bank[plot]'"
        )


def axes_for(ax: Axes | None) -> Axes:
    """Return the axes to draw on: those given, or those of a new figure, made once all else is known to be well."""
    require_matplotlib()
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.figure(layout="constrained").subplots()


def host(array: Any) -> Values:
    """Return an array of any library as NumPy's, filters by rows (N, …)."""
    if hasattr(array, "detach"):
        array = array.numpy(force=True)
    elif hasattr(array, "get"):
        array = array.get()
    array = np.asarray(array)
    found: Values = array.reshape(math.prod(array.shape[:-1]), array.shape[-1]) if array.ndim > 1 else array
    return found


def names(labels: Labels, count: int) -> list[str] | None:
    """Return a name for each filter, or None; raise unless there are as many."""
    if labels is None:
        return None
    found = [labels] if isinstance(labels, str) else [str(label) for label in labels]
    if len(found) != count:
        raise ShapeError(f"labels name {len(found)} filters, and the bank has {count}.")
    return found


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


def fit(ax: Axes, was_empty: bool, low: float, high: float) -> None:
    """Set the limits of y, wide enough for what was there before."""
    if not was_empty:
        before = ax.get_ylim()
        low, high = min(low, *before), max(high, *before)
    ax.set_ylim(low, high)


def hertz(axis: Any, wide: bool) -> None:
    """Write frequencies on a logarithmic axis as numbers, thousands as k."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if wide else (1.0,), numticks=20))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def radians(axis: Any) -> None:
    """Write angles from 0 to π as quarters of π."""
    quarters = ("0", "π/4", "π/2", "3π/4", "π")
    axis.set_ticks(np.arange(5) * math.pi / 4, labels=quarters)
