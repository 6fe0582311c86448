"""What is analysed: the sections of a bank, a cascade or a layer, and their coefficients in double precision."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._core.arrays import name_of
from .._core.axes import cast_to
from .._core.problem import in_precision
from .._core.scalars import check_sample_rate
from .._engine.precision import has_float64
from .._filters.bank import RecurrenceBank
from .._filters.cascade import RecurrenceCascade
from ..errors import ArgumentError
from ..signal._arrays import like

__all__ = ["Section", "rate_of", "sections_of", "target_of", "wide_sections"]

Array: TypeAlias = Any


def rate_of(sample_rate: Any) -> float | None:
    """Return the sample rate as a float, or None; raise unless it is one of these."""
    return None if sample_rate is None else check_sample_rate(sample_rate)


class Section(NamedTuple):
    """Coefficients of recurrences that run in turn with others, in one library and precision; None is 1, or none."""

    feedforward: Array | None
    feedback: Array | None
    reverse: bool


def sections_of(subject: Any) -> tuple[RecurrenceBank, ...]:
    """Return the banks that run in turn, one for a bank."""
    if isinstance(subject, RecurrenceBank):
        return (subject,)
    if isinstance(subject, RecurrenceCascade):
        return subject.sections
    if hasattr(subject, "to_bank"):
        return sections_of(subject.to_bank())
    raise ArgumentError(
        "filters to analyse are a RecurrenceBank, a RecurrenceCascade or a layer of multirec.nn (anything with a "
        f"method to_bank), got {type(subject).__module__}.{type(subject).__qualname__}. Make a bank of SciPy's designs "
        "with RecurrenceBank.from_ba(b, a) or from_sos(sos); of a Chain take the unit that is meant."
    )


def wide_sections(subject: Any) -> list[Section]:
    """Return the sections with coefficients of one library, in double precision where it has one."""
    banks = sections_of(subject)
    target = target_of([part for bank in banks for part in (bank.feedforward, bank.feedback)])
    return [Section(_wide(bank.feedforward, target), _wide(bank.feedback, target), bank.reverse) for bank in banks]


def target_of(arrays: list[Array | None]) -> Array:
    """Return the array whose library and device the others are to be in: the first that is not NumPy's."""
    given = [array for array in arrays if array is not None]
    return next((array for array in given if not isinstance(array, np.ndarray)), given[0])


def _wide(taps: Array | None, target: Array) -> Array | None:
    if taps is None:
        return None
    taps = like(taps, target)
    return cast_to(taps, in_precision(name_of(taps.dtype), "float64" if has_float64(taps) else "float32"))
