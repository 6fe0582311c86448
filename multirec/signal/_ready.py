"""The short way of NumPy's arrays: a filter that is divided by a0, planned and bound once, found again by its numbers.

A block of a few hundred samples is filtered in a microsecond, so nothing is looked at twice: the table's key holds all
that validation and planning look at, and the coefficients themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import index, itemgetter
from typing import TypeAlias

from .._core.validate import Choices
from .._engine.call import launcher_of
from .._engine.table import Table
from .._engine.ways import Way, viewer, ways_in
from ..backend import Operands
from ._arrays import Array
from ._axes import axes_of
from ._coefficients import as_transfer, transfer
from ._types import common_dtype, signal_in

__all__ = ["ready"]

_FEW_BYTES = 1 << 12
"""Of coefficients that are remembered: a thousand of the longest take a few megabytes."""


Step: TypeAlias = Callable[[Array], Array]


class Ready:
    """Filters signals of one shape and data type along one axis, from rest, with coefficients of its own."""

    __slots__ = ("_allocate", "_back", "_into", "_run", "_taps")

    def __init__(self, b: Array, a: Array, x: Array, axis: int, backend: str) -> None:
        b, a = as_transfer(b, a)
        dtype = common_dtype(x, b, a)
        filters = transfer(b, a, x, dtype)
        axes = axes_of(x, axis, bank=filters.bank)
        axes.check_filters(x, filters.filters, filters.source)
        to_dtype = partial(signal_in, dtype=dtype, widened=filters.complex)
        arrays = axes.view(to_dtype(x)), filters.feedforward, filters.feedback, None, None
        launcher = launcher_of(arrays, Choices(axes.layout, False, backend))
        call, plan = launcher.call, launcher.plan
        give_x, *others = ways_in(call, plan, arrays)
        into: Step = itemgetter((None, None)) if axes.gains else axes.view
        back: Step = itemgetter((0, 0)) if axes.gains and not axes.bank else axes.restore
        self._into = [step for step in (None if to_dtype(x) is x else to_dtype, into, *give_x) if step is not None]
        self._back = [step for step in (viewer(call), back) if step is not None]
        self._taps = tuple(_through(way, taps) for way, taps in zip(others, arrays[1:], strict=True))
        self._run, self._allocate = plan.run, plan.allocate

    def __call__(self, x: Array) -> Array:
        """Return y."""
        for step in self._into:
            x = step(x)
        y, _ = self._run(Operands(x, *self._taps), self._allocate)
        for step in self._back:
            y = step(y)
        return y


_filters: Table[Ready] = Table()


def ready(b: Array, a: Array, x: Array, axis: int, backend: str) -> Ready:
    """Return what filters x, an array of NumPy, as b and a do; remembered unless they are long."""
    if b.nbytes + a.nbytes > _FEW_BYTES:
        return Ready(b, a, x, axis, backend)
    key = (
        *(x.shape, x.dtype, x.flags.aligned, index(axis), backend),
        *(b.shape, b.dtype, b.tobytes(), a.shape, a.dtype, a.tobytes()),
    )
    return _filters.get(key) or _filters.find(key, lambda: Ready(b, a, x, axis, backend))


def _through(way: Way, taps: Array | None) -> Array | None:
    if taps is None:
        return None
    taps = taps if way.give is None else way.give(taps)
    return taps if way.view is None else way.view(taps)
