"""Rounding errors of the numba backend, against those of the recurrence run sample by sample in the same precision."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from multirec_backends.numba._kernel import kernel
from multirec_backends.numba._recurrence import segments as _segments

from multirec.backend import Needs, Operands, Problem, Taps
from multirec.reference import kernel as reference

SEEDS = 16
RADII = (0.5, 0.9, 0.99, 0.999, 0.9999)
ANGLES = (1e-3, 1e-2, 0.3, 1.5, 3.1)
POLES = [(radius, angle) for radius in RADII for angle in ANGLES]
ULP = 2.0**-23


class Results(NamedTuple):
    """Each has axes seed, channel, and the rest."""

    y: np.ndarray
    x: np.ndarray
    feedforward: np.ndarray
    feedback: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray


class Trial:
    """All seeds by all poles: random biquads, signals, states and gradients in float32."""

    def __init__(self, length: int, varies: bool = False) -> None:
        rng = np.random.default_rng(0)
        channels = len(POLES)
        radius, angle = np.array(POLES).T
        shape = (SEEDS, channels, length if varies else 1)
        if varies:
            # poles that wander a little, inside their circle
            wander = np.sin(np.arange(length) / 50 + rng.uniform(0, 6, (SEEDS, channels, 1)))
            radius, angle = (radius[:, None] * (1 - 1e-4 * (1 + wander)), angle[:, None] * (1 + 1e-3 * wander))
        else:
            radius, angle = (np.broadcast_to(part[:, None], shape) for part in (radius, angle))
        self.b = rng.standard_normal((*shape, 3)).astype("float32")
        self.a = np.stack([2 * radius * np.cos(angle), -(radius**2)], -1).astype("float32")
        signal = (SEEDS, channels, length)
        self.x, self.grad = rng.standard_normal((2, *signal)).astype("float32")
        self.inputs, self.outputs = rng.standard_normal((2, SEEDS, channels, 2)).astype("float32")

    def problem(self, batch: int, channels: int) -> Problem:
        time = self.b.shape[2]
        return Problem(
            family="numpy", device="cpu", dtype="float32", y_dtype="float32", compute_dtype="float32", layout="BCT",
            reverse=False, batch=batch, channels=channels, length=self.x.shape[2], x_channels=channels,
            feedforward=Taps(batch, channels, time, 3, "float32"), feedback=Taps(batch, channels, time, 2, "float32"),
        )  # fmt: skip

    def exact(self) -> Results:
        problem = self.problem(SEEDS, len(POLES))
        operands = Operands(self.x, self.b, self.a, self.inputs, self.outputs)
        return Results(reference.wide_forward(problem, operands), *reference.wide_vjp(problem, operands, self.grad))

    def kernel(self, channels: int) -> Results:
        """Call the kernel for each example and so many channels at a time, or for all together."""
        if channels == len(POLES):
            return self._part(slice(None), slice(None))
        rows = [
            [self._part(slice(seed, seed + 1), slice(at, at + channels)) for at in range(0, len(POLES), channels)]
            for seed in range(SEEDS)
        ]
        return Results(*(np.concatenate([np.concatenate(r, 1) for r in zip_field], 0) for zip_field in _fields(rows)))

    def _part(self, seeds: slice, channels: slice) -> Results:
        x, b, a, inputs, outputs = (
            array[seeds, channels] for array in (self.x, self.b, self.a, self.inputs, self.outputs)
        )
        problem = self.problem(*x.shape[:2])
        operands = Operands(x, b, a, inputs, outputs)

        def allocate(count: int, dtype: str) -> np.ndarray:
            return np.empty((x.shape[0], count, x.shape[2]), dtype)

        y = kernel.forward(problem, operands, allocate)
        needs = Needs(True, True, True, True, True)
        found = kernel.vjp(problem, operands, y, self.grad[seeds, channels], None, needs, allocate)
        return Results(y, *found)

    def sequential(self) -> Results:
        """One float32 operation after the other, sums over time included."""
        length = self.x.shape[2]
        x = np.concatenate([self.inputs, self.x], -1)
        y = np.concatenate([self.outputs, np.zeros_like(self.x)], -1)
        lam = np.concatenate([self.grad, np.zeros_like(self.inputs)], -1)
        b, a = (np.broadcast_to(taps, (*taps.shape[:2], length, taps.shape[3])) for taps in (self.b, self.a))
        for t in range(length):
            total = b[:, :, t, 0] * x[..., t + 2]
            for taps, signal in ((b[:, :, t, 1:], x), (a[:, :, t], y)):
                for k in (0, 1):
                    total = total + taps[..., k] * signal[..., t + 1 - k]
            y[..., t + 2] = total
        for t in reversed(range(length)):
            for k in (1, 2):
                if t + k < length:
                    lam[..., t] += a[:, :, t + k, k - 1] * lam[..., t + k]
        to_x, to_past = np.zeros_like(x), np.zeros_like(self.outputs)
        for j in range(3):
            to_x[..., 2 - j : 2 - j + length] += b[..., j] * lam[..., :length]
        for i in (0, 1):  # past sample i is lag k of time i + k - 2
            for k in (2, 1)[: 1 + i]:
                to_past[..., i] += a[:, :, i + k - 2, k - 1] * lam[..., i + k - 2]
        products = [
            lam[..., :length, None] * np.stack([signal[..., first - k : first - k + length] for k in range(count)], -1)
            for signal, first, count in ((x, 2, 3), (y, 1, 2))
        ]
        if self.b.shape[2] == 1:
            products = [product.sum(2, keepdims=True) for product in products]
        return Results(y[..., 2:], to_x[..., 2:], *products, to_x[..., :2], to_past)


def _fields(rows: list[list[Results]]) -> list[list[list[np.ndarray]]]:
    return [[[part[index] for part in row] for row in rows] for index in range(len(Results._fields))]


def check(length: int, channels: int, varies: bool = False) -> None:
    trial = Trial(length, varies)
    exact, mine, sequential = trial.exact(), trial.kernel(channels), trial.sequential()
    failures = []
    for name, want, got, other in zip(Results._fields, exact, mine, sequential, strict=True):
        error, usual = (_error(found, want) for found in (got, other))
        peak = np.median(np.abs(want).max(axis=tuple(range(2, want.ndim))), axis=0)
        allowed = np.maximum(2 * usual, ULP * peak)
        failures += [
            f"{name}, pole {POLES[at]}: {error[at]:.2e}, sequential {usual[at]:.2e}"
            for at in np.flatnonzero(~(error <= allowed))
        ]
    assert not failures, "\n".join(failures)


def _error(found: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Return the root mean square of each channel, in the median over seeds."""
    squares = (found - want) ** 2
    if squares[0, 0].size < SEEDS:  # two or three numbers: a median over seeds would be left to chance
        return np.sqrt(squares.mean(axis=(0, *range(2, want.ndim))))
    return np.median(np.sqrt(squares.mean(axis=tuple(range(2, want.ndim)))), axis=0)


def test_lanes() -> None:
    check(2500, len(POLES))


def test_lanes_with_coefficients_along_time() -> None:
    check(2500, len(POLES), varies=True)


@pytest.mark.parametrize("channels", [1, pytest.param(5, marks=pytest.mark.long)])
def test_segments(channels: int) -> None:
    length = _segments._LONG + 77
    assert _segments.worthwhile(Trial(length).problem(1, channels))
    check(length, channels)
