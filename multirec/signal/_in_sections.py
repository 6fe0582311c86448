"""Sections ready for signals of one shape: checked, and divided by a0; for NumPy found again by their numbers."""

from __future__ import annotations

from operator import index

from .._engine.table import Table
from .._sections import cascade
from ..errors import ShapeError
from ._arrays import Array
from ._axes import Axes, axes_of
from ._coefficients import Sections, as_sections, sections
from ._continued import FEW_BYTES
from ._types import common_dtype, memory_in, signal_in

__all__ = ["InSections", "ready_sections"]


class InSections:
    """Filters signals of one shape and data type along one axis with sections, from a zi or from rest."""

    __slots__ = ("_axes", "_backend", "_dtype", "_rows")

    def __init__(self, sos: Array, x: Array, axis: int, zi: Array | None, backend: str) -> None:
        sos = as_sections(sos)
        self._dtype = common_dtype(x, sos, zi=zi)
        self._rows = rows = sections(sos, x, self._dtype)
        self._axes = axes = axes_of(x, axis, bank=rows.bank)
        self._backend = backend
        axes.check_filters(x, rows.filters, rows.source)
        if zi is not None:
            _check_zi(zi, rows, axes, x)

    def __call__(self, x: Array, zi: Array | None) -> Array | tuple[Array, Array]:
        """Return y, and zf if there is a zi."""
        axes, rows = self._axes, self._rows
        x = signal_in(x, self._dtype, widened=rows.complex)
        memory = None if zi is None else axes.section_memory_of(memory_in(zi, x, self._dtype))
        y, memory, _ = cascade(axes.view(x), rows.taps, memory, layout=axes.layout, backend=self._backend)
        y = axes.restore(y)
        return y if zi is None else (y, axes.section_zi_of(memory))


_ready: Table[InSections] = Table()


def ready_sections(sos: Array, x: Array, axis: int, zi: Array | None, backend: str) -> InSections:
    """Return what filters NumPy's x with sos, from rest or from a zi like this one; remembered unless sos is long."""
    if sos.nbytes > FEW_BYTES:
        return InSections(sos, x, axis, zi, backend)
    kind = None if zi is None else (zi.shape, zi.dtype)
    key = x.shape, x.dtype, index(axis), backend, kind, sos.shape, sos.dtype, sos.tobytes()
    return _ready.get(key) or _ready.find(key, lambda: InSections(sos, x, axis, zi, backend))


def _check_zi(zi: Array, rows: Sections, axes: Axes, x: Array) -> None:
    shape = (rows.sections, *axes.shape_of(x, 2, rows.filters))
    if tuple(zi.shape) != shape:
        raise ShapeError(
            f"Invalid zi shape {tuple(zi.shape)}, expected {shape}: for each of the {rows.sections} sections y's "
            f"shape, of x of shape {tuple(x.shape)}, with 2 numbers on the filtered axis {axes.axis}. Pass what the "
            "previous call returned, or multirec.signal.sosfilt_zi(sos) times the first samples."
        )
