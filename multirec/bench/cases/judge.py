"""Whether what a contestant gave is right: its largest errors, and what is wrong in words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from multirec._core.problem import HALF_DTYPES
from multirec.testing._rounding import ROUNDOFF

from .case import Case
from .reference import Reference
from .signals import Array, Outputs, numbers
from .sums import signed_sums
from .window import Window, canonical, has_time, windowed

# allowed roundings of signals and of coefficients' gradients; honest ones of all peers need up to 300 and 2000
_SIGNALS, _SLOPES = 2**11, 2**14
# roundings to a half type: those of one number are one, those of signed sums and of gradients more
_STORED = 4
# what a channel's gradients are relative to, at the least: this part of the largest of all channels
_LEAST_SLOPE = 0.01


class Verdict(NamedTuple):
    """The largest errors by name, relative to the largest value of the channel, and what is wrong, if anything."""

    errors: dict[str, float]
    fault: str


def limits(dtype: str) -> tuple[float, float]:
    """Return the largest error that is right, of signals and of coefficients' gradients: so many roundings.

    Example
    -------
    >>> [f"{limit:.1g}" for dtype in ("float32", "float64") for limit in limits(dtype)]
    ['0.0001', '0.001', '2e-13', '2e-12']
    """
    half = dtype in HALF_DTYPES
    stored, unit = (ROUNDOFF[dtype], ROUNDOFF["float32"]) if half else (0.0, ROUNDOFF[dtype])
    return _SIGNALS * unit + _STORED * stored, _SLOPES * unit + _STORED * stored


def judge(case: Case, window: Window, reference: Reference, outputs: Outputs) -> Verdict:
    """Compare what a contestant gave with the reference."""
    y = outputs["y"]
    if y.shape != case.y_shape or str(y.dtype) != case.storage:
        return Verdict({}, f"y is {y.shape} {y.dtype}, expected {case.y_shape} {case.dtype}")
    errors: dict[str, float] = {}
    faults = [] if np.isfinite(numbers(y)).all() else ["y has values that are not finite"]
    # a gradient of a wrong rank cannot be cut to the window
    cut = windowed(case, window, {name: array for name, array in outputs.items() if array.ndim > 1})
    for name in dict.fromkeys((*reference.arrays, *reference.sums)):
        label, signal = "values of y" if name == "y" else f"gradient of {name}", has_time(case, name)
        limit = limits(case.dtype)[0 if name in ("x", "y") else 1]
        if name in reference.arrays:
            right, got = reference.arrays[name], cut.get(name)
            if got is not None and not signal and len(got) == case.channels:
                got = got[reference.channels]
            if got is None or got.shape != right.shape:
                return Verdict(errors, _of_shape(name, outputs.get(name), right))
            array = numbers(got)
            errors[name] = _relative(array, right) if signal else _of_slopes(array, right)
            if not np.isfinite(array).all():
                faults.append(f"{label.removeprefix('values of ')} has values that are not finite")
                continue
            if not errors[name] <= limit:
                faults.append(f"{label} off by {errors[name]:.2g}, allowed {limit:.2g}")
                continue
        if name in reference.sums:
            faults += _by_sums(case, window, reference, name, outputs.get(name), limit, label, errors)
    # y may be named twice: as a whole, and in the window
    return Verdict(errors, "; ".join(dict.fromkeys(faults)))


def _of_shape(name: str, got: Array | None, right: Array) -> str:
    return f"gradient of {name} is {'missing' if got is None else got.shape}, expected the like of {right.shape}"


def _by_sums(
    case: Case,
    window: Window,
    reference: Reference,
    name: str,
    output: Array | None,
    limit: float,
    label: str,
    errors: dict[str, float],
) -> list[str]:
    """Say which channel and example is off most by its sums, if any is."""
    shapes = {"y": case.y_shape, "x": case.x_shape, "feedback": case.feedback_shape}
    if output is None or output.shape != shapes[name]:
        return [f"{label} is {'missing' if output is None else output.shape}"]
    whole = canonical(output, case.layout)[:, :, : window.length]
    some = len(reference.summed) < case.channels
    got = signed_sums(whole[:, reference.summed] if some else whole, reference.weights)
    size = np.maximum(reference.sizes[name], np.finfo(np.float64).tiny)
    with np.errstate(all="ignore"):
        off = (np.abs(got - reference.sums[name]) / size[..., None]).max(-1)
    off = np.where(np.isfinite(off), off, np.inf)
    errors[name] = max(errors.get(name, 0.0), float(off.max()))
    if errors[name] <= limit:
        return []
    example, place, *_ = np.unravel_index(np.argmax(off), off.shape)
    channel = reference.summed[place] if some else place
    rows = f"{(off > limit).sum()} of {off.size} rows"
    where = f"channel {channel} of example {example} ({rows})"
    return [f"{label} off by {off.max():.2g} in {where}, allowed {limit:.2g}"]


def _relative(got: Array, want: Array) -> float:
    """Return the worst sample over the largest of its channel."""
    with np.errstate(all="ignore"):
        worst = np.abs(got - want).max(axis=(0, 2))
        return float((worst / np.maximum(np.abs(want).max(axis=(0, 2)), np.finfo(want.dtype).tiny)).max())


def _of_slopes(got: Array, want: Array) -> float:
    """Return the worst gradient over the largest of its channel."""
    if not want.size:
        return 0.0
    axes = tuple(range(1, want.ndim))
    with np.errstate(all="ignore"):
        largest = np.abs(want).max(axis=axes)
        largest = np.maximum(largest, max(_LEAST_SLOPE * largest.max(), np.finfo(want.dtype).tiny))
        return float((np.abs(got - want).max(axis=axes) / largest).max())
