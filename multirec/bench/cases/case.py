"""What is computed: sizes, kinds, and how many bytes the work must move. The arrays are made in `_signals`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from math import prod
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from multirec._core.problem import COMPLEX_DTYPES, HALF_DTYPES, REAL_DTYPES, Layout, join_shape

Mode: TypeAlias = Literal["forward", "forward+backward"]
Feature: TypeAlias = Literal["dense", "time-varying", "state", "complex", "half", "bfloat16", "layer", "layout", "taps"]

MODES: tuple[Mode, ...] = get_args(Mode)
DTYPES = HALF_DTYPES + REAL_DTYPES + COMPLEX_DTYPES


@dataclass(frozen=True, slots=True)
class Case:
    """One bank of filters.

    Attributes
    ----------
    name, base
        How reports call it, and the named case that it comes from.
    batch, channels, length, order, dtype, layout
        The axes. `dtype` is that of x and y, and of the coefficients unless it is a half type.
    shared
        Whether one input channel serves all filters; else each has its own.
    feedforward
        Whether there are order + 1 feedforward taps; else y[t] begins with x[t] alone.
    time_varying
        Whether the feedback has the axes of y.
    stateful
        Whether the call continues from a state, as a stream does.
    input_taps
        How many feedforward taps there are, if not order + 1.
    features
        If not 0, a linear layer from so many features to the channels comes first, and is part of the work.

    Example
    -------
    >>> Case().describe()
    'x[32, 16000] -> y[32, 128, 16000], order 2, float32'
    """

    name: str = "biquads"
    base: str = "biquads"
    batch: int = 32
    channels: int = 128
    length: int = 16000
    order: int = 2
    dtype: str = "float32"
    layout: Layout = "BCT"
    shared: bool = True
    feedforward: bool = True
    time_varying: bool = False
    stateful: bool = False
    features: int = 0
    seed: int = 0
    input_taps: int | None = None

    @property
    def x_channels(self) -> int:
        """The channels, or features, of x."""
        return self.features or (1 if self.shared else self.channels)

    @property
    def x_shape(self) -> tuple[int, ...]:
        """The shape of x in its layout; a shared input has a channel axis of length 1."""
        return join_shape((self.batch,), self.x_channels, self.length, self.layout)

    @property
    def y_shape(self) -> tuple[int, ...]:
        """The shape of y in its layout."""
        return join_shape((self.batch,), self.channels, self.length, self.layout)

    @property
    def taps(self) -> int:
        """The feedforward taps, 0 for none."""
        if self.features:
            return 1
        return (self.input_taps or self.order + 1) if self.feedforward else 0

    @property
    def feedback_shape(self) -> tuple[int, ...]:
        """The shape of the feedback coefficients."""
        return (*(self.y_shape if self.time_varying else (self.channels,)), self.order)

    @property
    def computed(self) -> str:
        """The data type of the coefficients: float32 for half types, whose arithmetic it is, too."""
        return "float32" if self.dtype in HALF_DTYPES else self.dtype

    @property
    def storage(self) -> str:
        """The data type of NumPy that x and y are kept in: NumPy has no bfloat16, but its bits."""
        return "uint16" if self.dtype == "bfloat16" else self.dtype

    @property
    def itemsize(self) -> int:
        """The bytes of a number of x or y."""
        return np.dtype(self.storage).itemsize

    @property
    def x_bytes(self) -> int:
        """The size of x."""
        return prod(self.x_shape) * self.itemsize

    @property
    def y_bytes(self) -> int:
        """The size of y."""
        return prod(self.y_shape) * self.itemsize

    @property
    def coefficient_bytes(self) -> int:
        """The size of all coefficients."""
        numbers = prod(self.feedback_shape) + self.channels * (self.taps + self.features)
        return numbers * np.dtype(self.computed).itemsize

    @property
    def needs(self) -> Iterator[Feature]:
        """What a contestant has to be able to do, beyond a real bank on a shared input in layout BCT."""
        found: dict[Feature, bool] = {
            "layer": self.features > 0,
            "time-varying": self.time_varying,
            "state": self.stateful,
            "complex": self.dtype in COMPLEX_DTYPES,
            "half": self.dtype in HALF_DTYPES,
            "bfloat16": self.dtype == "bfloat16",
            "layout": self.layout != "BCT" and not self.features,
            "taps": self.input_taps is not None,
            "dense": not self.shared,
        }
        return (feature for feature, needed in found.items() if needed)

    def traffic(self, mode: Mode) -> int:
        """Return the bytes that any implementation must move at least.

        Forward reads x and the coefficients and writes y; backward reads x, the coefficients and the gradient of y,
        and writes the gradients of x and of the coefficients.
        """
        forward = self.x_bytes + self.coefficient_bytes + self.y_bytes
        return forward if mode == "forward" else 2 * forward + self.x_bytes + self.coefficient_bytes

    def shorter(self, length: int) -> Case:
        """Return the same case with another length."""
        return replace(self, length=length)

    def as_computed(self) -> Case:
        """Return the same case with x and y of the data type that it is computed in."""
        return replace(self, dtype=self.computed)

    def describe(self) -> str:
        """Return the case in a line."""
        x = [size for size in self.x_shape if not (self.shared and size == 1 and self.x_channels == 1)]
        notes = [f"order {self.order}", self.dtype]
        if self.layout != "BCT":
            notes.append(self.layout)
        if self.time_varying:
            notes.append("time-varying")
        if not self.feedforward:
            notes.append("feedback alone")
        if self.input_taps is not None:
            notes.append(f"{self.input_taps} feedforward tap{'s' * (self.input_taps > 1)}")
        if self.stateful:
            notes.append("with state")
        if self.features:
            notes.append("after a linear layer")
        return f"x{x or list(self.x_shape)} -> y{list(self.y_shape)}, {', '.join(notes)}"

    def as_dict(self) -> dict[str, Any]:
        """Return it for the JSON document."""
        own = {name: value for name, value in asdict(self).items() if value is not None}
        return {"name": self.name, "text": self.describe()} | own
