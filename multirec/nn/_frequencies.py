"""Frequencies in Hz that a bank of band-passes starts from: grids, and lists of a user's own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from multirec.errors import ArgumentError, ShapeError
from multirec.filterbanks._scales import SCALES, Hertz, spaced

__all__ = ["Hertz", "frequencies", "grid", "spacing"]


def grid(channels: int, scale: str, f_min: float, f_max: float | None, sample_rate: float) -> tuple[Hertz, Hertz]:
    """Return C centres equally spaced on `scale` inside the edges, and half their neighbours' distance."""
    if scale not in SCALES:
        raise ArgumentError(f"centres is 'mel', 'log', 'linear', 'erb' or C frequencies in Hz, got {scale!r}.")
    half = sample_rate / 2
    f_max = 0.45 * sample_rate if f_max is None else f_max
    if f_max > half:
        raise ArgumentError(f"f_max is at most half the sample rate, {half:g} Hz, got {f_max:.15g} Hz.")
    if not 0 < f_min < f_max:
        raise ArgumentError(f"f_min is above 0 and below f_max, got f_min={f_min!r}, f_max={f_max!r} Hz.")
    edges = spaced(scale, f_min, f_max, channels + 2)
    return edges[1:-1], (edges[2:] - edges[:-2]) / 2


def spacing(centres: Hertz) -> Hertz:
    """Return half the distance between the neighbours of each centre."""
    if len(centres) < 2 or not (np.diff(centres) > 0).all():
        raise ArgumentError(
            "bandwidths may be left out for two or more ascending centres only, whose distances they are then. "
            "Pass bandwidths in Hz."
        )
    return np.gradient(centres)


def frequencies(name: str, given: npt.ArrayLike, channels: int) -> Hertz:
    hertz = np.asarray(given, dtype=np.float64)
    if hertz.shape not in ((channels,), ()) or (hertz.ndim == 0 and name == "centres"):
        raise ShapeError(f"{name} are {channels} frequencies in Hz, one a channel, got shape {hertz.shape}.")
    return np.broadcast_to(hertz, (channels,)).copy()
