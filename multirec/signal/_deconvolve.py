"""`deconvolve`: division of polynomials, which is a recurrence."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.axes import concatenate
from .._sections import filtered
from ..errors import ShapeError
from ._arrays import Array, as_array, like, reference_of
from ._coefficients import transfer
from ._types import cast, common_dtype

__all__ = ["deconvolve"]


def deconvolve(signal: Any, divisor: Any, *, backend: str = "auto") -> tuple[Any, Any]:
    """Return (quotient, remainder) of one sequence by another, as `scipy.signal.deconvolve` does.

    Parameters
    ----------
    signal, divisor
        Sequences (N,) and (D,), such that signal = convolve(divisor, quotient) + remainder.
    backend
        As in `multirec.recurrence`.

    Returns
    -------
    quotient
        (N − D + 1,), or (0,) if the divisor is longer.
    remainder
        (N,); at least float64 in NumPy, or the signal as it is if the divisor is longer.

    Raises
    ------
    ArgumentError, ShapeError
        The divisor begins with 0, or one of them is empty or has more than one axis.

    Example
    -------
    >>> from multirec import signal
    >>> signal.deconvolve([2, 5, 3.0], [1, 1.0])
    (array([2., 3.]), array([0., 0., 0.]))
    """
    signal, divisor = (_sequence(part, name) for part, name in ((signal, "signal"), (divisor, "divisor")))
    reference = reference_of(signal=signal, divisor=divisor)
    signal, divisor = like(signal, reference), like(divisor, reference)
    count = signal.shape[0] - divisor.shape[0] + 1
    double = [np.zeros(0)] if isinstance(reference, np.ndarray) else []
    dtype = common_dtype(signal, divisor, *double)
    numbers = cast(signal, dtype)[None, None]
    if count < 1:
        return numbers[0, 0, :0], signal
    inverse = transfer(np.ones(1), divisor, signal, dtype)
    quotient, _ = filtered(numbers[..., :count], inverse.feedforward, inverse.feedback, backend=backend)
    # the memory of an FIR filter is what it says after the end
    product, rest = filtered(quotient, cast(divisor, dtype)[None], None, backend=backend)
    return quotient[0, 0], (numbers - concatenate((product, cast(rest, dtype))))[0, 0]


def _sequence(values: Any, name: str) -> Array:
    values = as_array(values, name)
    values = values.reshape(1) if values.ndim == 0 else values
    if values.ndim != 1 or not values.shape[0]:
        raise ShapeError(
            f"Parameter {name} must be non-empty and have one axis, got shape {tuple(values.shape)}. Pass one sequence."
        )
    return values
