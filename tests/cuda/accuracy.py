"""How far the emulated kernels are from the truth, over how far stepping sample by sample is, for filters of use."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Any

import numpy as np
from emulated import RecordingDevice
from multirec_backends.cupy._kernel import Kernel
from scipy import signal

from multirec.backend import Layout, Needs, Operands, Problem, Taps

SEEDS = 16
NAMES = ("y", "gradient of x", "gradient of feedforward", "gradient of feedback", "gradient of the state")


def _biquad(kind: str, frequency: float, q: float = 2**-0.5, gain: float = 0.0) -> tuple[Any, Any]:
    """Return a section of the audio equaliser cookbook; `frequency` is a part of the sample rate, `gain` in dB."""
    w, big = 2 * pi * frequency, 10 ** (gain / 40)
    cos, alpha = np.cos(w), np.sin(w) / (2 * q)
    if kind == "peak":
        b = (1 + alpha * big, -2 * cos, 1 - alpha * big)
        a = (1 + alpha / big, -2 * cos, 1 - alpha / big)
    else:
        sign, root = (1, 2 * big**0.5 * alpha) if kind == "low shelf" else (-1, 2 * big**0.5 * alpha)
        b = (
            big * (big + 1 - sign * (big - 1) * cos + root),
            sign * 2 * big * (big - 1 - sign * (big + 1) * cos),
            big * (big + 1 - sign * (big - 1) * cos - root),
        )
        a = (
            big + 1 + sign * (big - 1) * cos + root,
            -sign * 2 * (big - 1 + sign * (big + 1) * cos),
            big + 1 + sign * (big - 1) * cos - root,
        )
    return np.array(b) / a[0], np.array(a) / a[0]


def _poles(*poles: complex) -> tuple[Any, Any]:
    a = np.poly(poles).real
    return np.eye(1, len(a))[0], a


def _resonator(radius: float, angle: float) -> tuple[Any, Any]:
    return _poles(radius * np.exp(1j * angle), radius * np.exp(-1j * angle))


FAMILY: dict[str, tuple[Any, Any]] = {
    "DC blocker 0.9999": (np.array([1.0, -1.0]), np.array([1, -0.9999])),
    "high-pass 0.1 Hz @ 500, order 1": signal.butter(1, 0.1, "high", fs=500),
    "leaky sum 0.99999": (np.array([1.0, 0.0]), np.array([1, -0.99999])),
    "high-pass 20 Hz @ 48k": signal.butter(2, 20, "high", fs=48e3),
    "high-pass 1 Hz @ 500": signal.butter(2, 1, "high", fs=500),
    "notch 50 Hz Q 30 @ 48k": signal.iirnotch(50, 30, fs=48e3),
    "notch 60 Hz Q 10 @ 1k": signal.iirnotch(60, 10, fs=1e3),
    "low shelf 100 Hz": _biquad("low shelf", 100 / 48e3, gain=6),
    "K-weighting shelf": _biquad("high shelf", 1682 / 48e3, 0.71, 4),
    "peak 1 kHz Q 4": _biquad("peak", 1e3 / 48e3, 4, -6),
    "low-pass 200 Hz": signal.butter(2, 200, fs=48e3),
    "double pole 0.99": _poles(0.99, 0.99),
    "double pole 0.9999": _poles(0.9999, 0.9999),
    "resonator 0.9999": _resonator(0.9999, 1.0),
    "resonator 0.9999 low": _resonator(0.9999, 0.05),
    "resonator 0.95": _resonator(0.95, 0.7),
    "low-pass of order 3, 2 kHz": signal.butter(3, 2e3, fs=48e3),
    "high-pass of order 4, 500 Hz": signal.butter(4, 500, "high", fs=48e3),
    "band-pass of order 8": signal.butter(4, [0.1, 0.25], "band"),
    "band-pass of order 8, clustered": signal.butter(4, [0.05, 0.1], "band"),
    "Chebyshev of order 8": signal.cheby1(4, 0.5, [0.1, 0.2], "band"),
    "elliptic of order 8": signal.ellip(8, 0.5, 60, 0.3),
    "elliptic of order 16": signal.ellip(8, 0.5, 60, [0.2, 0.5], "band"),
    "band-pass of order 16": signal.butter(8, [0.15, 0.45], "band"),
    "low-pass of order 16": signal.butter(16, 0.3),
}


@dataclass(frozen=True)
class Result:
    """Errors of one quantity of one filter, relative to its size: of the kernels, and of stepping."""

    own: float
    stepping: float
    eps: float

    @property
    def ratio(self) -> float:
        """The error over stepping's, where that counts."""
        return self.own / (self.stepping + self.eps)

    @property
    def over(self) -> float:
        """The error over what it may be."""
        return self.own / (3 * self.stepping + 4 * self.eps)


def stepped(b: Any, a: Any, x: Any, grad_y: Any, dtype: Any) -> tuple[Any, ...]:
    """Run rows of one order sample by sample; b and a are (rows, taps), signals (rows, T). Returns what NAMES says."""
    b, a, x, grad_y = (values.astype(dtype) for values in (b, a, x, grad_y))
    (rows, length), p, q = x.shape, a.shape[1], b.shape[1] - 1
    y, later = np.zeros((length + p, rows), dtype), np.zeros((length + max(p, q), rows), dtype)
    before = np.zeros((length + q, rows), dtype)
    before[q:] = x.T
    grad_x = np.empty((length, rows), dtype)
    sums = np.zeros((q + 1 + p, rows), dtype)
    for t in range(length):
        value = b[:, 0] * before[q + t]
        for j in range(1, q + 1):
            value = value + b[:, j] * before[q + t - j]
        for k in range(p):
            value = value + a[:, k] * y[p + t - 1 - k]
        y[p + t] = value
    for t in range(length - 1, -1, -1):
        value = grad_y[:, t]
        for k in range(p):
            value = value + a[:, k] * later[t + 1 + k]
        later[t] = value
        grad_x[t] = sum(b[:, j] * later[t + j] for j in range(q + 1))
        for j in range(q + 1):
            sums[j] += before[q + t - j] * value
        for k in range(p):
            sums[q + 1 + k] += y[p + t - 1 - k] * value
    state = np.zeros((p, rows), dtype)
    for n in range(p):
        for k in range(n, p):
            state[p - 1 - n] += a[:, k] * later[k - n]
    return y[p:].T, grad_x.T, sums[: q + 1].T, sums[q + 1 :].T, state.T


def computed(kernel: Kernel, b: Any, a: Any, x: Any, grad_y: Any, layout: Layout) -> tuple[Any, ...]:
    """The same of a kernel."""
    (rows, length), dtype = x.shape, str(x.dtype)
    taps = [Taps(1, rows, 1, values.shape[1], dtype) for values in (b, a)]
    problem = Problem("numpy", "cpu", dtype, dtype, dtype, layout, False, 1, rows, length, rows, *taps)
    p, q = problem.order, problem.input_order
    inputs, outputs = np.zeros((1, rows, q), dtype), np.zeros((1, rows, p), dtype)
    operands = Operands(_laid(x[None], layout), b[None, :, None], a[None, :, None], inputs, outputs)

    def allocate(channels: int, kind: str) -> Any:
        return _laid(np.full((1, channels, length), np.nan, kind), layout)

    y = kernel.forward(problem, operands, allocate)
    found = kernel.vjp(problem, operands, y, _laid(grad_y[None], layout), None, Needs(*[True] * 5), allocate)
    return y[0], found.x[0], found.feedforward[0, :, 0], found.feedback[0, :, 0], found.outputs[0]


def _laid(values: Any, layout: Layout) -> Any:
    """Return one example's signals in a layout: all but BCT have channels next to each other."""
    return values if layout == "BCT" else np.ascontiguousarray(values.swapaxes(1, 2)).swapaxes(1, 2)


def measured(
    device: RecordingDevice, dtype: str, length: int, names: Any = tuple(FAMILY), layout: Layout = "BCT"
) -> dict[str, list[Result]]:
    """Return for each filter how far each of NAMES is off, as the mean over seeds."""
    kernel, results = Kernel(device), {}
    eps = float(np.finfo(dtype).eps)
    for order in sorted({len(FAMILY[name][1]) for name in names}):
        mine = [name for name in names if len(FAMILY[name][1]) == order]
        rng = np.random.default_rng(order)
        b, a = (np.repeat([FAMILY[name][part] for name in mine], SEEDS, 0) for part in (0, 1))
        b, a = b.astype(dtype), -a[:, 1:].astype(dtype)
        x, grad_y = (rng.standard_normal((len(a), length)).astype(dtype) for _ in range(2))
        own = computed(kernel, b, a, x, grad_y, layout)
        if type(device) is RecordingDevice:
            continue
        truth = stepped(b, a, x, grad_y, np.float64 if dtype == "float32" else np.longdouble)
        stepping = stepped(b, a, x, grad_y, dtype)

        def sizes(values: Any) -> Any:
            return np.sqrt(np.square(values.astype(np.longdouble)).reshape(-1, SEEDS * values.shape[1]).mean(1))

        errors = [
            [
                Result(float(o), float(s), eps)
                for o, s in zip(sizes(f - t) / sizes(t), sizes(g - t) / sizes(t), strict=True)
            ]
            for f, g, t in zip(own, stepping, truth, strict=True)
        ]
        results |= {name: [row[index] for row in errors] for index, name in enumerate(mine)}
    return results
