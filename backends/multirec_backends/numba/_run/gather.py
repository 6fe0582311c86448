"""What kernels leave apart is summed in a fixed order: rows of sums for every lane, partial rows of a shared x."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from multirec.backend import Problem, Taps, to_bfloat16

Signal = npt.NDArray[Any]
SUMS = {"float32": np.dtype("float64"), "complex64": np.dtype("complex128")}
"""What sums over time are kept in, by the storage of what is computed."""
SUMS |= {str(wide): wide for wide in SUMS.values()}


def sums_like(problem: Problem, taps: Taps | None, compute: str, *, together: bool = False) -> Signal:
    """Return memory for a gradient of coefficients before axes of length 1 are summed.

    Where it varies along time it lies as y does, tap by tap, so that a tap is written like a signal, or all taps of a
    sample `together`.
    """
    assert taps is not None
    batch, channels = problem.batch, problem.channels
    if taps.time <= 1:
        return np.zeros((batch, channels, taps.time, taps.taps), SUMS[compute])
    length, count = problem.length, taps.taps
    if together:
        extents = {"BCT": (batch, channels, length), "BTC": (batch, length, channels), "TBC": (length, batch, channels)}
        order = {"BCT": (0, 1, 2, 3), "BTC": (0, 2, 1, 3), "TBC": (1, 2, 0, 3)}[problem.layout]
        return np.empty((*extents[problem.layout], count), compute).transpose(order)
    if problem.layout == "BCT":
        return np.empty((batch, channels, count, length), compute).transpose(0, 1, 3, 2)
    if problem.layout == "BTC":
        return np.empty((batch, length, count, channels), compute).transpose(0, 3, 1, 2)
    return np.empty((length, batch, count, channels), compute).transpose(1, 3, 0, 2)


def fit_taps(sums: Signal | None, taps: Taps | None) -> Signal | None:
    """Sum as `fit` does to the shape of coefficients; None is for no gradient."""
    if sums is None or taps is None:
        return None
    return fit(sums, taps.batch, taps.channels, taps.dtype)


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
