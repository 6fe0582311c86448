"""`lfilter`: one filter of any order, or a bank of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._recurrence import recurrence
from ._arrays import as_array, check_family, like
from ._axes import axes_of
from ._coefficients import as_transfer, transfer
from ._continued import continued
from ._ready import ready, ready_from
from ._types import common_dtype, memory_in, signal_in

__all__ = ["lfilter"]


def lfilter(b: Any, a: Any, x: Any, axis: int = -1, zi: Any = None, *, backend: str = "auto") -> Any:
    """Filter along one axis with an IIR or FIR filter, as `scipy.signal.lfilter` does, or with a bank of them.

    a[0]·y[t] = Σ_j b[j]·x[t−j] − Σ_k a[k]·y[t−k], in transposed direct form II.

    Parameters
    ----------
    b, a
        Numerator and denominator, (n,) each; (C, n) is a bank of C filters, and the other is then (C, m), (1, m) or
        (m,). They are divided by a[..., 0], and may be NumPy's or lists whatever x is.
    x
        Array of NumPy, torch, JAX or CuPy, or a list, of any number of axes. For a bank the axis before the filtered
        one, once that is moved last, has C channels, or 1 that serves all filters, as x of one axis does.
    axis
        The axis that is filtered.
    zi
        What the next n = max(len(a), len(b)) − 1 outputs get from samples before the block: of y's shape, with n
        numbers on the filtered axis; the other axes may be 1. None is zeros. See `lfilter_zi` and `lfiltic`.
    backend
        As in `multirec.recurrence`.

    Returns
    -------
    y
        In x's library, of x's shape; of a bank (…, C, T) with T moved back to `axis`, and (C, T) if x has one axis. Its
        data type is `numpy.result_type` of all NumPy arrays; in other libraries it is what theirs promote to, for
        which NumPy's arrays and lists do not count.
    zf
        Only with `zi`: that of the next block, in the precision that was computed in.

    Raises
    ------
    ArgumentError, ShapeError, AxisError
        ValueErrors: shapes that do not fit together, or a[..., 0] = 0. Where values cannot be looked at (gradients,
        compiled code, devices), such a filter alone becomes infinite or NaN.
    UnsupportedError
        A NotImplementedError: NumPy's arrays have no floating-point type among them, as in SciPy.
    DtypeError
        A TypeError: longdouble and object, which SciPy takes.

    Example
    -------
    >>> from multirec import signal
    >>> signal.lfilter([1], [2, -1], [2, 0, 0.0])
    array([1.  , 0.5 , 0.25])
    >>> signal.lfilter([[1], [2]], [1, -0.5], [1, 0, 0.0])
    array([[1.  , 0.5 , 0.25],
           [2.  , 1.  , 0.5 ]])
    """
    if type(x) is np.ndarray:
        b = b if type(b) is np.ndarray else as_array(b, "b")
        a = a if type(a) is np.ndarray else as_array(a, "a")
        if type(b) is np.ndarray and type(a) is np.ndarray:
            if zi is None:
                return ready(b, a, x, axis, backend)(x)
            if type(zi) is np.ndarray:
                return ready_from(b, a, x, axis, zi, backend)(x, zi)
    x, (b, a) = as_array(x, "x"), as_transfer(b, a)
    zi = None if zi is None else as_array(zi, "zi")
    check_family(x, b=b, a=a, zi=zi)
    zi = None if zi is None else like(zi, x)
    dtype = common_dtype(x, b, a, zi=zi)
    filters = transfer(b, a, x, dtype)
    axes = axes_of(x, axis, bank=filters.bank)
    axes.check_filters(x, filters.filters, filters.source)
    x = signal_in(x, dtype, widened=filters.complex)
    if zi is None:
        taps = filters.feedforward, filters.feedback
        y, _ = recurrence(axes.view(x), feedforward=taps[0], feedback=taps[1], layout=axes.layout, backend=backend)
        return axes.restore(y)
    zi = axes.expanded(zi, x, filters.order, filters.filters)
    memory = axes.memory_of(memory_in(zi, x, dtype))
    y, memory = continued(axes.view(x), filters, memory, axes.layout, False, backend)
    return axes.restore(y), axes.zi_of(memory)
