"""What kernels leave apart is summed in a fixed order: rows of sums for every lane, partial rows of a shared x."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from multirec.backend import to_bfloat16

Signal = npt.NDArray[Any]
SUMS = {"float32": np.dtype("float64"), "complex64": np.dtype("complex128")}
"""What sums over time are kept in, by the storage of what is computed."""
SUMS |= {str(wide): wide for wide in SUMS.values()}


def fit(sums: Signal, batch: int, channels: int, dtype: str) -> Signal:
    """Sum over the axes, batch and channels, that coefficients of `dtype` are broadcast along."""
    axes = tuple(axis for axis, own in enumerate((batch, channels)) if own != sums.shape[axis])
    sums = summed(sums, axes) if axes else sums
    return sums if dtype.startswith("complex") else sums.real


def summed(array: Signal, axes: tuple[int, ...]) -> Signal:
    with np.errstate(all="ignore"):
        return cast(Signal, array.sum(axis=axes, keepdims=True))


def assign_shared(target: Signal | None, partial: Signal, dtype: str, *, flip: bool) -> None:
    """Assign the sum of partial rows (slices, batch, time or more), in running order, to a signal of `dtype`."""
    assert target is not None
    values = summed(partial[..., : target.shape[2]], (0,))[0][:, None]
    values = values[..., ::-1] if flip else values
    values = values if dtype.startswith("complex") else values.real
    target[...] = to_bfloat16(values) if dtype == "bfloat16" else values
