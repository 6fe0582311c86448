"""Comparison with what is expected, and fresh memory that shows whether it was written to."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ._where import parts_of
from .problems import Wide

__all__ = ["assert_close", "mismatch", "poisoned"]


def mismatch(name: str, got: Wide, expected: Wide, bound: Wide | float, axes: tuple[str, ...] = ()) -> str | None:
    """Say where `got` is further from `expected` than `bound`; None if it is nowhere.

    With names of the `axes`, it also says which part of each axis is wrong, where that is not all of it.

    Example
    -------
    >>> mismatch("y", np.array([1.0, 2.5]), np.array([1.0, 2.0]), 0.1)
    'y[1] is 2.5, expected 2.0: off by 0.5, allowed 0.1 (1 of 2 values)'
    >>> mismatch("y", np.array([[1.0, 2.5], [1, 3]]), np.array([[1.0, 2], [1, 2]]), 0.1, ("channel", "sample"))
    'y[1, 1] is 3.0, expected 2.0: off by 1, allowed 0.1 (2 of 4 values, in sample 1 of 2)'
    """
    if got.shape != expected.shape:
        return f"{name} has shape {got.shape}, expected {expected.shape}"
    with np.errstate(invalid="ignore"):
        off = np.abs(got - expected)
    off = np.where(np.isnan(off), np.inf, off)
    limit = np.broadcast_to(bound, off.shape)
    wrong = ~(np.isfinite(off) & (off <= limit))
    if not wrong.any():
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        excess = np.where(wrong, off / np.maximum(limit, np.finfo(float).tiny), 0)
    index = tuple(int(i) for i in np.unravel_index(int(excess.argmax()), off.shape))
    place = ", ".join(map(str, index))
    return (
        f"{name}[{place}] is {got[index]}, expected {expected[index]}: off by {off[index]:.3g}, "
        f"allowed {limit[index]:.3g} ({int(wrong.sum())} of {wrong.size} values{parts_of(wrong, axes)})"
    )


def assert_close(name: str, got: Wide, expected: Wide, bound: Wide | float) -> None:
    """Raise AssertionError, saying where, unless `got` is within `bound` of `expected` everywhere.

    Parameters
    ----------
    name
        What is compared, for the message.
    got, expected
        Arrays of one shape.
    bound
        The largest magnitude of the difference, elementwise; see `multirec.testing.oracle.expected`. A NaN is never
        within it.
    """
    message = mismatch(name, got, expected, bound)
    if message is not None:
        raise AssertionError(message)


@contextmanager
def poisoned() -> Iterator[None]:
    """Fill the fresh memory that kernels are given, and torch's, with NaN: what a kernel leaves unwritten shows.

    Not for several threads at once.
    """
    memory: Any = importlib.import_module("multirec._engine.plan")
    torch: Any = sys.modules.get("torch")
    places = [(memory, "empty")] + ([(torch, "empty"), (torch, "empty_like")] if torch else [])
    originals = [getattr(owner, name) for owner, name in places]
    for (owner, name), original in zip(places, originals, strict=True):
        setattr(owner, name, _poisoning(original))
    try:
        yield
    finally:
        for (owner, name), original in zip(places, originals, strict=True):
            setattr(owner, name, original)


def _poisoning(allocate: Any) -> Any:
    def allocate_poisoned(*arguments: Any, **options: Any) -> Any:
        array = allocate(*arguments, **options)
        if isinstance(array, np.ndarray):
            # all bits set is NaN in every floating type, bfloat16's bits included
            array.fill(np.nan if array.dtype.kind in "fc" else np.iinfo(array.dtype).max)
        elif hasattr(array, "is_floating_point") and (array.is_floating_point() or array.is_complex()):
            array.fill_(float("nan"))
        elif hasattr(array, "fill") and not hasattr(array, "fill_"):
            array.fill(float("nan"))
        return array

    return allocate_poisoned
