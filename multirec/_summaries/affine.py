"""A block's map applied to a state: sums of products in the states' own precision, for every library and derivative."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .._core.arrays import is_compiling, name_of, spec_of
from .._core.axes import cast_to, from_channels_time, namespace, to_channels_time, zeros
from .._core.problem import and_wider, in_precision, real_precision
from .._core.state import State
from .._core.validate import check_state
from .._engine.call import split_state
from ..errors import DeviceError, FamilyError

if TYPE_CHECKING:
    from .summary import Summary

__all__ = ["after", "columns_of", "moved_on", "quietly", "unless", "weighted"]

Array: TypeAlias = Any


def after(summary: Summary, state: State | tuple[Array | None, Array | None] | None) -> State:
    """Return the state after a block, given the one before it."""
    layout, end = summary.layout, summary.end
    inputs, outputs = _checked(summary, split_state(state))
    if inputs is None and outputs is None:
        return end
    q = to_channels_time(end.inputs, layout).shape[-1]
    past_x, past_y = (None if part is None else to_channels_time(part, layout) for part in (inputs, outputs))
    new_x, new_y = (to_channels_time(part, layout) for part in end)
    if past_x is not None and q:
        kept = unless(summary.cut, moved_on(past_x, summary.moved, summary.reverse), 2)
        new_x = new_x + cast_to(kept, name_of(new_x.dtype))
    given = [
        weighted(columns, _computed(past, new_y)[..., None, :])
        for past, columns in ((past_x, summary.transition[..., :q]), (past_y, summary.transition[..., q:]))
        if past is not None and columns.shape[-1] and columns.shape[-2]
    ]
    with quietly():
        for part in given:
            new_y = new_y + unless(summary.cut, part, 2)
    return State(*(from_channels_time(part, layout) for part in (new_x, new_y)))


def weighted(columns: Array, past: Array) -> Array:
    """Return columns (…, p, k) times (…, 1, k), summed over k one after the other: matrix units may round more."""
    with quietly():
        found = columns[..., 0] * past[..., 0]
        for k in range(1, columns.shape[-1]):
            found = found + columns[..., k] * past[..., k]
    return found


def quietly() -> AbstractContextManager[object]:
    """Compute without NumPy's warnings, whatever the caller's np.errstate; a compiler knows nothing of them."""
    return nullcontext() if is_compiling() else np.errstate(all="ignore")


def columns_of(matrix: Array) -> Array:
    """View (…, p, k) as (…, 1, k, p), which is what `weighted` takes for past values."""
    return to_channels_time(matrix, "BTC")[..., None, :, :]


def moved_on(past: Array, moved: Array, reverse: bool) -> Array:
    """Return past samples (…, q) moved on in running order by so many samples, zeros after them."""
    library = namespace(past)
    place = library.arange(past.shape[-1], **({"device": past.device} if hasattr(past, "new_zeros") else {}))
    place = place - moved if reverse else place + moved
    inside = (place >= 0) & (place < past.shape[-1])
    return library.where(inside, past[..., library.where(inside, place, 0)], zeros(past, ()))


def unless(cut: Array | None, array: Array, after: int) -> Array:
    """Return an array that has `after` axes behind those of the batch, zeros where the chain is cut."""
    if cut is None:
        return array
    return namespace(array).where(cut[(..., *[None] * after)], zeros(array, ()), array)


def _computed(past: Array, like: Array) -> Array:
    """Return past samples in the precision of states."""
    return cast_to(past, in_precision(name_of(past.dtype), real_precision(name_of(like.dtype))))


def _checked(summary: Summary, state: tuple[Array | None, Array | None]) -> tuple[Array | None, Array | None]:
    layout = summary.layout
    for part, given, own in zip(State._fields, state, summary.end, strict=True):
        if given is None:
            continue
        got, expected = spec_of(given, f"state.{part}"), spec_of(own, "end")
        if got.family != expected.family:
            raise FamilyError(
                f"state.{part} is a {got.family} array, and the block was one of {expected.family}. Convert it."
            )
        if got.device != expected.device:
            raise DeviceError(f"state.{part} is on {got.device}, and the block was on {expected.device}. Move it.")
        dtypes = (expected.dtype,) if part == "inputs" else and_wider(expected.dtype)
        check_state(part, got, tuple(expected.shape), dtypes, layout)
    return state
