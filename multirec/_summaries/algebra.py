"""Composition of blocks' maps."""

from __future__ import annotations

from typing import Any, TypeAlias

from .._core.arrays import spec_of
from .._core.axes import concatenate, namespace, to_channels_time, zeros
from ..errors import ArgumentError, DeviceError, DtypeError, FamilyError, ShapeError
from .affine import after, columns_of, moved_on, quietly, weighted
from .summary import Summary

__all__ = ["compose"]

Array: TypeAlias = Any


def compose(first: Summary, second: Summary) -> Summary:
    """Return the summary of two blocks that follow each other, as if they were one.

    It is associative, and the summary of an empty block changes nothing, so that any scan over blocks may drive it.

    Parameters
    ----------
    first, second
        What `summarize` or `compose` returned, in running order: with `reverse` the first one is of the later samples.

    Raises
    ------
    MultirecError
        The two are not of blocks of one recurrence: they differ in layout, direction, sizes, types or place.

    Example
    -------
    >>> import numpy as np
    >>> from multirec.distributed import compose, summarize
    >>> x, a = np.ones((1, 5)), np.array([[0.5]])
    >>> both = compose(summarize(x[:, :2], feedback=a), summarize(x[:, 2:], feedback=a))
    >>> both.end.outputs, both.transition
    (array([[1.9375]]), array([[[0.03125]]]))
    """
    _check(first, second)
    q = to_channels_time(first.end.inputs, first.layout).shape[-1]
    cut = first.cut if second.cut is None else second.cut
    if first.cut is not None and second.cut is not None:
        cut = first.cut | second.cut
    library = namespace(first.moved)
    return Summary(
        after(second, first.end),
        _transition(first, second, q),
        library.where(first.moved + second.moved < q, first.moved + second.moved, q),
        cut,
        first.layout,
        first.reverse,
    )


def _transition(first: Summary, second: Summary, q: int) -> Array:
    """Return what past samples give to the outputs after both blocks."""
    one, other = first.transition, second.transition
    p = other.shape[-2]
    if not p:
        return one
    found = weighted(other[..., :, None, q:], columns_of(one))
    if not q:
        return found
    # inputs that are still there after the first block are the second one's past
    still = moved_on(other[..., :q], first.moved, not first.reverse)
    rest = zeros(still, (*still.shape[:-1], p))
    with quietly():
        return found + concatenate((still, rest))


def _check(first: Summary, second: Summary) -> None:
    for name, summary in (("first", first), ("second", second)):
        if not isinstance(summary, Summary):
            raise ArgumentError(
                f"{name} is a {type(summary).__name__}, expected a multirec.distributed.Summary. Pass what summarize "
                "returned."
            )
    for choice in ("layout", "reverse"):
        own, others = getattr(first, choice), getattr(second, choice)
        if own != others:
            raise ArgumentError(
                f"first is of a block with {choice}={own!r} and second of one with {choice}={others!r}. Summarize both "
                "with the same."
            )
    for part in ("outputs", "inputs"):
        one, other = getattr(first.end, part), getattr(second.end, part)
        got, expected = spec_of(other, f"second.end.{part}"), spec_of(one, f"first.end.{part}")
        what = f"first.end.{part} is of {{}} and second.end.{part} of {{}}: both are to be blocks of one recurrence. "
        if got.family != expected.family:
            raise FamilyError(f"{what.format(expected.family, got.family)}Convert one of them.")
        if got.device != expected.device:
            raise DeviceError(f"{what.format(expected.device, got.device)}Move one of them.")
        if got.shape != expected.shape:
            raise ShapeError(
                f"{what.format(f'shape {expected.shape}', f'shape {got.shape}')}They need the same examples, channels "
                "and numbers of taps; give the shorter coefficients zeros at the end."
            )
        if got.dtype != expected.dtype:
            raise DtypeError(f"{what.format(expected.dtype, got.dtype)}Summarize both in one compute_dtype.")
