"""Where zi comes from: a filter at rest, or the samples before the block."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.axes import namespace, zeros
from ..errors import ShapeError
from ._arrays import Array, as_array, host_values, like, reference_of
from ._coefficients import as_sections, as_transfer, sections, transfer
from ._steady import section_steady, steady
from ._types import cast, common_dtype

__all__ = ["lfilter_zi", "lfiltic", "sosfilt_zi"]


def lfilter_zi(b: Any, a: Any) -> Any:
    """Return the zi of a filter that has been given 1 for ever, as `scipy.signal.lfilter_zi` does, or of a bank.

    Times the first sample of x, it has `lfilter` begin as if x had always had that value.

    Parameters
    ----------
    b, a
        As in `lfilter`; leading zeros of an `a` of one axis are left out.

    Returns
    -------
    zi
        (n,), or (C, n) of a bank, with n = max(len(a), len(b)) − 1; in the library of b and a, which it is
        differentiated in.

    Raises
    ------
    ArgumentError
        A filter with a pole at z = 1, which never comes to rest.

    Example
    -------
    >>> from multirec import signal
    >>> zi = signal.lfilter_zi([1], [1, -0.5])
    >>> signal.lfilter([1], [1, -0.5], [3, 3.0], zi=3 * zi)[0]
    array([6., 6.])
    """
    b, a = as_transfer(b, a)
    reference = reference_of(b=b, a=a)
    filters = transfer(b, _without_leading_zeros(a), reference, common_dtype(reference, b, a, floating=True))
    found = steady(filters)
    return found if filters.bank else found[0]


def sosfilt_zi(sos: Any) -> Any:
    """Return the zi of sections that have been given 1 for ever, as `scipy.signal.sosfilt_zi` does, or of a bank.

    Parameters
    ----------
    sos
        As in `sosfilt`; a0 need not be 1.

    Returns
    -------
    zi
        (S, 2), or (S, C, 2) of a bank, in the library of sos.

    Raises
    ------
    ArgumentError
        As from `lfilter_zi`.

    Example
    -------
    >>> from multirec import signal
    >>> signal.sosfilt_zi([[1, 0, 0, 1, -0.5, 0], [1, 1, 0, 1, 0, 0]])
    array([[1., 0.],
           [2., 0.]])
    """
    sos = as_sections(sos)
    rows = sections(sos, sos, common_dtype(sos, floating=True), any_leading=True)
    found = section_steady(rows)
    return found.swapaxes(0, 1) if rows.bank else found[0]


def lfiltic(b: Any, a: Any, y: Any, x: Any = None) -> Any:
    """Return the zi that follows on past outputs y and inputs x, as `scipy.signal.lfiltic` does, or of a bank.

    Parameters
    ----------
    b, a
        As in `lfilter`.
    y, x
        Past outputs and inputs (…, samples), the newest first: y[t−1], y[t−2], …; of a bank (…, C or 1, samples). What
        is missing of len(a) − 1 and len(b) − 1 samples is 0, and so is an x of None.

    Returns
    -------
    zi
        (…, n) with n = max(len(a), len(b)) − 1; of a bank (…, C, n).

    Raises
    ------
    ArgumentError, ShapeError, UnsupportedError, DtypeError
        As from `lfilter`.

    Example
    -------
    >>> from multirec import signal
    >>> signal.lfiltic([1, 2], [1, -0.5], y=[4.0], x=[3.0])
    array([8.])
    """
    b, a = as_transfer(b, a)
    y, x = as_array(y, "y"), None if x is None else as_array(x, "x")
    reference = reference_of(y=y, x=x, b=b, a=a)
    dtype = common_dtype(reference, *(part for part in (b, a, y, x) if part is not None), floating=True)
    filters = transfer(b, a, reference, dtype)
    if filters.bank:
        _check_channels(filters.filters, y=y, x=x)
    # of newest samples first, the number m of the memory gets those that are still to come m samples later
    past = [(filters.feedforward[..., 1:], x), (filters.feedback, y)]
    known = [
        (like(taps if filters.bank else taps[0], reference), cast(like(samples, reference), dtype))
        for taps, samples in past
        if taps is not None and samples is not None
    ]
    lead = np.broadcast_shapes(tuple(y.shape[:-1]), (filters.filters,) if filters.bank else ())
    blank = cast(zeros(reference, lead), dtype)
    columns = [sum((_still_to_come(*part, m) for part in known), start=blank) for m in range(filters.order)]
    return namespace(reference).stack(columns, -1) if columns else blank[..., None][..., :0]


def _still_to_come(taps: Array, newest_first: Array, m: int) -> Array:
    """Return Σ_k taps[m + k] · samples[k]."""
    count = min(taps.shape[-1] - m, newest_first.shape[-1])
    return (taps[..., m : m + count] * newest_first[..., :count]).sum(-1) if count > 0 else 0


def _without_leading_zeros(a: Array) -> Array:
    values = host_values(a) if a.ndim == 1 else None
    if values is None or not values.any():
        return a
    return a[int(np.argmax(values != 0)) :]


def _check_channels(filters: int, **histories: Array | None) -> None:
    for name, past in histories.items():
        if past is not None and (past.ndim < 2 or past.shape[-2] not in (1, filters)):
            raise ShapeError(
                f"{name} has shape {tuple(past.shape)}; for a bank of {filters} filters it is (…, {filters}, samples), "
                "the newest sample first, or (…, 1, samples) for all of them."
            )
