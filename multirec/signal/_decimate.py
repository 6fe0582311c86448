"""`decimate`: a low-pass filter, and then every q-th sample of it."""

from __future__ import annotations

import operator
import sys
from typing import Any

import numpy as np

from .._core.axes import concatenate, from_channels_time, to_channels_time
from .._sections import filtered
from ..errors import ArgumentError
from ._arrays import Array, as_array
from ._axes import axes_of
from ._coefficients import as_transfer, transfer
from ._filtfilt import filtfilt, sosfiltfilt
from ._lfilter import lfilter
from ._lowpass import chebyshev_sos, hamming_lowpass
from ._sosfilt import sosfilt
from ._types import cast, common_dtype, signal_in

__all__ = ["decimate"]


def decimate(
    x: Any,
    q: int,
    n: int | None = None,
    ftype: Any = "iir",
    axis: int = -1,
    zero_phase: bool = True,
    *,
    backend: str = "auto",
) -> Any:
    """Return every q-th sample along one axis after a low-pass filter, as `scipy.signal.decimate` does."""
    x, q = as_array(x, "x"), operator.index(q)
    n = None if n is None else operator.index(n)
    if q < 1:
        raise ArgumentError(f"q is the factor to decimate by, 1 or more, got {q}.")
    if isinstance(x, np.ndarray) and (x.dtype.kind in "biu" or x.dtype.char == "e"):
        x = x.astype(np.float64)
    n = 8 if n is None and ftype == "iir" else n
    b, a, sos = _design(ftype, q, n, x)
    if sos is not None and zero_phase:
        # said here, since inside of torch.compile nobody can look at sos
        padlen = 3 * (max(n, 1) + 1) if ftype == "iir" else None
        y = sosfiltfilt(sos, x, axis, padlen=padlen, backend=backend)
    elif sos is not None:
        y = sosfilt(sos, x, axis, backend=backend)
    elif a is not None:
        y = (filtfilt if zero_phase else lfilter)(b, a, x, axis, backend=backend)
    else:
        one = np.ones(1, b.dtype) if isinstance(b, np.ndarray) else [1.0]
        if zero_phase:
            return _centred(b, one, x, axis, q, backend)
        y = lfilter(b, one, x, axis, backend=backend)
    return y[_every(q, axis, y.ndim)]


def _design(ftype: Any, q: int, n: int | None, x: Array) -> tuple[Any, Any, Any]:
    """Return (b, None, None) of an FIR filter, (b, a, None), or (None, None, sos)."""
    if ftype == "iir":
        return None, None, _rounded(chebyshev_sos(n, 0.05, 0.8 / q), x)
    if ftype == "fir":
        return _rounded(hamming_lowpass((20 * q if n is None else n) + 1, 1 / q), x), None, None
    scipy = sys.modules.get("scipy.signal")
    if scipy is not None and isinstance(ftype, scipy.dlti):
        zeros, poles, gain = (getattr(ftype.to_zpk(), name) for name in ("zeros", "poles", "gain"))
        if len(poles) and not np.iscomplex(poles).any() and not np.iscomplex(gain):
            return None, None, scipy.zpk2sos(zeros, poles, gain)
        system = ftype.to_tf()
        return (system.num, system.den, None) if len(poles) else (system.num / system.den, None, None)
    raise ArgumentError(f"unknown ftype {ftype!r}. It is 'iir', 'fir' or a scipy.signal.dlti.")


def _rounded(design: list[Any], x: Array) -> Any:
    """Return a design in x's precision if it is NumPy's, which would be that of y otherwise."""
    return np.asarray(design, np.finfo(x.dtype).dtype) if isinstance(x, np.ndarray) and x.dtype.kind in "fc" else design


def _centred(b: Any, one: Any, x: Array, axis: int, q: int, backend: str) -> Array:
    """Return every q-th sample of an FIR filter that looks as far ahead as back."""
    b, a = as_transfer(b, one)
    dtype = common_dtype(x, b, a)
    filters = transfer(b, a, x, dtype)
    axes = axes_of(x, axis, bank=False)
    x = signal_in(x, dtype, widened=filters.complex)
    ahead, length = (b.shape[-1] - 1) // 2, x.shape[axes.axis]
    y, memory = filtered(axes.view(x), filters.feedforward, None, layout=axes.layout, backend=backend)
    y = to_channels_time(y, axes.layout)
    # the memory of an FIR filter is what it says after the end
    late = (ahead - length) % q if ahead < length else ahead - length
    y = concatenate((y[..., ahead::q], cast(memory[..., late:ahead:q], y.dtype)))
    return axes.restore(from_channels_time(y, axes.layout))


def _every(q: int, axis: int, rank: int) -> tuple[slice, ...]:
    places = [slice(None)] * rank
    places[axis] = slice(None, None, q)
    return tuple(places)
