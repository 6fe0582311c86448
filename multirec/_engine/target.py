"""`out=`: whether an array can take y, and how it does."""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

import numpy as np

from .._core.arrays import spec_of
from .._core.axes import from_channels_time
from .._core.validate import NAMES, Call, check_signal
from .._machine.address import address
from .._memory.hand_over import misfit
from ..errors import ArgumentError
from .plan import Plan

__all__ = ["OutMemory", "check_out", "is_x", "share", "takes_directly"]

Array: TypeAlias = Any
_HARD = 1 << 12
"""Steps that NumPy may take to find out whether two arrays share memory."""


def check_out(call: Call, plan: Plan, arrays: tuple[Array | None, ...], out: Array) -> None:
    """Raise unless `out` can take y of a call on these arrays."""
    x = arrays[0]
    expected = spec_of(x, "x")._replace(shape=call.y_shape, dtype=call.problem.y_dtype)
    check_signal("out", spec_of(out, "out"), expected)
    if not getattr(getattr(out, "flags", None), "writeable", True):
        raise ArgumentError("out is read-only. Pass an array that may be written to.")
    reason = misfit(out, plan.library)
    if reason is not None:
        raise ArgumentError(f"out {reason}, so y cannot be written there. Pass an ordinary array, such as a new one.")
    if _overlaps_itself(out):
        raise ArgumentError(
            f"out of shape {tuple(out.shape)} has several elements in one place of memory, as broadcast arrays have. "
            "Pass an array that has a place for each."
        )
    for name, array in zip(NAMES, arrays, strict=True):
        if array is None or (name == "x" and is_x(call, x, out)) or not share(array, out):
            continue
        exact = "x itself may be written to, " if name == "x" else ""
        shared = "but not where it serves several channels" if call.problem.shared else "but not a part of its memory"
        why = f"{exact}{shared}" if exact else "y would be written over it while it is read"
        raise ArgumentError(f"out shares memory with {name}: {why}. Pass an array of its own, or a copy of {name}.")


def is_x(call: Call, x: Array, out: Array) -> bool:
    """Whether y is to be written over the very elements of x."""
    if x is out:
        return not call.problem.shared
    return (
        not call.problem.shared
        and x.shape == out.shape
        and x.dtype == out.dtype
        and _steps(x) == _steps(out)
        and _start(x) == _start(out)
        and 0 not in out.shape
    )


class OutMemory:
    """Gives a kernel the memory of `out` where it asks for y's, once; else new memory."""

    def __init__(self, plan: Plan, y: Array) -> None:
        self._plan, self._y = plan, y

    def __call__(self, channels: int, dtype: str) -> Array:
        problem, y, self._y = self._plan.problem, self._y, None
        if y is not None and (channels, dtype) == (problem.channels, problem.y_dtype):
            return y
        return self._plan.allocate(channels, dtype)


def takes_directly(plan: Plan, y: Array) -> bool:
    """Whether a kernel may write to canonical memory as it may to what it allocates."""
    if plan.info.family not in (plan.library, "cuda"):
        return False
    stored = from_channels_time(y, plan.problem.layout)
    if isinstance(stored, np.ndarray):
        return bool(stored.flags.c_contiguous)
    contiguous = stored.is_contiguous() if hasattr(stored, "is_contiguous") else stored.flags.c_contiguous
    return bool(contiguous) and _start(y) % 64 == 0


def _start(array: Array) -> int:
    if isinstance(array, np.ndarray):
        return address(array)
    return int(array.data_ptr() if hasattr(array, "data_ptr") else array.data.ptr)


def _strides(array: Array) -> tuple[int, ...]:
    """Return strides in bytes."""
    if hasattr(array, "stride"):
        size = array.element_size()
        return tuple(step * size for step in array.stride())
    return tuple(array.strides)


def _steps(array: Array) -> list[tuple[int, int]]:
    """Return the lengths and strides of the axes along which an array has more than one element."""
    return [(size, step) for size, step in zip(array.shape, _strides(array), strict=True) if size > 1]


def _span(array: Array) -> tuple[int, int]:
    """Return where the elements of an array begin and end."""
    first = last = _start(array)
    for size, step in zip(array.shape, _strides(array), strict=True):
        first, last = first + min(step * (size - 1), 0), last + max(step * (size - 1), 0)
    return first, last + array.dtype.itemsize


def _overlaps_itself(array: Array) -> bool:
    steps = sorted((abs(step), size) for size, step in _steps(array))
    reach = array.dtype.itemsize
    for step, size in steps:
        if step < reach:
            return 0 not in array.shape
        reach = step * (size - 1) + reach
    return False


def share(one: Array, other: Array) -> bool:
    """Whether two arrays have an element in common; those of devices, whether their spans meet."""
    if 0 in one.shape or 0 in other.shape:
        return False
    (start, end), (other_start, other_end) = _span(one), _span(other)
    if end <= other_start or other_end <= start:
        return False
    first, second = map(_host, (one, other))
    if first is None or second is None:
        return True
    try:
        return bool(np.shares_memory(first, second, _HARD))  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def _host(array: Array) -> Array | None:
    """Return NumPy's view of an array on the host, to be compared and not read."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(array, torch.Tensor):
        return array if isinstance(array, np.ndarray) else None
    if array.device.type != "cpu" or array.is_conj() or array.is_neg() or array.dtype is torch.bfloat16:
        return None
    return array.detach().numpy()
