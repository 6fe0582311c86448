"""Signals whose time is any axis: where it lies as a layout has it, nothing is moved."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from .axes import namespace
from .problem import Layout

__all__ = ["TimeAxis", "moved"]

Array: TypeAlias = Any


class TimeAxis(NamedTuple):
    """Which of so many axes is time."""

    axis: int
    rank: int

    @property
    def layout(self) -> Layout:
        """How arrays lie, seen by `view`."""
        if self.axis == self.rank - 1:
            return "BCT"
        if self.axis == self.rank - 2:
            return "BTC"
        return "TBC" if self.axis == 0 else "BCT"

    def view(self, array: Array) -> Array:
        """View an array in `layout`; one of rank 1 gets an axis of channels."""
        if self.rank == 1:
            return array[None]
        return moved(array, self.axis, -1) if self.moves else array

    def restore(self, array: Array) -> Array:
        """View an array in `layout` with the caller's axes."""
        if self.rank == 1:
            return array[0]
        return moved(array, -1, self.axis) if self.moves else array

    def sample(self, array: Array) -> Array:
        """View an array without the axis of time as a sample of those in `layout`."""
        return array[None] if self.rank == 1 else array

    @property
    def moves(self) -> bool:
        """Whether no layout has time where it is."""
        return 0 < self.axis < self.rank - 2


def moved(array: Array, start: int, end: int) -> Array:
    """Return a view with one axis elsewhere."""
    # torch.func.vmap has a rule for tuples alone
    return namespace(array).moveaxis(array, (start,), (end,))
