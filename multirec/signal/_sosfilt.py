"""`sosfilt`: second-order sections in turn, or a bank of them."""

from __future__ import annotations

from typing import Any

from .._sections import cascade
from ..errors import ShapeError
from ._arrays import Array, as_array, check_family, like
from ._axes import Axes, axes_of
from ._coefficients import Sections, as_sections, sections
from ._types import common_dtype, memory_in, signal_in

__all__ = ["sosfilt"]


def sosfilt(sos: Any, x: Any, axis: int = -1, zi: Any = None, *, backend: str = "auto") -> Any:
    """Filter along one axis with second-order sections in turn, as `scipy.signal.sosfilt` does, or with a bank.

    Parameters
    ----------
    sos
        Sections (S, 6), each row b0, b1, b2, a0, a1, a2, or (C, S, 6) for a bank of C filters. a0 is 1 in NumPy's, as
        SciPy demands; tensors of other libraries are divided by it.
    x, axis, backend
        As in `lfilter`.
    zi
        The memory of each section, (S, …): behind S y's shape, with 2 numbers on the filtered axis. None is zeros. See
        `sosfilt_zi`.

    Returns
    -------
    y
        As from `lfilter`.
    zf
        Only with `zi`: that of the next block, in the precision that was computed in.

    Raises
    ------
    ArgumentError, ShapeError, AxisError, UnsupportedError, DtypeError
        As from `lfilter`.

    Example
    -------
    >>> from multirec import signal
    >>> y, zf = signal.sosfilt([[1, 0, 0, 1, -0.5, 0]], [1, 0, 0.0], zi=[[0, 0]])
    >>> y
    array([1.  , 0.5 , 0.25])
    >>> zf
    array([[0.125, 0.   ]])
    """
    x, sos = as_array(x, "x"), as_sections(sos)
    zi = None if zi is None else as_array(zi, "zi")
    check_family(x, sos=sos, zi=zi)
    zi = None if zi is None else like(zi, x)
    dtype = common_dtype(x, sos, zi=zi)
    rows = sections(sos, x, dtype)
    axes = axes_of(x, axis, bank=rows.bank)
    axes.check_filters(x, rows.filters, rows.source)
    x = signal_in(x, dtype, widened=rows.complex)
    memory = None
    if zi is not None:
        _check_zi(zi, rows, axes, x)
        memory = axes.section_memory_of(memory_in(zi, x, dtype))
    y, memory, _ = cascade(axes.view(x), rows.taps, memory, layout=axes.layout, backend=backend)
    y = axes.restore(y)
    return y if zi is None else (y, axes.section_zi_of(memory))


def _check_zi(zi: Array, rows: Sections, axes: Axes, x: Array) -> None:
    shape = (rows.sections, *axes.shape_of(x, 2, rows.filters))
    if tuple(zi.shape) != shape:
        raise ShapeError(
            f"Invalid zi shape {tuple(zi.shape)}, expected {shape}: for each of the {rows.sections} sections y's "
            f"shape, of x of shape {tuple(x.shape)}, with 2 numbers on the filtered axis {axes.axis}. Pass what the "
            "previous call returned, or multirec.signal.sosfilt_zi(sos) times the first samples."
        )
