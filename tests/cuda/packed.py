"""Runs the emulated kernels on several sequences in a row of time, against each of them alone by the oracle.

A program too, since the address sanitizer must be loaded before Python.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import checked
import numpy as np
from cases.sequences import LONG, SHORT
from tried import report

from multirec._core.problem import real_precision
from multirec.backend import COMPLEX_DTYPES, Needs, Operands, Problem

sys.path.append(str(Path(__file__).parents[1] / "sequences"))
from separate import Separate  # type: ignore[import-not-found]

NAMES = ("y", "last", *(f"gradient of {name}" for name in Operands._fields))
_TOLERANCES = {"float16": 2e-3, "float32": 2e-5, "complex64": 2e-5, "float64": 1e-12, "complex128": 1e-12}
LENGTH = 275
"""More than a tile of either direction."""


def marks(length: int, *begins: int, end: int | None = None) -> Any:
    """Return the numbers of one example whose sequences begin at samples, and whose padding begins at `end`."""
    row = np.zeros(length, np.int32)
    for begin in begins:
        row[begin:] += 1
    row[length if end is None else end :] = -1
    return row


def numbers_of(counted: bool, length: int = LENGTH) -> tuple[Any, int | None]:
    """Return numbers with boundaries at the edges of runs and tiles and beside them, and how many states there are."""
    if counted:
        lengths = (0, 63, 1, 0, 2, 62, 0, 1, 1, length - 130, 0, 0)
        return np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)[None], len(lengths)
    rows = [
        marks(length, 15, 16, 17, 63, 64, 65, 128, 129, 255, 256, 257),
        marks(length, 0, 1, 62, 200, end=201),
        marks(length, end=64),
        marks(length, end=0),
        marks(length),
        marks(length, 3, end=4),
    ]
    return np.stack(rows), None


class Packed:
    """One problem with random operands."""

    def __init__(
        self, *, channels: int, counted: bool = False, loud: bool = False, stateless: bool = False,
        length: int = LENGTH, dtype: str = "float32", p: int = 2, q: int = 2, a: str = "static", b: str = "static",
        layout: Any = "BCT", shared: bool = False, reverse: bool = False, b_dtype: str = "",
    ) -> None:  # fmt: skip
        self.rng = np.random.default_rng(0)
        self.numbers, self.count = numbers_of(counted, length)
        sizes = self.numbers.shape[0], channels, length
        self.layout = layout
        taps_dtype, y_dtype = "float32" if dtype == "float16" else dtype, b_dtype or dtype
        feedback: Any = checked.coefficients(self.rng, a, sizes, p, taps_dtype, True) if p else None
        if loud:
            # products of a run far beyond what is folded
            feedback[:, :, 40:48] *= 30
        feedforward: Any = checked.coefficients(self.rng, b, sizes, q + 1, b_dtype or taps_dtype, False) if b else None
        b_taps, a_taps = map(checked.taps_of, (feedforward, feedback))
        own = 1 if shared else channels
        self.problem = problem = Problem(
            "numpy", "cpu", dtype, y_dtype, real_precision(y_dtype), layout, reverse, *sizes, own, b_taps, a_taps
        )
        states = sizes[0] if self.count is None else self.count
        past = (states, own, q, dtype), (states, channels, p, problem.state_dtype)
        inputs, outputs = (None if stateless else self.noise(*sizes) for sizes in past)
        x = self.noise(sizes[0], own, length, dtype)
        self.operands = Operands(x, feedforward, feedback, inputs if q else None, outputs if p else None)
        self.grad_y = self.noise(*sizes, y_dtype)
        self.grad_last = self.noise(states, channels, p, problem.state_dtype) if p else None

    def noise(self, batch: int, channels: int, length: int, dtype: str) -> Any:
        values: Any = self.rng.standard_normal((batch, channels, length)) * (1 + 1j * (dtype in COMPLEX_DTYPES))
        values = values if np.dtype(dtype).kind == "c" else values.real
        return checked.in_host_memory(values.astype(dtype), self.layout, False)

    def allocate(self, channels: int, dtype: str) -> Any:
        shape = self.problem.batch, channels, self.problem.length
        return checked.in_host_memory(np.full(shape, np.nan, dtype), self.layout, False)

    def run(self, kernel: Any) -> tuple[Any, ...]:
        """Return y, the last outputs, and all gradients."""
        place = self.problem, self.operands, self.numbers, self.count
        y, last = kernel.forward_sequences(*place, self.allocate)
        needs = Needs(*(operand is not None for operand in self.operands))
        return y, last, *kernel.vjp_sequences(*place, y, self.grad_y, self.grad_last, needs, self.allocate)

    def spoil(self) -> None:
        """Put NaN wherever there is padding."""
        padding = self.numbers < 0
        for array in (self.operands.x, self.grad_y, *self.operands[1:3]):
            if array is not None and array.shape[2] == padding.shape[1] and len(array) > 1:
                signals = padding[:, None, :, None] if array.ndim == 4 else padding[:, None]
                array[np.broadcast_to(signals, array.shape)] = np.nan

    def faults(self, kernel: Any) -> list[str]:
        """Return what differs from each sequence alone."""
        wanted = self.run(Separate())
        self.spoil()
        found = self.run(kernel)
        faults = []
        for name, own, want in zip(NAMES, found, wanted, strict=True):
            if own is None or want is None or not want.size:
                continue
            with np.errstate(all="ignore"):
                error = np.abs(own - want).max() / max(np.abs(want).max(), 1e-9)
            if own.shape != want.shape or not error <= _TOLERANCES[self.problem.y_dtype] * (1 if name == "y" else 10):
                faults.append(f"{name}: off by {error:.1e}")
        return faults


def main(long: bool = False) -> None:
    """Compute cases with the sanitizers."""
    report(Packed, LONG if long else SHORT)
