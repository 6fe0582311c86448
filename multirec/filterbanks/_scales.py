"""Scales of frequency on which a bank's centres are equally spaced."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["SCALES", "Hertz", "spaced"]

Hertz = npt.NDArray[np.float64]
Warp = Callable[[Hertz], Hertz]

# the ERB-number scale is Glasberg and Moore's, 1990: 21.4·log10(1 + 0.00437·f)
SCALES: dict[str, tuple[Warp, Warp]] = {
    "linear": (lambda hertz: hertz, lambda value: value),
    "log": (np.log, np.exp),
    "mel": (lambda hertz: np.log1p(hertz / 700.0), lambda value: 700.0 * np.expm1(value)),
    "erb": (lambda hertz: np.log1p(0.00437 * hertz), lambda value: np.expm1(value) / 0.00437),
}


def spaced(scale: str, first: float, last: float, count: int) -> Hertz:
    """Return frequencies in Hz from the first to the last, equally spaced on a scale; a single one is in the middle."""
    warp, unwarp = SCALES[scale]
    low, high = warp(np.array([first, last], dtype=np.float64))
    return unwarp(np.linspace(low, high, count) if count > 1 else np.array([(low + high) / 2]))
