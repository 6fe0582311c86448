"""Responses to an impulse."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from .._core.axes import concatenate, zeros
from .._core.scalars import whole
from .._filters.bank import RecurrenceBank
from ._subject import Section, target_of, wide_sections

__all__ = ["impulse_response"]

Array: TypeAlias = Any


def impulse_response(bank: Any, length: int) -> Array:
    """Return the first samples of every filter's response to an impulse.

    Parameters
    ----------
    bank
        As in `frequency_response`.
    length
        How many samples T.

    Returns
    -------
    response
        (…, C, T) with the batch axes of per-example coefficients: in the coefficients' library, in double precision
        where the library has it, differentiable in the coefficients as `multirec.recurrence` is. It is computed by the
        backend that ``"auto"`` picks. Sample k comes k samples after the impulse in the direction that the bank runs:
        of a bank with `reverse`, before it.

    Raises
    ------
    ArgumentError
        `bank` is none, or `length` is not a whole number of at least 0.

    Example
    -------
    >>> import multirec as mr
    >>> impulse_response(mr.RecurrenceBank.from_ba([[1, 1]], [[1, -0.5]]), 4)
    array([[1.   , 1.5  , 0.75 , 0.375]])
    """
    count = whole("length", length, 0)
    sections = wide_sections(bank)
    y = _impulse(sections, count)
    for feedforward, feedback, _ in sections:
        y, _ = RecurrenceBank(feedforward=feedforward, feedback=feedback)(y)
    return y if _batch(sections) else y[0]


def _impulse(sections: list[Section], length: int) -> Array:
    """Return an impulse (batch…, 1, T), of one example where there is no batch."""
    taps = [part for section in sections for part in section[:2]]
    target, shape = target_of(taps).real, (*(_batch(sections) or (1,)), 1)
    one = zeros(target, (*shape, 1)) + 1
    return concatenate((one, zeros(target, (*shape, length))))[..., :length]


def _batch(sections: list[Section]) -> tuple[int, ...]:
    taps = [part for section in sections for part in section[:2] if part is not None]
    return np.broadcast_shapes(*(tuple(part.shape[:-2]) for part in taps))
