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
    """Return every q-th sample along one axis after a low-pass filter, as `scipy.signal.decimate` does.

    Parameters
    ----------
    x, axis, backend
        As in `lfilter`; integers are float64 in NumPy.
    q
        The factor to decimate by, 1 or more.
    n
        The order of the filter; None is 8, or 20·q of an FIR filter.
    ftype
        ``"iir"``, Chebyshev's of the first kind with a ripple of 0.05 dB and its edge at 0.8 of the new Nyquist
        frequency; ``"fir"``, a sinc in a Hamming window; or a `scipy.signal.dlti`.
    zero_phase
        Whether the filter delays nothing: run in both directions, or centred if it is FIR.

    Returns
    -------
    y
        As x, with ⌈T / q⌉ samples.

    Raises
    ------
    ArgumentError, AxisError, DtypeError
        As from `filtfilt`; q below 1; n below 0; an unknown `ftype`.

    Example
    -------
    >>> import numpy as np
    >>> from multirec import signal
    >>> signal.decimate(np.arange(100.0), 20).shape
    (5,)
    """
    x, q = as_array(x, "x"), operator.index(q)
    n = None if n is None else operator.index(n)
    if q < 1:
        raise ArgumentError(f"q is the factor to decimate by, 1 or more, got {q}.")
    if n is not None and n < 0:
        raise ArgumentError(f"n is the order of the filter, 0 or more, or None for the usual one, got {n}.")
    if isinstance(x, np.ndarray) and (x.dtype.kind in "biu" or x.dtype.char == "e"):
        x = x.astype(np.float64)
    if ftype == "fir":
        b = _rounded(hamming_lowpass((20 * q if n is None else n) + 1, 1 / q), x)
        return _fir(b, x, axis, q, zero_phase, backend)
    if ftype == "iir":
        order = 8 if n is None else n
        sos = _rounded(chebyshev_sos(order, 0.05, 0.8 / q), x)
        # said, since inside of torch.compile nobody can look at sos
        return _iir(sos, x, axis, q, zero_phase, backend, 3 * (max(order, 1) + 1))
    scipy = sys.modules.get("scipy.signal")
    if scipy is None or not isinstance(ftype, scipy.dlti):
        raise ArgumentError(f"unknown ftype {ftype!r}. It is 'iir', 'fir' or a scipy.signal.dlti.")
    system, ratio = ftype.to_zpk(), ftype.to_tf()
    if not len(system.poles):
        return _fir(ratio.num / ratio.den, x, axis, q, zero_phase, backend)
    if np.iscomplex(system.poles).any() or np.iscomplex(system.gain):
        y = (filtfilt if zero_phase else lfilter)(ratio.num, ratio.den, x, axis, backend=backend)
        return y[_every(q, axis, y.ndim)]
    return _iir(scipy.zpk2sos(system.zeros, system.poles, system.gain), x, axis, q, zero_phase, backend)


def _iir(sos: Any, x: Array, axis: int, q: int, zero_phase: bool, backend: str, padlen: int | None = None) -> Array:
    if zero_phase:
        y = sosfiltfilt(sos, x, axis, padlen=padlen, backend=backend)
    else:
        y = sosfilt(sos, x, axis, backend=backend)
    return y[_every(q, axis, y.ndim)]


def _fir(b: Any, x: Array, axis: int, q: int, zero_phase: bool, backend: str) -> Array:
    one = np.ones(1, b.dtype) if isinstance(b, np.ndarray) else [1.0]
    if zero_phase:
        return _centred(b, one, x, axis, q, backend)
    y = lfilter(b, one, x, axis, backend=backend)
    return y[_every(q, axis, y.ndim)]


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
