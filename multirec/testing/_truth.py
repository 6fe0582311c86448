"""Problems over designed filters, what is true of them, and how far stepping is from it: what all backends share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import Any, Literal, NamedTuple, TypeAlias
from zlib import crc32

import numpy as np

from .._core.problem import ComputeDtype, in_precision, real_precision
from ..backend import COMPLEX_DTYPES
from ._stepping import Rows, Stepped, step
from .family import Filter
from .problems import TapsKind, Wide, round_to

__all__ = ["SEEDS", "Known", "Trial", "known_of", "mean_roots"]

SEEDS = 16
RUN_IN = 256
"""Samples before the block, of which the state is the end."""
STEADY = 100.0
"""The amplitude of a steady tone, over noise of 1."""
SHORT = 2048
FEW = 48
LARGE = 1 << 22
"""Samples of all rows, from which on nothing but the last problem is remembered: they take about 32 bytes each."""

Signal: TypeAlias = Literal["noise", "steady"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Filters, and how they are called.

    Attributes
    ----------
    filters
        With coefficients that the precision computed in has; see `multirec.testing.family.family`.
    dtype
        Of x.
    compute_dtype
        What everything between x and y is computed in; None is x's precision.
    length
        T.
    rows
        Filters a call, as channels of one example where coefficients are static, else as examples of one channel. All
        the seeds of all filters of one order, if None.
    kind
        Of both sets of coefficients.
    signal
        White noise; or a steady tone under noise, where the numerator's zero is: a constant for a high-pass, the hum
        for a notch. y is then much smaller than what it is made of.
    state
        Whether a state goes in: that of the same signal, continued.
    reverse
        Whether time runs backwards.
    cuts
        Where the block is cut into calls, each continued with the state of the one before; without gradients.
    """

    filters: tuple[Filter, ...]
    dtype: str = "float32"
    compute_dtype: ComputeDtype | None = None
    length: int = 1000
    rows: int | None = None
    kind: TapsKind = "static"
    signal: Signal = "noise"
    state: bool = False
    reverse: bool = False
    cuts: tuple[int, ...] = ()

    def __str__(self) -> str:
        wide = f" in {self.compute_dtype}" if self.compute_dtype else ""
        cut = f"cut at {self.cuts}" if self.cuts else ""
        flags = (self.signal, "state" if self.state else "", "reverse" if self.reverse else "", cut)
        rows = f"{self.rows or 'all'} rows a call"
        return ", ".join(filter(None, (f"{self.dtype}{wide}, T = {self.length}", rows, self.kind, *flags)))

    @property
    def precision(self) -> str:
        """The data type that everything between x and y is computed in."""
        return in_precision(self.dtype, self.compute_dtype or real_precision(self.dtype))

    @property
    def stored(self) -> str | None:
        """The data type that signals are rounded to when they are kept; None where they are computed in it."""
        return None if self.dtype == self.precision else self.dtype

    @property
    def wider(self) -> Any:
        """A precision whose errors count for nothing beside those of the one computed in."""
        is_complex = self.dtype in COMPLEX_DTYPES
        if self.precision in ("float32", "complex64"):
            return np.complex128 if is_complex else np.float64
        if np.finfo(np.longdouble).nmant < 63:
            raise NotImplementedError(
                f"errors in {self.precision} cannot be measured here: NumPy's longdouble has no more bits than float64 "
                "on this machine. Measure on Linux."
            )
        return np.clongdouble if is_complex else np.longdouble


class Known(NamedTuple):
    """Filters of one order; rows are filters by seeds, the seeds of one filter together.

    `stepping` has stepping's errors: one number a filter for each result, the largest of some orders of operations.
    """

    filters: tuple[Filter, ...]
    rows: Rows
    truth: Stepped
    stepping: Stepped


def known_of(trial: Trial) -> tuple[Known, ...]:
    """Return what is known of a trial's filters, order by order."""
    varies: TapsKind = "time_varying" if trial.kind == "time_varying" else "static"
    shared = replace(trial, rows=None, reverse=False, cuts=(), kind=varies)
    remembered = _large if len(trial.filters) * SEEDS * trial.length > LARGE else _small
    return remembered(shared)


def _known(trial: Trial) -> tuple[Known, ...]:
    found: list[Known] = []
    in_order = sorted(trial.filters, key=lambda filter_: filter_.order)
    # steps cost as much for few rows as for many: an octave, or all of few filters, goes together, with lags of zeros,
    # which change nothing
    few = len(in_order) <= FEW
    for _, octave in groupby(in_order, lambda filter_: few or max(filter_.order - 1, 1).bit_length()):
        found += _stepped_together(tuple(octave), trial)
    return tuple(found)


_small, _large = lru_cache(maxsize=64)(_known), lru_cache(maxsize=1)(_known)


def _stepped_together(filters: tuple[Filter, ...], trial: Trial) -> list[Known]:
    varies = trial.kind == "time_varying"
    rows = _drawn(filters, trial)
    truth = step(rows, trial.wider, varies=varies)
    # one order of operations may err little by chance: few seeds make most of a gradient, and errors of products
    # with b and −2b cancel as x does. Fused ones are slow to emulate, and long signals leave less to chance.
    ways: list[dict[str, Any]] = [{}, {"descending": True}]
    if trial.signal == "steady" or trial.length < SHORT:
        ways.append({"fused": trial.wider})
    stepped = [step(rows, trial.precision, stored=trial.stored, varies=varies, **way) for way in ways]
    found, start = [], 0
    for p, group in groupby(filters, lambda filter_: filter_.order):
        own = tuple(group)
        part = slice(SEEDS * start, SEEDS * (start + len(own)))
        start += len(own)
        q = max(len(filter_.feedforward) for filter_ in own) - 1
        right, *wrong = (_narrowest(Stepped(*(each[part] for each in results)), q, p) for results in (truth, *stepped))
        errors = [[mean_roots(got - want) for got, want in zip(results, right, strict=True)] for results in wrong]
        # rounding to float64 moves a truth by less than what is allowed anyway
        kept = Stepped(*map(_narrowed, right))
        found.append(
            Known(
                own,
                _narrowest_rows(Rows(*(each[part] for each in rows)), q, p),
                kept,
                Stepped(*map(np.maximum.reduce, zip(*errors, strict=True))),
            )
        )
    return found


def _narrowest(results: Stepped, q: int, p: int) -> Stepped:
    """Leave out the lags above q and p."""
    return results._replace(
        outputs=_end(results.outputs, p),
        grad_feedforward=results.grad_feedforward[..., : q + 1],
        grad_feedback=results.grad_feedback[..., :p],
        grad_inputs=_end(results.grad_inputs, q),
        grad_outputs=_end(results.grad_outputs, p),
    )


def _narrowest_rows(rows: Rows, q: int, p: int) -> Rows:
    return rows._replace(
        feedforward=rows.feedforward[:, : q + 1],
        feedback=rows.feedback[:, :p],
        inputs=_end(rows.inputs, q),
        outputs=_end(rows.outputs, p),
        grad_inputs=_end(rows.grad_inputs, q),
        grad_outputs=_end(rows.grad_outputs, p),
    )


def _end(signal: Wide, count: int) -> Wide:
    return signal[:, signal.shape[1] - count :]


def mean_roots(values: Wide) -> Wide:
    """Return the root mean square of each filter's rows; 0 where there is nothing."""
    squares = (np.abs(values) ** 2).reshape(len(values) // SEEDS, -1)
    return _narrowed(np.sqrt(squares.sum(-1) / max(squares.shape[-1], 1)))


def _narrowed(values: Wide) -> Wide:
    return values.astype(np.complex128 if np.iscomplexobj(values) else np.float64)


def _drawn(filters: tuple[Filter, ...], trial: Trial) -> Rows:
    q = max(len(filter_.feedforward) for filter_ in filters) - 1
    p = max(filter_.order for filter_ in filters)
    each = [_rows_of(filter_, q, p, trial) for filter_ in filters]
    x, *others = (np.concatenate(parts) for parts in zip(*each, strict=True))
    rows = Rows(x[:, RUN_IN:], *others)
    if not trial.state:
        return rows
    run_in = rows._replace(x=x[:, :RUN_IN], grad_y=np.zeros((len(x), RUN_IN)))
    outputs = round_to(_narrowed(step(run_in, trial.wider).outputs), trial.precision)
    return rows._replace(inputs=x[:, RUN_IN - q : RUN_IN], outputs=outputs)


def _rows_of(filter_: Filter, q: int, p: int, trial: Trial) -> Rows:
    """Return all seeds of a filter, with lags of zeros up to q and p; x begins before the block."""
    random = np.random.default_rng([crc32(filter_.name.encode()), trial.length])
    is_complex = trial.dtype in COMPLEX_DTYPES

    def noise(count: int) -> Wide:
        values: Wide = random.standard_normal((SEEDS, count))
        return values + 1j * random.standard_normal((SEEDS, count)) if is_complex else values

    def widened(values: Wide, count: int, at_end: bool = True) -> Wide:
        more = count - values.shape[1]
        return np.pad(values, ((0, 0), (0, more) if at_end else (more, 0)))

    b, a = (np.tile(taps, (SEEDS, 1)) for taps in (filter_.feedforward, filter_.feedback))
    x = noise(RUN_IN + trial.length)
    if trial.signal == "steady":
        phase = random.uniform(0, 2 * np.pi, (SEEDS, 1)) + _stopped(filter_) * np.arange(RUN_IN + trial.length)
        x += STEADY * (np.exp(1j * phase) if is_complex else np.cos(phase))
    grad_y, *tails = (round_to(noise(count), trial.dtype) for count in (trial.length, b.shape[1] - 1, filter_.order))
    return Rows(
        round_to(x, trial.dtype),
        widened(b, q + 1),
        widened(a, p),
        np.zeros((SEEDS, q)),
        np.zeros((SEEDS, p)),
        grad_y,
        *(widened(tail, count, at_end=False) for tail, count in zip(tails, (q, p), strict=True)),
    )


def _stopped(filter_: Filter) -> float:
    """Return the frequency, in rad a sample, of the zero nearest to the circle: what a filter lets through least."""
    zeros = np.roots(filter_.feedforward)
    return float(np.angle(zeros[np.abs(np.abs(zeros) - 1).argmin()])) if len(zeros) else 0.0
