"""The device's kernels for arrays of the host: what is given is moved there, and what they give comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cupy
import numpy as np
from multirec_backends.cupy._device import kernel

from multirec.backend import Activated, Framed, Problem

_HERE: dict[str, Any] = {"family": "cupy", "device": "cuda:0"}


class Moved:
    """The kernel object, whose every method is called in this way."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *given: called(getattr(kernel, name), given)


def called(method: Callable[..., Any], given: tuple[Any, ...]) -> Any:
    """Call a method of the kernel; arrays that it fills are filled here, too."""
    moved: list[tuple[Any, Any]] = []

    def there(part: Any) -> Any:
        if isinstance(part, np.ndarray):
            moved.append((part, on_device(part)))
            return moved[-1][1]
        if isinstance(part, Problem | Activated):
            return replace(part, **_HERE)
        if isinstance(part, Framed):
            return replace(part, problem=replace(part.problem, **_HERE))
        if isinstance(part, tuple):
            parts = [there(one) for one in part]
            return type(part)(*parts) if hasattr(part, "_fields") else tuple(parts)
        return (lambda *sizes: on_device(part(*sizes))) if callable(part) else part

    found = here(method(*[there(part) for part in given]))
    for own, other in moved:
        if own.flags.writeable:
            own[...] = cupy.asnumpy(other)
    return found


def here(part: Any) -> Any:
    """Return what a kernel gave, on the host."""
    if isinstance(part, cupy.ndarray):
        return cupy.asnumpy(part)
    if isinstance(part, tuple):
        parts = [here(one) for one in part]
        return type(part)(*parts) if hasattr(part, "_fields") else tuple(parts)
    return part


def on_device(array: Any) -> Any:
    """Return a copy on the device with the same strides."""
    strides = [stride // array.itemsize for stride in array.strides]
    count = 1 + sum((size - 1) * stride for size, stride in zip(array.shape, strides, strict=True)) if array.size else 0
    memory = cupy.empty(count, array.dtype)
    copy = cupy.lib.stride_tricks.as_strided(memory, array.shape, array.strides)
    copy[...] = cupy.asarray(np.ascontiguousarray(array))
    return copy
