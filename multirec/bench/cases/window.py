"""The part of a case that is compared number by number with the reference: all examples of some channels.

The channels are drawn for every run, so that nothing can be right in just these. Of the other channels, weighted sums
over time are compared, see `sums`.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from multirec._core.problem import Layout
from multirec.testing.problems import to_canonical

from .case import Case, Mode
from .signals import Array, Outputs, Signals, signals

_CHANNELS = 8
# without SciPy the reference is a loop over samples in Python
_LONGEST_LOOP = 100_000


class Window(NamedTuple):
    """The part of y that is compared number by number: channels, ascending, and samples from the first on."""

    channels: Array
    length: int


def drawn_window(case: Case, draw: int) -> Window:
    """Return the part of y that is compared in a run; `draw` is the run's own random number."""
    count = min(_CHANNELS, case.channels)
    channels = np.sort(np.random.default_rng(draw).choice(case.channels, count, replace=False))
    slow = case.time_varying or find_spec("scipy") is None
    return Window(channels, min(case.length, _LONGEST_LOOP) if slow else case.length)


def cut_signals(case: Case, mode: Mode, window: Window) -> Signals:
    """Return the signals of a case with the gradient of y zero after the samples that are compared."""
    arrays = signals(case, mode)
    if arrays.grad_y is not None and window.length < case.length:
        canonical(arrays.grad_y, case.layout)[:, :, window.length :] = 0
    return arrays


def windowed(case: Case, window: Window, outputs: Outputs) -> Outputs:
    """Return what is compared of signals and of time-varying coefficients; other arrays as they are."""
    channels, length = window
    found = {}
    for name, array in outputs.items():
        if name == "x" and (case.x_channels != case.channels or case.features):
            found[name] = canonical(array, case.layout)[:, :, :length]
        elif has_time(case, name):
            found[name] = canonical(array, case.layout)[:, channels, :length]
        else:
            found[name] = array
    return found


def has_time(case: Case, name: str) -> bool:
    """Say whether an output has the axes of a signal."""
    return name in ("x", "y") or (name == "feedback" and case.time_varying)


def canonical(array: Array, layout: Layout) -> Array:
    """Return a view with the axes (B, C, T), and taps last where there are such."""
    return to_canonical(array, layout, taps=array.ndim > 3)
