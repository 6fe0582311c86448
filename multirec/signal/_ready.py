"""The short way of NumPy's arrays: a filter that is divided by a0, planned and bound once, found again by its numbers.

A block of a few hundred samples is filtered in a microsecond, so nothing is looked at twice: the table's key holds all
that validation and planning look at, and the coefficients themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import index, itemgetter
from typing import Any, TypeAlias

import numpy as np

from .._core.validate import Choices
from .._engine.call import launcher_of
from .._engine.plan import Plan
from .._engine.table import Table
from .._engine.ways import viewer, ways_in
from ..backend import Allocate, Operands
from ._arrays import Array
from ._axes import Axes, axes_of
from ._coefficients import Transfer, as_transfer, transfer
from ._continued import FEW_BYTES, continued_by, through
from ._types import cast, common_dtype, signal_in

__all__ = ["ready", "ready_from"]

Step: TypeAlias = Callable[[Array], Array]


class Ready:
    """Filters signals of one shape and data type along one axis, from rest, with coefficients of its own."""

    __slots__ = ("_allocate", "_back", "_forward", "_into", "_taps")

    def __init__(self, b: Array, a: Array, x: Array, axis: int, backend: str) -> None:
        filters, axes, to_dtype, _ = _settled(b, a, x, axis)
        arrays = axes.view(to_dtype(x)), filters.feedforward, filters.feedback, None, None
        launcher = launcher_of(arrays, Choices(axes.layout, False, backend))
        call, plan = launcher.call, launcher.plan
        give_x, *others = ways_in(call, plan, arrays)
        into: Step = itemgetter((None, None)) if axes.gains else axes.view
        back: Step = itemgetter((0, 0)) if axes.gains and not axes.bank else axes.restore
        self._into = [step for step in (None if to_dtype(x) is x else to_dtype, into, *give_x) if step is not None]
        self._back = [step for step in (viewer(call), back) if step is not None]
        self._taps = tuple(through(way, taps) for way, taps in zip(others, arrays[1:], strict=True))
        # a kernel of NumPy's arrays gives y alone, in the precision that it was computed in
        is_direct = plan.info.family == "numpy" and plan.state_in_y
        self._forward = partial(plan.kernel.forward, plan.problem) if is_direct else partial(_forward, plan)
        self._allocate = plan.allocate

    def __call__(self, x: Array) -> Array:
        """Return y."""
        for step in self._into:
            x = step(x)
        y = self._forward(Operands(x, *self._taps), self._allocate)
        for step in self._back:
            y = step(y)
        return y


class ReadyFrom:
    """Filters signals as `Ready` does, from a zi of one shape and data type on."""

    __slots__ = ("_axes", "_continued", "_dtype", "_filters", "_to_dtype")

    def __init__(self, b: Array, a: Array, x: Array, axis: int, zi: Array, backend: str) -> None:
        self._filters, self._axes, self._to_dtype, self._dtype = _settled(b, a, x, axis, zi)
        self._axes.expanded(zi, x, self._filters.order, self._filters.filters)
        x = self._axes.view(self._to_dtype(x))
        self._continued = continued_by(x, self._filters, self._axes.layout, False, backend)

    def __call__(self, x: Array, zi: Array) -> tuple[Array, Array]:
        """Return y and zf."""
        axes, filters = self._axes, self._filters
        zi = axes.expanded(cast(zi, self._dtype), x, filters.order, filters.filters)
        y, memory = self._continued(axes.view(self._to_dtype(x)), axes.memory_of(zi))
        return axes.restore(y), axes.zi_of(memory)


_from_rest: Table[Ready] = Table()
_from_zi: Table[ReadyFrom] = Table()


def ready(b: Array, a: Array, x: Array, axis: int, backend: str) -> Ready:
    """Return what filters x, an array of NumPy, as b and a do; remembered unless they are long."""
    if b.nbytes + a.nbytes > FEW_BYTES:
        return Ready(b, a, x, axis, backend)
    key = (
        *(x.shape, x.dtype, x.flags.aligned, index(axis), backend),
        *(b.shape, b.dtype, b.tobytes(), a.shape, a.dtype, a.tobytes()),
    )
    return _from_rest.get(key) or _from_rest.find(key, lambda: Ready(b, a, x, axis, backend))


def ready_from(b: Array, a: Array, x: Array, axis: int, zi: Array, backend: str) -> ReadyFrom:
    """Return what filters x as b and a do, from a zi like this one on; remembered unless they are long."""
    if b.nbytes + a.nbytes > FEW_BYTES:
        return ReadyFrom(b, a, x, axis, zi, backend)
    key = (
        *(x.shape, x.dtype, x.flags.aligned, index(axis), backend, zi.shape, zi.dtype),
        *(b.shape, b.dtype, b.tobytes(), a.shape, a.dtype, a.tobytes()),
    )
    return _from_zi.get(key) or _from_zi.find(key, lambda: ReadyFrom(b, a, x, axis, zi, backend))


def _forward(plan: Plan, operands: Operands, allocate: Allocate) -> Array:
    return plan.run(operands, allocate)[0]


def _settled(
    b: Array, a: Array, x: Array, axis: int, zi: Array | None = None
) -> tuple[Transfer, Axes, Step, np.dtype[Any]]:
    """Return the filters, the axes, the step that gives x its data type, and y's."""
    b, a = as_transfer(b, a)
    dtype = common_dtype(x, b, a, zi=zi)
    filters = transfer(b, a, x, dtype)
    axes = axes_of(x, axis, bank=filters.bank)
    axes.check_filters(x, filters.filters, filters.source)
    return filters, axes, partial(signal_in, dtype=dtype, widened=filters.complex), dtype
