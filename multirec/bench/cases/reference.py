"""The float64 reference of a case, computed once, kept in files, and compared with what every contestant gives.

Compared are all examples of at least eight channels, spread evenly over the bank, at full length. The gradient of y
that backward starts from is zero elsewhere, so that the gradients of what is compared are complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from multirec._core.problem import Layout

from .case import Case, Mode
from .filtered import both, outputs_of
from .signals import Array, Signals, grad_y_at, numbers, signals

Outputs = dict[str, Array]
"""Arrays by name: y, and with backward the gradients of x, feedforward, feedback, weight, where there are such."""

_CHANNELS = 8
# without SciPy the reference is a loop over samples in Python
_LONGEST_LOOP = 100_000
# signals, coefficient gradients; sequential float32 is off by 4e-6 and 5e-5 on the case biquads, scans by much more
_TOLERANCES = {
    "float32": (1e-3, 1e-2),
    "complex64": (1e-3, 1e-2),
    # float32's, and one rounding to what is stored
    "float16": (1e-3 + 2**-11, 1e-2 + 2**-11),
    "bfloat16": (1e-3 + 2**-8, 1e-2 + 2**-8),
    "float64": (1e-10, 1e-8),
    "complex128": (1e-10, 1e-8),
}


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


def canonical(array: Array, layout: Layout) -> Array:
    """Return a view with the axes (B, C, T), and taps last where there are such."""
    rest = range(3, array.ndim)
    axes = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (1, 2, 0)}[layout]
    return array.transpose(*axes, *rest)


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


def compute(case: Case, modes: Sequence[Mode], folder: Path) -> None:
    """Compute the reference of a case and keep it, one file an array, in `folder`."""
    channels, length = window_of(case)
    arrays = masked(case, modes[-1])
    x = numbers(canonical(arrays.x, case.layout)[:, :, :length])
    x = x if case.features or case.x_channels == 1 < case.channels else x[:, channels]
    weight = None if arrays.weight is None else arrays.weight[channels].astype(np.float64)
    source = x if weight is None else np.einsum("cf,bft->bct", weight, x.astype(np.float64))
    state = None
    if arrays.state is not None:
        inputs, outputs = (numbers(canonical(part, case.layout)) for part in arrays.state)
        state = (inputs if inputs.shape[1] != case.channels else inputs[:, channels], outputs[:, channels])
    feedforward = None if arrays.feedforward is None else arrays.feedforward[channels]
    taps = canonical(arrays.feedback, case.layout)[:, channels, :length] if case.time_varying else None
    feedback = arrays.feedback[channels] if taps is None else taps
    if arrays.grad_y is None:
        _keep(folder, {"y": outputs_of(case.computed, source, feedforward, feedback, state)})
        return
    grad_y = numbers(canonical(arrays.grad_y, case.layout)[:, channels, :length])
    found = both(case.computed, source, feedforward, feedback, state, grad_y)
    if weight is not None:
        grad_source = found["x"]
        found["x"] = np.einsum("cf,bct->bft", weight, grad_source)
        found["weight"] = np.einsum("bct,bft->cf", grad_source, x.astype(np.float64))
        # a layer's own parameters stand behind these
        del found["feedforward"], found["feedback"]
    _keep(folder, found)


def _keep(folder: Path, found: Outputs) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in found.items():
        np.save(folder / f"{name}.npy", array)


def kept(folder: Path, mode: Mode) -> Outputs:
    """Return the reference that was kept for a mode, without reading it all into memory."""
    names = ("y",) if mode == "forward" else ("y", "x", "feedforward", "feedback", "weight")
    paths = {name: folder / f"{name}.npy" for name in names}
    return {name: np.load(path, mmap_mode="r") for name, path in paths.items() if path.exists()}


class Verdict(NamedTuple):
    """The largest errors by name, relative to the largest value of the channel, and what is wrong, if anything."""

    errors: dict[str, float]
    fault: str


def judge(case: Case, wanted: Outputs, outputs: Outputs) -> Verdict:
    """Compare what a contestant gave with the reference of the same window."""
    y = outputs["y"]
    if y.shape != case.y_shape or str(y.dtype) != case.storage:
        return Verdict({}, f"y is {y.shape} {y.dtype}, expected {case.y_shape} {case.dtype}")
    values, slopes = _TOLERANCES[case.dtype]
    errors: dict[str, float] = {}
    faults = [] if np.isfinite(numbers(y)).all() else ["y has values that are not finite"]
    for name, array in _cut(case, outputs, wanted).items():
        right = wanted[name]
        if array is None or array.shape != right.shape:
            got = "missing" if array is None else array.shape
            return Verdict(errors, f"gradient of {name} is {got}, expected {right.shape}")
        rows = name in ("y", "x")
        errors[name] = _relative(array, right, rows)
        limit = values if rows else slopes
        label = "y" if name == "y" else f"gradient of {name}"
        if not np.isfinite(array).all():
            faults.append(f"{label} has values that are not finite")
        elif not errors[name] <= limit:
            faults.append(f"{'values of y' if name == 'y' else label} off by {errors[name]:.2g}, allowed {limit:.2g}")
    # y may be told of twice: as a whole, and in the window
    return Verdict(errors, "; ".join(dict.fromkeys(faults)))


def _cut(case: Case, outputs: Outputs, wanted: Outputs) -> dict[str, Array | None]:
    # a gradient of a wrong rank cannot be cut to the window
    cut = windowed(case, {name: array for name, array in outputs.items() if array.ndim > 1})
    found = {name: cut.get(name, outputs.get(name)) for name in wanted}
    return {name: None if array is None else numbers(array) for name, array in found.items()}


def _relative(got: Array, want: Array, rows: bool) -> float:
    # signals: the worst sample over the largest of its channel; coefficients: over the largest of all
    axes = (0, 2) if rows else None
    with np.errstate(all="ignore"):
        worst = np.abs(got - want).max(axis=axes)
        return float((worst / np.maximum(np.abs(want).max(axis=axes), np.finfo(want.dtype).tiny)).max())
