"""Fresh memory for what kernels fill."""

from __future__ import annotations

import sys
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from .._core.arrays import Array
from .._core.axes import to_channels_time
from .._core.problem import Family, Problem, Target, join_shape
from .._machine.address import address
from .hand_over import ALIGNMENT, device, hand_over
from .reuse import LARGE, blocks

_SMALL = 4096


def empty(problem: Problem, channels: int, dtype: str, target: Target) -> Array:
    """Return an uninitialised (B, channels, T) array in the caller's memory, contiguous in the problem's layout.

    It is an array of library `target`, or of the caller's own for one that works on raw CUDA memory.
    """
    if problem.device_type == "cpu":
        # for torch too: its own allocator gives fresh pages one by one, 78 ms against 16 for 262 MB
        stored = to_channels_time(_host(problem, channels, dtype), problem.layout)
        return hand_over(stored, "numpy", "torch") if target == "torch" else stored
    shape = join_shape((problem.batch,), channels, problem.length, problem.layout)
    if "torch" in (problem.family, target):
        torch = sys.modules["torch"]
        tensor = torch.empty(shape, dtype=getattr(torch, dtype), device=problem.device)
        return hand_over(to_channels_time(tensor, problem.layout), "torch", target)
    with device(problem):
        tensor = sys.modules["cupy"].empty(shape, dtype=dtype)
        return hand_over(to_channels_time(tensor, problem.layout), "cupy", target)


@lru_cache(maxsize=1024)
def _storage(problem: Problem, channels: int, dtype: str) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return the shape in memory, NumPy's data type, and the bytes of a signal."""
    shape = join_shape((problem.batch,), channels, problem.length, problem.layout)
    stored = np.dtype("uint16" if dtype == "bfloat16" else dtype)
    return shape, stored, prod(shape) * stored.itemsize


def _host(problem: Problem, channels: int, dtype: str) -> Array:
    shape, stored, size = _storage(problem, channels, dtype)
    if size < _SMALL:
        return np.empty(shape, stored)
    try:
        return on_host(shape, stored)
    except MemoryError:
        raise MemoryError(
            f"no memory for an output of shape {shape}, {dtype}: {size / 2**30:.1f} GiB. Filter fewer examples, "
            "channels or samples at a time; the returned state continues a block."
        ) from None


def on_host(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, np.dtype[Any]]:
    """Return an uninitialised array that kernels like, in huge pages where the system has them, or used ones."""
    size = prod(shape) * dtype.itemsize
    if size >= LARGE:
        return blocks.lend(shape, dtype, size)
    raw = np.empty(size + ALIGNMENT, np.uint8)
    return np.ndarray(shape, dtype, raw, -address(raw) % ALIGNMENT)


def zeros(problem: Problem, channels: int, dtype: str, library: Family) -> Array:
    """Return zeros (B, channels, T) of a library, in the memory of one."""
    shape = problem.batch, channels, problem.length
    if library == "torch":
        torch = sys.modules["torch"]
        return torch.zeros((), dtype=getattr(torch, dtype), device=problem.device).expand(shape)
    array_library = sys.modules[library]
    return array_library.broadcast_to(array_library.zeros((), "uint16" if dtype == "bfloat16" else dtype), shape)
