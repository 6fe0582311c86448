"""Frequencies in Hz that a bank starts from, grids and lists of a user's own, and the weights that stand for them.

A weight is the logit of a frequency as a share of half the sample rate.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from multirec.errors import ArgumentError, ShapeError
from multirec.filterbanks._scales import SCALES, Hertz, spaced

from . import stable

__all__ = ["Hertz", "frequencies", "grid", "inside", "ladder", "logit", "share", "spacing"]


def grid(channels: int, scale: str, f_min: float, f_max: float | None, sample_rate: float) -> tuple[Hertz, Hertz]:
    """Return C centres equally spaced on `scale` inside the edges, and half their neighbours' distance."""
    edges = ladder("centres", channels + 2, scale, f_min, 0.45 * sample_rate if f_max is None else f_max, sample_rate)
    return edges[1:-1], (edges[2:] - edges[:-2]) / 2


def ladder(name: str, count: int, scale: str, f_min: float, f_max: float, sample_rate: float) -> Hertz:
    """Return frequencies equally spaced on `scale` from one to another; a single one is in the middle."""
    if scale not in SCALES:
        raise ArgumentError(f"{name} is 'mel', 'log', 'linear', 'erb' or frequencies in Hz, got {scale!r}.")
    half = sample_rate / 2
    if f_max > half:
        raise ArgumentError(f"f_max is at most half the sample rate, {half:g} Hz, got {f_max:.15g} Hz.")
    if not 0 < f_min < f_max:
        raise ArgumentError(f"f_min is above 0 and below f_max, got f_min={f_min!r}, f_max={f_max!r} Hz.")
    return spaced(scale, f_min, f_max, count)


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


def share(weight: torch.Tensor, bound: float) -> torch.Tensor:
    """Return the share of half the sample rate that weights within ±bound stand for, in wide."""
    return torch.sigmoid(inside(weight, bound))


def inside(weight: torch.Tensor, bound: float) -> torch.Tensor:
    """Return weights scaled back onto ±bound where they are beyond, in wide."""
    return stable.limited(stable.wide(weight), bound)


def logit(name: str, hertz: Hertz, sample_rate: float, bound: float, dtype: torch.dtype) -> torch.Tensor:
    """Return the weights of frequencies; raise unless they are within ±bound."""
    half = sample_rate / 2
    low = half / (1 + math.exp(bound))
    if not ((hertz > low) & (hertz < half - low)).all():
        raise ArgumentError(
            f"{name} are between 0 Hz and half the sample rate, {half:g} Hz, and as a {dtype} filter at least "
            f"{low:.3g} Hz from both, got {hertz.min():g} to {hertz.max():g} Hz. Check the sample rate, or use "
            "dtype=torch.float64 together with compute_dtype='float64'."
        )
    return torch.logit(torch.from_numpy(hertz / half))
