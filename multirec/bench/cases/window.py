"""The part of a case that is compared with the reference: all examples of some channels, as long as is feasible.

They are at least eight channels, spread evenly over the bank. The gradient of y that backward starts from is zero
elsewhere, so that the gradients of what is compared are complete.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from multirec._core.problem import Layout
from multirec.testing.problems import to_canonical

from .case import Case, Mode
from .signals import Array, Outputs, Signals, grad_y_at, signals

_CHANNELS = 8
# without SciPy the reference is a loop over samples in Python
_LONGEST_LOOP = 100_000


class Window(NamedTuple):
    """The part of y that is compared."""

    channels: Array
    length: int

    def describe(self, case: Case) -> str:
        """Return it in words."""
        time = "full length" if self.length == case.length else f"first {self.length} of {case.length} samples"
        return f"{len(self.channels)} of {case.channels} channels, all {case.batch} examples, {time}"


def window_of(case: Case) -> Window:
    """Return the part of y that is compared."""
    count = min(_CHANNELS, case.channels)
    channels = np.linspace(0, case.channels - 1, count).round().astype(np.int64)
    slow = case.time_varying or find_spec("scipy") is None
    return Window(channels, min(case.length, _LONGEST_LOOP) if slow else case.length)


def masked(case: Case, mode: Mode) -> Signals:
    """Return the signals of a case with the gradient of y zero outside of the window."""
    arrays = signals(case, "forward")
    if mode == "forward":
        return arrays
    channels, length = window_of(case)
    grad_y = np.zeros(case.y_shape, case.storage)
    inside = canonical(grad_y, case.layout)
    steps = (stride // case.itemsize for stride in inside.strides)
    batch, channel, time = (step * np.arange(size) for step, size in zip(steps, inside.shape, strict=True))
    inside[:, channels, :length] = grad_y_at(case, batch[:, None, None] + channel[channels, None] + time[:length])
    return arrays._replace(grad_y=grad_y)


def windowed(case: Case, outputs: Outputs) -> Outputs:
    """Return what is compared of a contestant's outputs."""
    channels, length = window_of(case)
    found = {}
    for name, array in outputs.items():
        if (name == "x" and case.x_channels != case.channels) or (name == "x" and case.features):
            found[name] = canonical(array, case.layout)[:, :, :length]
        elif name in ("x", "y") or (name == "feedback" and case.time_varying):
            found[name] = canonical(array, case.layout)[:, channels, :length]
        else:
            found[name] = array[channels]
    return found


def canonical(array: Array, layout: Layout) -> Array:
    """Return a view with the axes (B, C, T), and taps last where there are such."""
    return to_canonical(array, layout, taps=array.ndim > 3)
