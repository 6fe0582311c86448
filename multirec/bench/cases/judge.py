"""Whether what a contestant gave is right: its largest errors, and what is wrong in words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .case import Case
from .signals import Array, Outputs, numbers
from .window import windowed

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
    # y may be named twice: as a whole, and in the window
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
