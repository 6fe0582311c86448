"""Problems over designed filters, what is true of them, and how far stepping is from it: what all backends share."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias
from zlib import crc32

import numpy as np

from ..backend import COMPLEX_DTYPES, HALF_DTYPES
from ._stepping import Rows, Stepped, step
from .family import Filter
from .problems import Wide, round_to

__all__ = ["SEEDS", "Known", "Signal", "computed_dtype", "known_of", "mean_roots"]

SEEDS = 16
RUN_IN = 256
"""Samples before the block, of which the state is the end."""
STEADY = 100.0
"""The amplitude of a steady tone, over noise of 1."""

Signal: TypeAlias = Literal["noise", "steady"]


class Known(NamedTuple):
    """Rows are filters by seeds, the seeds of one filter together; `stepping` has one number a filter for each result."""

    rows: Rows
    truth: Stepped
    stepping: Stepped


@lru_cache(maxsize=256)
def known_of(filters: tuple[Filter, ...], dtype: str, length: int, signal: Signal, state: bool, varies: bool) -> Known:
    """Return the problem of filters of one order for x of `dtype`, its truth, and the mean errors of stepping.

    With `varies` the gradients of coefficients are those of every sample.
    """
    rows = _drawn(filters, dtype, length, signal, state)
    truth = step(rows, _wider(dtype), varies=varies)
    stepped = step(rows, computed_dtype(dtype), dtype if dtype in HALF_DTYPES else None, varies)
    errors = Stepped(*(mean_roots(got - want) for got, want in zip(stepped, truth, strict=True)))
    # rounding to float64 moves a truth by less than what is allowed anyway
    return Known(rows, Stepped(*map(_narrowed, truth)), errors)


def mean_roots(values: Wide) -> Wide:
    """Return the root mean square of each filter's rows."""
    squares = np.abs(values) ** 2
    return np.sqrt(_narrowed(squares.reshape(-1, SEEDS * (squares.size // len(squares))).mean(-1)))


def computed_dtype(dtype: str) -> str:
    """Return the precision that x of `dtype` is computed in."""
    return "float32" if dtype in HALF_DTYPES else dtype


def _wider(dtype: str) -> Any:
    """Return a precision whose errors count for nothing beside those of `dtype`."""
    if computed_dtype(dtype) in ("float32", "complex64"):
        return np.complex128 if dtype in COMPLEX_DTYPES else np.float64
    if np.finfo(np.longdouble).nmant < 63:
        raise NotImplementedError(
            f"errors in {dtype} cannot be measured here: NumPy's longdouble has {np.finfo(np.longdouble).nmant} bits "
            "on this machine, no more than float64. Measure on x86-64 or aarch64 Linux."
        )
    return np.clongdouble if dtype in COMPLEX_DTYPES else np.longdouble


def _narrowed(values: Wide) -> Wide:
    return values.astype(np.complex128 if np.iscomplexobj(values) else np.float64)


def _drawn(filters: tuple[Filter, ...], dtype: str, length: int, signal: Signal, state: bool) -> Rows:
    each = [
        _rows_of(filter_, max(len(other.feedforward) for other in filters), dtype, length, signal)
        for filter_ in filters
    ]
    x, *others = (np.concatenate(parts) for parts in zip(*each, strict=True))
    rows = Rows(x[:, RUN_IN:], *others)
    if not state:
        return rows
    q, p = rows.inputs.shape[-1], rows.outputs.shape[-1]
    run_in = rows._replace(x=x[:, :RUN_IN], grad_y=np.zeros((len(x), RUN_IN)))
    outputs = _narrowed(step(run_in, _wider(dtype)).outputs)
    return rows._replace(inputs=x[:, RUN_IN - q : RUN_IN], outputs=round_to(outputs, computed_dtype(dtype)))


def _rows_of(filter_: Filter, taps: int, dtype: str, length: int, signal: Signal) -> Rows:
    """Return all seeds of a filter, its feedforward with zeros up to `taps`; x begins before the block."""
    random = np.random.default_rng([crc32(filter_.name.encode()), length])
    is_complex = dtype in COMPLEX_DTYPES

    def noise(count: int) -> Wide:
        values: Wide = random.standard_normal((SEEDS, count, 2)) @ np.array([1, 1j])
        return values if is_complex else values.real

    b = np.zeros(taps, np.asarray(filter_.feedforward).dtype)
    b[: len(filter_.feedforward)] = filter_.feedforward
    a = np.array(filter_.feedback)
    x = noise(RUN_IN + length)
    if signal == "steady":
        phase = random.uniform(0, 2 * np.pi, (SEEDS, 1)) + _stopped(filter_) * np.arange(RUN_IN + length)
        x += STEADY * (np.exp(1j * phase) if is_complex else np.cos(phase))
    gradients = (round_to(noise(count), dtype) for count in (length, taps - 1, len(a)))
    zeros = (np.zeros((SEEDS, count)) for count in (taps - 1, len(a)))
    return Rows(round_to(x, dtype), np.tile(b, (SEEDS, 1)), np.tile(a, (SEEDS, 1)), *zeros, *gradients)


def _stopped(filter_: Filter) -> float:
    """Return the frequency, in rad a sample, that a filter lets through least: that of the zero nearest to the circle."""
    zeros = np.roots(filter_.feedforward)
    return float(np.angle(zeros[np.abs(np.abs(zeros) - 1).argmin()])) if len(zeros) else 0.0
