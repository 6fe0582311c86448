"""The float64 reference of a case, computed once, and the comparison of every contestant with it.

Compared are all examples of at least eight channels, spread evenly over the bank, at full length (of very long
signals: the first 48 000 samples). The gradient of y that backward starts from is zero elsewhere, so that the
gradients of what is compared are complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import NamedTuple

import numpy as np

from multirec._problem import Problem, Spec
from multirec._validate import build_call
from multirec.backend import Operands
from multirec.reference import kernel

from ._case import Case, FloatArray, Mode, Signals
from .contestants import Outputs

_CHANNELS = 8
_LONGEST = 48_000
# signals, coefficient gradients; sequential float32 is off by 4e-6 and 5e-5 on the forum's case, scans by much more
_TOLERANCES = {"float32": (1e-3, 1e-2), "float64": (1e-10, 1e-8)}


class Window(NamedTuple):
    """The part of y that is compared."""

    channels: FloatArray
    length: int

    def describe(self, case: Case) -> str:
        """Return it in words."""
        time = "full length" if self.length == case.length else f"first {self.length} of {case.length} samples"
        return f"{len(self.channels)} of {case.channels} channels, all {case.batch} examples, {time}"


def window_of(case: Case) -> Window:
    """Return the part of y that is compared."""
    count = min(_CHANNELS, case.channels)
    channels = np.linspace(0, case.channels - 1, count).round().astype(np.int64)
    return Window(channels, min(case.length, _LONGEST))


def masked(case: Case, signals: Signals) -> Signals:
    """Return the signals with the gradient of y zero outside of the window."""
    if signals.grad_y is None:
        return signals
    channels, length = window_of(case)
    grad_y = np.zeros_like(signals.grad_y)
    grad_y[:, channels, :length] = signals.grad_y[:, channels, :length]
    return signals._replace(grad_y=grad_y)


def windowed(case: Case, outputs: Outputs) -> Outputs:
    """Return what is compared of a contestant's outputs."""
    channels, length = window_of(case)
    cut: dict[str, Callable[[FloatArray], FloatArray]] = {
        "y": lambda y: y[:, channels, :length],
        "x": lambda x: x[:, :, :length],
        "feedforward": lambda b: b[channels],
        "feedback": lambda a: a[channels],
    }
    return {name: cut[name](array) for name, array in outputs.items()}


class Verdict(NamedTuple):
    """The largest errors by name, relative to the largest value of the channel, and what is wrong, if anything."""

    errors: dict[str, float]
    fault: str


class Oracle:
    """The reference of one case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.window = window_of(case)

    @cached_property
    def _operands(self) -> Operands:
        channels, length = self.window
        x, b, a, _ = self.case.signals("forward")
        return Operands(x[..., :length], b[None, channels, None], -a[None, channels, None, 1:], None, None)

    @cached_property
    def _problem(self) -> Problem:
        (count,), order = self.window.channels.shape, self.case.order
        shapes = (self.case.batch, 1, self.window.length), (count, order + 1), (count, order)
        x, b, a = (Spec(shape, self.case.dtype, "numpy", "cpu") for shape in shapes)
        return build_call(x, b, a, None, None, "BCT", False).problem

    def compute(self, modes: Iterable[Mode]) -> None:
        """Compute now what comparisons in these modes need."""
        _ = self.y
        if "forward+backward" in modes:
            _ = self.gradients

    @cached_property
    def y(self) -> FloatArray:
        """The outputs of the window in float64."""
        return kernel.wide_forward(self._problem, self._operands)

    @cached_property
    def gradients(self) -> Outputs:
        """The gradients of the window in float64."""
        wide = kernel.wide_vjp(self._problem, self._operands, self.case.grad_y_part(*self.window))
        assert wide.x is not None
        assert wide.feedforward is not None
        assert wide.feedback is not None
        return {"x": wide.x, "feedforward": wide.feedforward[0, :, 0], "feedback": wide.feedback[0, :, 0]}

    def judge(self, mode: Mode, shape: tuple[int, ...], dtype: str, outputs: Outputs) -> Verdict:
        """Compare what a contestant gave with the reference."""
        if shape != self.case.y_shape or dtype != self.case.dtype:
            want = f"{self.case.y_shape} {self.case.dtype}"
            return Verdict({}, f"y is {shape} {dtype}, expected {want}")
        values, slopes = _TOLERANCES[self.case.dtype]
        wanted = {"y": self.y}
        if mode != "forward":
            wanted |= self.gradients
        errors: dict[str, float] = {}
        faults = []
        for name, right in wanted.items():
            if name not in outputs or outputs[name].shape != right.shape:
                got = outputs[name].shape if name in outputs else "missing"
                return Verdict(errors, f"gradient of {name} is {got}, expected {right.shape}")
            errors[name] = _relative(outputs[name], right, rows=name in ("y", "x"))
            limit = values if name in ("y", "x") else slopes
            if not errors[name] <= limit:
                label = "values of y" if name == "y" else f"gradient of {name}"
                faults.append(f"{label} off by {errors[name]:.2g}, allowed {limit:.2g}")
        return Verdict(errors, "; ".join(faults))


def _relative(got: FloatArray, want: FloatArray, rows: bool) -> float:
    # signals: the worst sample over the largest of its channel; coefficients: over the largest of all
    axes = (0, 2) if rows else None
    with np.errstate(all="ignore"):
        worst = np.abs(got - want).max(axis=axes)
        return float((worst / np.maximum(np.abs(want).max(axis=axes), np.finfo(want.dtype).tiny)).max())
