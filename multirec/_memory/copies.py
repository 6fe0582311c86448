"""What a call copies before a backend sees it, in words for `explain`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, TypeAlias

from .._core.axes import to_channels_time
from .._core.problem import Target
from .._core.validate import NAMES, Call
from .hand_over import misfit

Array: TypeAlias = Any


def copies(call: Call, arrays: tuple[Array | None, ...], target: Target) -> Iterator[str]:
    """Say what of (x, feedforward, feedback, inputs, outputs) a kernel of `target` cannot take where it lies."""
    for name, array in zip(NAMES, arrays, strict=True):
        if array is None:
            continue
        is_signal = name not in ("feedforward", "feedback")
        reason = misfit(to_channels_time(array, call.problem.layout) if is_signal else array, target)
        if reason:
            yield f"{name} {reason}: it is copied once"
        elif is_signal and len(call.batch_shape) > 1 and not _collapses(array, call):
            yield f"the batch axes {call.batch_shape} of {name} do not collapse into one: it is copied once"


def _collapses(array: Array, call: Call) -> bool:
    """Whether the batch axes are one axis to strides; JAX's arrays have none."""
    strides = array.stride() if callable(getattr(array, "stride", None)) else getattr(array, "strides", None)
    if strides is None:
        return True
    offset = 1 if call.problem.layout == "TBC" else 0
    axes = [(size, strides[axis + offset]) for axis, size in enumerate(call.batch_shape) if size != 1]
    return all(outer == inner * size for (_, outer), (size, inner) in pairwise(axes))
