"""SciPy's axes and multirec's: any axis is filtered, and where it lies as a layout has it nothing is moved.

The filtered axis moved last, a signal is (batch…, channels, T) with one batch axis or more, so that no coefficients
look like it. One filter treats all of x's axes alike; a bank's filters are the channels, and x has one for each, or 1.
"""

from __future__ import annotations

import operator
from typing import NamedTuple

from .._core.axes import namespace
from .._core.problem import Layout
from .._core.time_axis import TimeAxis, moved
from ..errors import AxisError, ShapeError
from ._arrays import Array

__all__ = ["Axes", "axes_of"]


class Axes(NamedTuple):
    """Which axis of x is filtered, and whether a bank does it: x of rank 1 then gets an axis of channels."""

    axis: int
    rank: int
    bank: bool

    @property
    def layout(self) -> Layout:
        """How x lies, seen by `view`."""
        return TimeAxis(self.axis, self.rank).layout

    @property
    def moves(self) -> bool:
        """Whether no layout has the filtered axis where it is."""
        return TimeAxis(self.axis, self.rank).moves

    @property
    def gains(self) -> bool:
        """Whether x has no axis of channels."""
        return self.rank == 1

    @property
    def place(self) -> int:
        """Where the filtered axis is in y."""
        return self.axis + 1 if self.gains and self.bank else self.axis

    def view(self, x: Array) -> Array:
        """View x in `layout`."""
        if self.rank < 3:
            return x[None, None] if self.gains else x[None]
        return moved(x, self.axis, -1) if self.moves else x

    def restore(self, y: Array) -> Array:
        """View y in `layout` with the caller's axes; the inverse of `view`."""
        if self.rank < 3:
            return self._few(y)
        return moved(y, -1, self.axis) if self.moves else y

    def memory_of(self, zi: Array) -> Array:
        """View a filter's zi as its memory (batch…, C, n)."""
        if self.gains:
            return zi[None] if self.bank else zi[None, None]
        zi = moved(zi, self.axis, -1)
        return zi if self.rank > 2 else zi[None]

    def zi_of(self, memory: Array) -> Array:
        """View a filter's memory as SciPy's zi."""
        if self.gains:
            return self._few(memory)
        memory = memory if self.rank > 2 else memory[0]
        return moved(memory, -1, self.axis)

    def section_memory_of(self, zi: Array) -> Array:
        """View the zi of sections, (S, …, 2, …), as their memory (batch…, C, S, 2)."""
        if self.gains and not self.bank:
            return zi[None, None]
        zi = namespace(zi).moveaxis(zi, (0, self.place + 1), (-2, -1))
        return zi if self.rank > 2 else zi[None]

    def section_zi_of(self, memory: Array) -> Array:
        """View the memory of sections as SciPy's zi."""
        if self.gains and not self.bank:
            return memory[0, 0]
        memory = memory if self.rank > 2 else memory[0]
        return namespace(memory).moveaxis(memory, (-2, -1), (0, self.place + 1))

    def _few(self, array: Array) -> Array:
        """Leave out the axes that x of rank 1 or 2 has not."""
        return array[0, 0] if self.gains and not self.bank else array[0]

    def shape_of(self, x: Array, count: int, filters: int) -> tuple[int, ...]:
        """Return the shape of y with `count` samples."""
        if self.gains:
            return (filters, count) if self.bank else (count,)
        shape = list(x.shape)
        shape[self.axis] = count
        if self.bank and filters != 1:
            shape[self._channel_axis] = filters
        return tuple(shape)

    def expanded(self, zi: Array, x: Array, count: int, filters: int) -> Array:
        """Return a filter's zi in full: its axes but the filtered one may be 1."""
        own, shape = tuple(zi.shape), self.shape_of(x, count, filters)
        if own == shape:
            return zi
        sizes = zip(own, shape, strict=False)
        fits = (size == full or (size == 1 and axis != self.place) for axis, (size, full) in enumerate(sizes))
        if len(own) != len(shape) or not all(fits):
            raise ShapeError(
                f"zi has shape {own}, expected {shape}: y's, of x of shape {tuple(x.shape)}, with {count} numbers on "
                "the filtered axis, one less than there are coefficients in the longer of b and a. The other axes may "
                "be 1. Pass what the previous call returned."
            )
        return namespace(zi).broadcast_to(zi, shape)

    def check_filters(self, x: Array, filters: int, source: str) -> None:
        """Raise unless x has a channel for each filter of a bank, or 1."""
        if self.gains or not self.bank or filters == 1 or x.shape[self._channel_axis] in (1, filters):
            return
        raise ShapeError(
            f"{source}: a bank of {filters} filters, and x of shape {tuple(x.shape)} has "
            f"{x.shape[self._channel_axis]} channels on axis {self._channel_axis}, the one before the filtered axis "
            f"{self.axis} once that is moved last. It has {filters} there, or 1 for all filters."
        )

    @property
    def _channel_axis(self) -> int:
        return self.rank - 2 if self.axis == self.rank - 1 else self.rank - 1


def axes_of(x: Array, axis: int, *, bank: bool) -> Axes:
    """Return the axes of a call; raise unless x has this one."""
    axis, rank = operator.index(axis), x.ndim
    if rank == 0:
        raise ShapeError("x must be at least 1-D: it is a number, and filters run along an axis. Pass x[None].")
    if not -rank <= axis < rank:
        raise AxisError(f"axis {axis} is out of range for x of shape {tuple(x.shape)}: it has {rank} axes.")
    return Axes(axis % rank, rank, bank)
