"""The backend's kernel object: canonical NumPy views in, machine code called, gradients gathered."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from multirec.backend import Allocate, Operands, Problem

from ._frame import FIELDS, REGIONS
from ._plan import Plan, plan, scratch
from ._pool import run

Signal = npt.NDArray[Any]
_NO_SIGNAL, _NO_TAPS = (0, 0, 0, 0), (0, 0, 0, 0, 0)
_BLOCK = struct.Struct(f"{len(FIELDS)}q")
assert FIELDS[-len(REGIONS) :] == tuple(f"at_{name}" for name in REGIONS)


class Kernel:
    """Forward and gradient in machine code, for any strides."""

    def forward(self, problem: Problem, operands: Operands, allocate: Allocate) -> Signal:
        y = allocate(problem.channels, problem.y_dtype)
        if y.size:
            flip = problem.reverse
            x, feedforward, feedback, inputs, outputs = operands
            signals = (
                *_signal(x, flip), *_signal(y, flip), *_signal(inputs, flip), *_signal(outputs, flip),
                *_NO_SIGNAL * 5, *_taps(feedforward, flip), *_taps(feedback, flip), *_NO_TAPS * 2,
            )  # fmt: skip
            _call(plan(problem), (0, 0, 0), signals)
        return y


def _signal(array: Signal | None, flip: bool) -> tuple[int, ...]:
    """Return address and byte strides (batch, channel, time); running backwards starts at the end."""
    if array is None or not array.size:
        return _NO_SIGNAL
    at = array.__array_interface__["data"][0]
    batch, channel, time = array.strides
    if array.shape[1] == 1:
        channel = 0
    if flip:
        return at + (array.shape[2] - 1) * time, batch, channel, -time
    return at, batch, channel, time


def _taps(array: Signal | None, flip: bool) -> tuple[int, ...]:
    """Return address and byte strides (batch, channel, time, tap), 0 along axes that are broadcast."""
    if array is None or not array.size:
        return _NO_TAPS
    at = array.__array_interface__["data"][0]
    batch, channel, time, tap = (stride if size > 1 else 0 for stride, size in zip(array.strides, array.shape, strict=True))
    if flip:
        return at + (array.shape[2] - 1) * time, batch, channel, -time, tap
    return at, batch, channel, time, tap


def _call(planned: Plan, extra: tuple[int, int, int], signals: tuple[int, ...]) -> None:
    counter = np.zeros(8, np.int64)
    counter_at = counter.__array_interface__["data"][0]
    block = _BLOCK.pack(counter_at, *planned.head, *extra, *signals, *planned.regions)
    function, size = planned.function, planned.scratch_bytes

    def work() -> None:
        memory, address = scratch(size)
        function(block, address)
        del memory

    if planned.helpers:
        run(work, planned.items)
    else:
        work()


kernel = Kernel()
