"""Fresh memory for what kernels fill."""

from __future__ import annotations

import sys
from math import prod

import numpy as np

from .._core.arrays import Array
from .._core.axes import to_channels_time
from .._core.problem import Problem, Target, join_shape
from .._machine.address import address
from .hand_over import ALIGNMENT, device, hand_over

_SMALL = 4096


def empty(problem: Problem, channels: int, dtype: str, target: Target) -> Array:
    """Return an uninitialised (B, channels, T) array in the caller's memory, contiguous in the problem's layout.

    It is an array of library `target`, or of the caller's own for one that works on raw CUDA memory.
    """
    shape = join_shape((problem.batch,), channels, problem.length, problem.layout)
    if "torch" in (problem.family, target) and problem.device_type != "cpu":
        torch = sys.modules["torch"]
        tensor = torch.empty(shape, dtype=getattr(torch, dtype), device=problem.device)
        return hand_over(to_channels_time(tensor, problem.layout), "torch", target)
    if problem.device_type == "cuda":
        with device(problem):
            tensor = sys.modules["cupy"].empty(shape, dtype=dtype)
            return hand_over(to_channels_time(tensor, problem.layout), "cupy", target)
    # for torch too: its own allocator gives fresh pages one by one, 78 ms against 16 for 262 MB
    stored = to_channels_time(_host(shape, dtype), problem.layout)
    return hand_over(stored, "numpy", "torch") if target == "torch" else stored


def _host(shape: tuple[int, ...], dtype: str) -> Array:
    stored = np.dtype("uint16" if dtype == "bfloat16" else dtype)
    size = prod(shape) * stored.itemsize
    if size < _SMALL:
        return np.empty(shape, stored)
    try:
        raw = np.empty(size + ALIGNMENT, np.uint8)
    except MemoryError:
        raise MemoryError(
            f"no memory for an output of shape {shape}, {dtype}: {size / 2**30:.1f} GiB. Filter fewer examples, "
            "channels or samples at a time; the returned state continues a block."
        ) from None
    return np.ndarray(shape, stored, raw, -address(raw) % ALIGNMENT)
