"""Samples and coefficients of pieces of time, gathered and put back by operations that every library differentiates."""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

import numpy as np

from .._core.axes import namespace, zeros
from .segments import Piece

__all__ = ["PieceTaps", "before", "by_time", "in_rows", "put_back", "replaced", "returned", "taken"]

Array: TypeAlias = Any


def taken(array: Array, index: Any) -> Array:
    """Return the entries of an array along its first axis."""
    if hasattr(array, "index_select"):
        return array.index_select(0, sys.modules["torch"].as_tensor(index, device=array.device))
    return array[index]


def by_time(array: Array) -> Array:
    """Exchange the last two of three axes, or the second and third of more."""
    return array.transpose(1, 2) if hasattr(array, "permute") else array.swapaxes(1, 2)


def in_rows(signal: Array) -> Array:
    """Return a signal (B, channels, T) as (B * T, channels)."""
    return by_time(signal).reshape((signal.shape[0] * signal.shape[2], signal.shape[1]))


def put_back(parts: list[Array], places: Any, batch: int, length: int) -> Array:
    """Return a signal (B, channels, T) of its samples (…, channels), zeros between them."""
    index = np.full(batch * length, len(places))
    index[places] = np.arange(len(places))
    signal = taken(_with_zero(*(part.reshape((part.shape[0] * part.shape[1], part.shape[2])) for part in parts)), index)
    return by_time(signal.reshape((batch, length, signal.shape[-1])))


def before(states: Array, given: Any) -> Array:
    """Return the state before each stretch, of those that are given: zeros where it is none of them."""
    return taken(_with_zero(states), np.where(given < 0, states.shape[0], given))


def replaced(now: Array | None, after: Array, piece: Piece, count: int) -> Array:
    """Return the states of all stretches, those of pieces replaced."""
    new = np.arange(len(piece.segments))
    if now is None:
        index = np.full(count, len(new))
        index[piece.segments] = new
        return taken(_with_zero(after), index)
    index = np.arange(count)
    index[piece.segments] = count + new
    return taken(_joined(now, after), index)


def returned(now: Array, given: Array | None, last: Any) -> Array:
    """Return the states that `Segments.last` says."""
    if given is None:
        # what was given is zeros as well
        return taken(_with_zero(now), np.minimum(last, now.shape[0]))
    return taken(_with_zero(now, given), last)


def _joined(*parts: Array) -> Array:
    library = namespace(parts[0])
    join = library.cat if library.__name__ == "torch" else library.concatenate
    return parts[0] if len(parts) == 1 else join(parts, 0)


def _with_zero(*parts: Array) -> Array:
    """Join parts along the first axis, and an entry of zeros."""
    return _joined(*parts, zeros(parts[0], (1, *parts[0].shape[1:])))


class PieceTaps:
    """Coefficients (B | 1, T | 1, C | 1, taps), and what pieces of time have of them."""

    def __init__(self, taps: Array | None) -> None:
        self.taps = None if taps is None else by_time(taps)
        self.shape = () if self.taps is None else tuple(self.taps.shape)
        self.varies = self.shape[:2] not in ((), (1, 1))
        if self.varies:
            self._flat = self.flat(self.taps)

    def flat(self, taps: Array) -> Array:
        """Return coefficients, of all samples or of a piece, in one row."""
        return taps.reshape((taps.shape[0] * taps.shape[1], *self.shape[2:]))

    def of(self, piece: Piece) -> Array | None:
        """Return (m | 1, length | 1, C | 1, taps)."""
        if not self.varies:
            return self.taps
        index = self.index(piece)
        return taken(self._flat, index.reshape(-1)).reshape((*index.shape, *self.shape[2:]))

    def index(self, piece: Piece) -> Any:
        """Return where the coefficients of a piece are among all of them."""
        batch, time = self.shape[:2]
        return (piece.rows if batch > 1 else piece.rows * 0) * time + (piece.times if time > 1 else 0)
