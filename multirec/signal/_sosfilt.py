"""`sosfilt`: second-order sections in turn, or a bank of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._arrays import as_array, check_family, like
from ._coefficients import as_sections
from ._in_sections import InSections, ready_sections

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
    if type(x) is np.ndarray:
        sos = sos if type(sos) is np.ndarray else as_array(sos, "sos")
        zi = zi if zi is None or type(zi) is np.ndarray else as_array(zi, "zi")
        if type(sos) is np.ndarray and (zi is None or type(zi) is np.ndarray):
            return ready_sections(sos, x, axis, zi, backend)(x, zi)
    x, sos = as_array(x, "x"), as_sections(sos)
    zi = None if zi is None else as_array(zi, "zi")
    check_family(x, sos=sos, zi=zi)
    zi = None if zi is None else like(zi, x)
    return InSections(sos, x, axis, zi, backend)(x, zi)
