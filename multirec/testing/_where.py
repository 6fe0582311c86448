"""Where something is wrong: which channels, examples and samples."""

from __future__ import annotations

import numpy as np

from .problems import Case, Wide

__all__ = ["axes_of", "parts_of"]


def axes_of(case: Case, name: str) -> tuple[str, ...]:
    """Return what the axes of a result are called: of ``"y"``, ``"gradient of feedback"``, and so on.

    Example
    -------
    >>> axes_of(Case(layout="BTC"), "y")
    ('example', 'sample', 'channel')
    >>> axes_of(Case(), "gradient of feedback")
    ('channel', 'tap')
    """
    examples = ("example", "inner example", "innermost example")[: len(case.batch)]
    signal = {
        "BCT": (*examples, "channel", "sample"),
        "BTC": (*examples, "sample", "channel"),
        "TBC": ("sample", *examples, "channel"),
    }[case.layout]
    if "feed" not in name:
        return signal
    kind = getattr(case, name.removeprefix("gradient of "))
    varies = {"static": ("channel",), "per_example": (*examples, "channel")}.get(kind, signal)
    return (*varies, "tap")


def parts_of(wrong: Wide, axes: tuple[str, ...]) -> str:
    """Name the part of each axis that is wrong somewhere, unless it is all of it.

    Example
    -------
    >>> parts_of(np.array([[False, False], [True, True], [True, True]]), ("channel", "sample"))
    ', in channels 1 to 2 of 3'
    """
    parts = []
    for axis, name in enumerate(axes):
        size = wrong.shape[axis]
        found = np.flatnonzero(wrong.any(axis=tuple(other for other in range(wrong.ndim) if other != axis)))
        if found.size == size:
            continue
        first, last = found[0], found[-1]
        if first == last:
            parts.append(f"{name} {first} of {size}")
        elif last - first + 1 == found.size:
            parts.append(f"{name}s {first} to {last} of {size}")
        else:
            parts.append(f"{found.size} {name}s from {first} to {last} of {size}")
    return f", in {', '.join(parts)}" if parts else ""
