"""What is measured: the sizes of the workloads and of what is varied in them, and the traffic that each needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from multirec._core.problem import in_precision, real_precision
from multirec.backend import Problem, Taps


@dataclass(frozen=True)
class Spec:
    """The sizes of y, the taps, and what is special.

    A shared input, feedback that varies, a data type, the order of axes, an x that begins one sample into its memory,
    so that its rows are aligned to nothing, and that a row has many sequences, each of `resets` samples on average.
    """

    batch: int
    channels: int
    length: int
    order: int = 2
    taps: int = 3
    shared: bool = False
    varies: bool = False
    dtype: torch.dtype = torch.float32
    layout: Any = "BCT"
    sliced: bool = False
    resets: int = 0

    @property
    def forward_bytes(self) -> int:
        """What a forward call moves at least: y, and x and feedback where they are as large."""
        return self._y_bytes * (1 + self._large_inputs)

    @property
    def backward_bytes(self) -> int:
        """What a backward call moves at least: y's gradient; x and its gradient; feedback and its gradient."""
        return self._y_bytes * (1 + 2 * self._large_inputs)

    @property
    def least_bytes(self) -> dict[str, int]:
        """The bytes that cannot be avoided, by mode: in both directions together, inputs might be read once."""
        both = 2 * self.forward_bytes
        return {"forward": self.forward_bytes, "backward": self.backward_bytes, "forward+backward": both}

    @property
    def problems(self) -> tuple[Problem, Problem]:
        """The problem in the workload's data type, and in the one that its gradients are checked in."""
        return self._problem(_name(self.dtype)), self._problem(_name(wide(self.dtype)))

    def _problem(self, dtype: str) -> Problem:
        real = real_precision(dtype)
        taps = in_precision(dtype, real)
        b = Taps(1, self.channels, 1, self.taps, taps) if self.taps else None
        a = Taps(1, self.channels, 1, self.order, taps)
        if self.varies:
            a = replace(a, batch=self.batch, time=self.length)
        x_channels = 1 if self.shared else self.channels
        sizes = (self.batch, self.channels, self.length, x_channels)
        return Problem("torch", "cuda:0", dtype, dtype, real, self.layout, False, *sizes, b, a if self.order else None)

    @property
    def _large_inputs(self) -> int:
        return (not self.shared) + self.varies * self.order

    @property
    def _y_bytes(self) -> int:
        return self.batch * self.channels * self.length * self.dtype.itemsize


WORKLOADS = {
    "W1 biquads": Spec(32, 128, 16_000, shared=True),
    "W2 dense": Spec(32, 128, 16_000),
    "W3 long": Spec(2, 1, 10_000_000),
    "W4 order 16": Spec(16, 32, 48_000, order=16, taps=17, shared=True),
    "W5 gated": Spec(8, 1024, 4096, order=1, taps=0, varies=True),
    "W8 complex": Spec(8, 256, 4096, order=1, taps=0, dtype=torch.complex64),
}
_W1, _W2, _, _W4, W5, _ = WORKLOADS.values()
_FEW, _MANY = Spec(2, 4, 200_000, taps=0, varies=True), Spec(8, 128, 16_000, taps=0, varies=True)
SWEEP = {
    **{
        f"{name}, {layout}": replace(spec, layout=layout)
        for name, spec in (("W1", _W1), ("W2", _W2), ("W5", W5))
        for layout in ("BTC", "TBC")
    },
    "W1, T odd": replace(_W1, length=15_999),
    "W2, T odd": replace(_W2, length=15_999),
    "W2, x sliced": replace(_W2, sliced=True),
    "W1, order 1, no feedforward": replace(_W1, order=1, taps=0),
    "W1, order 4": replace(_W1, order=4),
    "W1, order 8": replace(_W1, order=8),
    "W1, FIR": replace(_W1, order=0),
    "W1, float64": replace(_W1, dtype=torch.float64),
    "W1, bfloat16": replace(_W1, dtype=torch.bfloat16),
    "W1, 32 rows": replace(_W1, batch=2, channels=16, length=2_000_000),
    "W4, order 3": replace(_W4, order=3, taps=4),
    "W4, order 4": replace(_W4, order=4, taps=5),
    "W4, order 8": replace(_W4, order=8, taps=9),
    "W5, BTC, resets": replace(W5, layout="BTC", resets=200),
    "W5, BTC, bfloat16, resets": replace(W5, layout="BTC", dtype=torch.bfloat16, resets=200),
    "W2, BTC, resets": replace(_W2, layout="BTC", resets=200),
    "W5, BTC, bfloat16": replace(W5, layout="BTC", dtype=torch.bfloat16),
    "order 2, varying, 8 rows": _FEW,
    "order 2, varying, 1024 rows": _MANY,
    "order 16, varying, 8 rows": replace(_FEW, order=16, length=50_000),
    "order 16, varying, 1024 rows": replace(_MANY, order=16, length=4096),
}
"""Workloads with one thing changed, to see what their times depend on, and feedback of higher order that varies."""


def wide(dtype: torch.dtype) -> torch.dtype:
    """Return the data type that results are checked in."""
    return torch.complex128 if dtype.is_complex else torch.float64


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
