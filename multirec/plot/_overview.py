"""Four views of filters in one figure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._canvas import Labels, require_matplotlib
from ._frequency import group_delay, magnitude
from ._plane import pole_zero
from ._time import impulse

__all__ = ["overview"]


def overview(bank: Any, *, sample_rate: float | None = None, labels: Labels = None) -> Any:
    """Draw gain, group delay, poles and zeros, and the impulse response of filters in a figure of two by two.

    Parameters
    ----------
    bank, sample_rate, labels
        As in `magnitude`.

    Returns
    -------
    figure
        matplotlib's Figure, made by pyplot; its axes are in the order above.

    Raises
    ------
    LibraryMissingError, ArgumentError, ShapeError
        As in `magnitude`.
    """
    require_matplotlib()
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(11, 8), layout="constrained")
    views: tuple[Callable[..., Any], ...] = (magnitude, group_delay, pole_zero, impulse)
    try:
        for ax, view in zip(figure.subplots(2, 2).flat, views, strict=True):
            view(bank, sample_rate=sample_rate, labels=labels, ax=ax)
    except BaseException:
        pyplot.close(figure)
        raise
    return figure
