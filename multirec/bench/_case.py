"""What is computed: sizes, seeded coefficients, seeded signals, and how many bytes the work must move."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import prod
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Mode: TypeAlias = Literal["forward", "forward+backward"]
FloatArray: TypeAlias = npt.NDArray[Any]

MODES: tuple[Mode, ...] = ("forward", "forward+backward")
DTYPES = ("float32", "float64")
# a prime near 2^20: repeats never line up with the rows of an array
_PERIOD = 1_048_573


class Signals(NamedTuple):
    """The arrays of a case: x (B, 1, T), SciPy's b and a (C, p+1), and the gradient of y (B, C, T) or None."""

    x: FloatArray
    b: FloatArray
    a: FloatArray
    grad_y: FloatArray | None


@dataclass(frozen=True, slots=True)
class Case:
    """One bank of filters on a shared input: x (B, 1, T) becomes y (B, C, T).

    Example
    -------
    >>> Case().describe()
    'x[32, 16000] -> y[32, 128, 16000], order 2, float32'
    """

    batch: int = 32
    channels: int = 128
    length: int = 16000
    order: int = 2
    dtype: str = "float32"
    seed: int = 0

    @property
    def x_shape(self) -> tuple[int, int, int]:
        """The shape of x, one input channel shared by the bank."""
        return (self.batch, 1, self.length)

    @property
    def y_shape(self) -> tuple[int, int, int]:
        """The shape of y."""
        return (self.batch, self.channels, self.length)

    @property
    def x_bytes(self) -> int:
        """The size of x."""
        return prod(self.x_shape) * np.dtype(self.dtype).itemsize

    @property
    def y_bytes(self) -> int:
        """The size of y."""
        return prod(self.y_shape) * np.dtype(self.dtype).itemsize

    def traffic(self, mode: Mode) -> int:
        """Return the bytes that any implementation must move at least.

        Forward reads x and writes y; backward reads x and the gradient of y, and writes the gradient of x.
        """
        forward = self.x_bytes + self.y_bytes
        return forward if mode == "forward" else forward + 2 * self.x_bytes + self.y_bytes

    def shorter(self, length: int) -> Case:
        """Return the same case with another length."""
        return replace(self, length=length)

    def describe(self) -> str:
        """Return the case in a line."""
        x, y = [self.batch, self.length], list(self.y_shape)
        return f"x{x} -> y{y}, order {self.order}, {self.dtype}"

    def as_dict(self) -> dict[str, Any]:
        """Return the sizes for the JSON document."""
        return {"name": "forum", "text": self.describe(), "base": "forum", "layout": "BCT"} | asdict(self)

    def coefficients(self) -> tuple[FloatArray, FloatArray]:
        """Return b and a (C, p+1) in SciPy's convention, stable, rounded once to the case's dtype."""
        rng = np.random.default_rng(self.seed)
        design = _band_pass if self.order == 2 else _spread_poles
        b, a = design(rng, self.channels, self.order)
        return b.astype(self.dtype), a.astype(self.dtype)

    def signals(self, mode: Mode) -> Signals:
        """Return the arrays that every contestant gets; the same values in every process."""
        b, a = self.coefficients()
        x = noise(self.x_shape, self.dtype, self.seed + 1)
        grad_y = noise(self.y_shape, self.dtype, self.seed + 2) if mode != "forward" else None
        return Signals(x, b, a, grad_y)

    def grad_y_part(self, channels: FloatArray, length: int) -> FloatArray:
        """Return the first samples of some channels of the gradient of y, without making the whole."""
        batch = np.arange(self.batch)[:, None, None]
        place = (batch * self.channels + channels[:, None]) * self.length + np.arange(length)
        part: FloatArray = _period(self.dtype, self.seed + 2)[place % _PERIOD]
        return part


def noise(shape: tuple[int, ...], dtype: str, seed: int) -> FloatArray:
    """Return seeded noise at the speed of a copy: a million normal numbers, repeated."""
    size = prod(shape)
    block = _period(dtype, seed)
    out = np.empty(size, dtype)
    for start in range(0, size, _PERIOD):
        piece = out[start : start + _PERIOD]
        piece[...] = block[: piece.size]
    return out.reshape(shape)


def _period(dtype: str, seed: int) -> FloatArray:
    return np.random.default_rng(seed).standard_normal(_PERIOD).astype(dtype)


def _band_pass(rng: np.random.Generator, channels: int, order: int) -> tuple[FloatArray, FloatArray]:
    centre = 2 * np.pi * np.geomspace(0.01, 0.4, channels)
    alpha = np.sin(centre) / (2 * rng.uniform(1.0, 4.0, channels))
    zeros, ones = np.zeros(channels), np.ones(channels)
    b = np.stack([alpha, zeros, -alpha], axis=-1)
    a = np.stack([1 + alpha, -2 * np.cos(centre), 1 - alpha], axis=-1)
    b, a = b / a[:, :1], a / a[:, :1]
    a[:, 0] = ones
    return b, a


def _spread_poles(rng: np.random.Generator, channels: int, order: int) -> tuple[FloatArray, FloatArray]:
    pairs = order // 2
    # evenly spread angles keep a direct form of high order well conditioned
    angles = np.pi * (np.arange(pairs) + rng.uniform(0.3, 0.7, (channels, 1))) / max(pairs, 1)
    poles = rng.uniform(0.8, 0.95, (channels, pairs)) * np.exp(1j * angles)
    roots = [poles, poles.conj()]
    if order % 2:
        roots.append(rng.uniform(0.5, 0.9, (channels, 1)) * rng.choice([-1.0, 1.0], (channels, 1)))
    a = np.stack([np.real(np.poly(row)) for row in np.concatenate(roots, axis=-1)])
    return rng.standard_normal((channels, order + 1)) / (order + 1), a
