"""NumPy arrays in the memory that XLA lends for a call."""

from __future__ import annotations

from ctypes import c_char
from math import prod
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

from .._core.problem import Layout

__all__ = ["Kind", "View", "axes_in_memory"]


class Kind(NamedTuple):
    """The shape and dtype of one canonical array."""

    shape: tuple[int, ...]
    dtype: str


def axes_in_memory(kind: Kind, layout: Layout, length: int) -> tuple[int, ...]:
    """Return the axes in the order of memory: signals, states and what varies over time lie in the caller's layout."""
    shape = kind.shape
    has_time = len(shape) == 3 or (len(shape) == 4 and shape[2] == length)
    # XLA may divide by the size of what it transposes, and take the process with it
    if not has_time or 0 in shape:
        return tuple(range(len(shape)))
    return {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}[layout] + (3,) * (len(shape) == 4)


class View:
    """Makes arrays of one kind; bfloat16 is its bits."""

    def __init__(self, kind: Kind, layout: Layout, length: int, written: bool) -> None:
        dtype = np.dtype("uint16" if kind.dtype == "bfloat16" else kind.dtype)
        strides, step = [0] * len(kind.shape), dtype.itemsize
        for axis in reversed(axes_in_memory(kind, layout, length)):
            strides[axis], step = step, step * kind.shape[axis]
        self._memory: Any = c_char * (prod(kind.shape) * dtype.itemsize)
        self.kind, self._dtype, self._strides, self._written = kind, dtype, strides, written

    def at(self, data: int, lent: list[ref[Any]]) -> np.ndarray[Any, Any]:
        """Return an array, and note its memory, which is alive as long as anybody has an array in it."""
        memory = self._memory.from_address(data)
        lent.append(ref(memory))
        array: np.ndarray[Any, Any] = np.ndarray(self.kind.shape, self._dtype, memory, 0, self._strides)
        if not self._written:
            array.flags.writeable = False
        return array
