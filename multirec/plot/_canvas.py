"""Axes to draw on, and what goes onto them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import LibraryMissingError, ShapeError

__all__ = ["LINES", "Axes", "Labels", "Values", "axes_for", "fit", "host", "names", "require_matplotlib"]

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
    """Return a name for each of the filters, or None; raise unless there are as many, and some."""
    if not count:
        raise ShapeError("the bank has no filters, so there is nothing to draw.")
    if labels is None:
        return None
    found = [labels] if isinstance(labels, str) else [str(label) for label in labels]
    if len(found) != count:
        raise ShapeError(f"labels name {len(found)} filters, and the bank has {count}.")
    return found


def fit(ax: Axes, was_empty: bool, low: float, high: float) -> None:
    """Set the limits of y, wide enough for what was there before."""
    if not was_empty:
        before = ax.get_ylim()
        low, high = min(low, *before), max(high, *before)
    ax.set_ylim(low, high)
