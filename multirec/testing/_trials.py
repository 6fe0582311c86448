"""Which trials a conformance suite makes: lengths around the blocks and segments of kernels, few rows and many."""

from __future__ import annotations

from dataclasses import replace

from ..backend import HALF_DTYPES
from ._truth import Trial
from .family import Filter, family

__all__ = ["long_trials", "segment_trials", "trials"]

EDGES = (1, 2, 15, 16, 17, 63, 64, 65)
SEGMENT = 1 << 14
"""Kernels cut long signals of few rows from here on."""


def trials(dtype: str) -> tuple[Trial, ...]:
    """Return small trials, every designed filter among them: seconds, also for a loop over samples in Python."""
    filters = family(dtype)
    few = _some(filters, 4)
    short = Trial(filters=few, dtype=dtype, length=300, state=True)
    if dtype in ("complex64", "complex128"):
        return short, replace(short, filters=_some(filters, 8, 3), rows=64, kind="per_example", reverse=True)
    cut = replace(short, filters=_some(filters, 4, 2), cuts=(1, 17, 150))
    if dtype in HALF_DTYPES:
        return short, cut, replace(cut, filters=_some(family("float64"), 4), compute_dtype="float64")
    edges = (
        Trial(filters=_some(filters, 8, i), dtype=dtype, length=length, state=True, reverse=i % 2 == 1)
        for i, length in enumerate(EDGES)
    )
    wide = (replace(short, filters=_some(family("float64"), 4), compute_dtype="float64"),) if dtype == "float32" else ()
    return (
        Trial(filters=filters, dtype=dtype, length=200, state=True),
        Trial(filters=few, dtype=dtype, length=257, kind="per_example", signal="steady", reverse=True),
        Trial(filters=_some(filters, 4, 1), dtype=dtype, length=129, rows=64, kind="time_varying", state=True),
        cut,
        *wide,
        *edges,
    )


def segment_trials(dtype: str) -> tuple[Trial, ...]:
    """Return trials of few rows and many samples, for kernels that cut time into segments: a loop takes too long."""
    hard, orders = _hardest(family(dtype), 5), _of_orders(family(dtype), (1, 3, 4, 8, 16))
    return (
        Trial(filters=hard[:2], dtype=dtype, length=SEGMENT - 1, rows=1, reverse=True),
        Trial(filters=hard[:1], dtype=dtype, length=SEGMENT + 3, rows=8, state=True),
        Trial(filters=hard, dtype=dtype, length=SEGMENT, rows=3, kind="per_example", signal="steady"),
        Trial(filters=hard[1:4], dtype=dtype, length=20_000, rows=1, state=True, cuts=(3_000, SEGMENT + 1)),
        Trial(filters=orders, dtype=dtype, length=SEGMENT + 1, rows=8, state=True),
        Trial(filters=hard[:2], dtype=dtype, length=SEGMENT + 1, rows=8, kind="time_varying", state=True),
    )


def long_trials(dtype: str) -> tuple[Trial, ...]:
    """Return trials of minutes: the whole family at every length and number of rows."""
    filters = family(dtype)
    thousands = tuple(filter_ for filter_ in filters if filter_.order == 2) * 3
    chunks = [filters[start::8] for start in range(8)]
    return (
        Trial(filters=thousands, dtype=dtype, length=300, state=True),
        *(Trial(filters=chunk, dtype=dtype, length=20_000, rows=1, state=True) for chunk in chunks),
        *(
            Trial(filters=chunk, dtype=dtype, length=SEGMENT + 1, rows=3, signal="steady", reverse=True)
            for chunk in chunks
        ),
        *(Trial(filters=chunk, dtype=dtype, length=2_000, rows=4, kind="time_varying", state=True) for chunk in chunks),
        Trial(filters=_hardest(filters, 5), dtype=dtype, length=100_000, rows=1, state=True),
        Trial(filters=_hardest(filters, 1), dtype=dtype, length=1_000_000, rows=1),
    )


def _some(filters: tuple[Filter, ...], every: int, first: int = 0) -> tuple[Filter, ...]:
    return filters[first::every]


def _hardest(filters: tuple[Filter, ...], count: int) -> tuple[Filter, ...]:
    """Return filters whose states are large beside what they let through: where a cut costs most."""
    names = (
        "high-pass 20 Hz @ 48000",
        "notch 50 Hz, Q 30 @ 48000",
        "double pole 0.9999, zeros at 1",
        "low shelf 30 Hz, +12 dB",
        "resonator 0.9999 at 0.01",
    )
    return tuple(filter_ for filter_ in filters if filter_.name in names[:count])


def _of_orders(filters: tuple[Filter, ...], orders: tuple[int, ...]) -> tuple[Filter, ...]:
    """Return one filter of each order, the last."""
    last = {filter_.order: filter_ for filter_ in filters}
    return tuple(last[order] for order in orders)
