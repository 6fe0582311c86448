"""What samples say: medians with intervals, paired ratios, the floor of a run, and verdicts.

Ratios are taken round by round, which cancels the drift of the machine, and are summarised by their median.
Intervals are percentile bootstraps with a fixed seed: the same samples always give the same figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from .format import Verdict

Array: TypeAlias = npt.NDArray[Any]

ENOUGH = 8
"""Rounds from which a bootstrap is used; fewer are summarised by their range, widened by the floor."""
_LEVEL = 0.95
_RESAMPLES = 1000
# two processes of one program differ by about this much by where their memory happens to lie
_LEAST_FLOOR = 0.04
# how near 1 a tie has to be, where the floor is lower
_COARSE = 0.1
# and the least that a handful of rounds can exclude
_LEAST_GUESSED = 0.05


class Interval(NamedTuple):
    """A median and its 95 % interval."""

    median: float
    low: float
    high: float


class Ratio(NamedTuple):
    """How many times faster than the reference, over how many common rounds."""

    ratio: float
    low: float
    high: float
    rounds: int


def spread(samples: Sequence[float]) -> float | None:
    """Return the interquartile range, from two samples on.

    Example
    -------
    >>> spread([1.0, 2.0, 3.0]), spread([1.0])
    (1.0, None)
    """
    if len(samples) < 2:
        return None
    low, high = np.quantile(samples, [0.25, 0.75])
    return float(high - low)


def interval(samples: Sequence[float], seed: int = 0) -> Interval | None:
    """Return the median with its bootstrap interval; the range where there are fewer than eight; None of none.

    Example
    -------
    >>> interval([2.0, 1.0, 3.0])
    Interval(median=2.0, low=1.0, high=3.0)
    """
    if not samples:
        return None
    values = np.asarray(samples, np.float64)
    median = float(np.median(values))
    if len(values) < ENOUGH:
        return Interval(median, float(values.min()), float(values.max()))
    return Interval(median, *bounds(resampled(values, np.random.default_rng(seed), _RESAMPLES)))


def resampled(samples: Sequence[float] | Array, rng: np.random.Generator, count: int) -> Array:
    """Return the medians of `count` bootstrap samples."""
    values = np.asarray(samples, np.float64)
    medians: Array = np.median(values[rng.integers(len(values), size=(count, len(values)))], axis=1)
    return medians


def bounds(resamples: Array) -> tuple[float, float]:
    """Return the ends of the 95 % percentile interval."""
    low, high = np.quantile(resamples, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)


def paired(reference: dict[int, float], contestant: dict[int, float]) -> list[float]:
    """Return reference time over contestant time, for each round (the keys) that both took part in.

    Example
    -------
    >>> paired({0: 2.0, 1: 3.0}, {1: 1.0, 2: 1.0})
    [3.0]
    """
    return [reference[turn] / contestant[turn] for turn in sorted(reference.keys() & contestant.keys())]


def ratio(rounds: Sequence[float], noise: float | None, seed: int = 0) -> Ratio | None:
    """Summarise per-round ratios; few rounds are only as good as the `noise` of one.

    Example
    -------
    >>> ratio([2.0, 2.0], noise=0.25)
    Ratio(ratio=2.0, low=1.6, high=2.5, rounds=2)
    """
    if not rounds:
        return None
    logs = interval([float(value) for value in np.log(rounds)], seed)
    assert logs is not None
    slack = np.log1p(noise) if noise is not None and len(rounds) < ENOUGH else 0.0
    median, low, high = (round(float(np.exp(v)), 12) for v in (logs.median, logs.low - slack, logs.high + slack))
    return Ratio(median, low, high, len(rounds))


def noise(rounds: Sequence[float]) -> float | None:
    """Return how far from 1 the ratios of the reference to its own hidden copy lie in a single round.

    That is the 95 % quantile; of fewer than eight rounds, twice the largest, at least 5 %.

    Example
    -------
    >>> noise([1.0] * 10), noise([1.0, 0.8])
    (0.0, 0.5625)
    """
    if not rounds:
        return None
    sizes = np.abs(np.log(rounds))
    if len(rounds) < ENOUGH:
        return max(round(float(np.expm1(2 * sizes.max())), 6), _LEAST_GUESSED)
    return round(float(np.expm1(np.quantile(sizes, _LEVEL))), 6)


def floor(rounds: Sequence[float]) -> float | None:
    """Return the A/A floor: how far from 1 the median ratio of the reference to its own hidden copy may lie.

    That is the further end of its 95 % interval, at least 4 %. Of fewer than eight rounds it is the noise of one.

    Example
    -------
    >>> floor([1.0] * 10), floor([1.0, 0.8])
    (0.04, 0.5625)
    """
    if len(rounds) < ENOUGH:
        return noise(rounds)
    found = interval([float(value) for value in np.log(rounds)])
    assert found is not None
    return max(round(float(np.expm1(max(-found.low, found.high))), 6), _LEAST_FLOOR)


def verdict(found: Ratio, floor: float | None) -> Verdict:
    """Return what a ratio may be called.

    Faster or slower: its whole interval is further from 1 than the floor. A tie: neither, and the interval lies within
    three times the floor, or within 10 %. Else nothing is clear.

    Example
    -------
    >>> verdict(Ratio(1.01, 0.99, 1.03, 30), 0.02), verdict(Ratio(0.91, 0.9, 0.92, 30), 0.02)
    ('tie', 'slower')
    >>> verdict(Ratio(1.1, 0.99, 1.2, 30), 0.02), verdict(Ratio(20.0, 19.0, 21.0, 30), None)
    ('unclear', 'unclear')
    """
    if floor is None:
        return "unclear"
    if found.low > 1 + floor:
        return "faster"
    if found.high < 1 / (1 + floor):
        return "slower"
    near = 1 + max(3 * floor, _COARSE)
    return "tie" if found.low >= 1 / near and found.high <= near else "unclear"


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the power with which times grow with sizes, by least squares of the logarithms.

    Example
    -------
    >>> round(exponent([1, 2, 4], [3.0, 12.0, 48.0]), 6)
    2.0
    """
    slope, _ = np.polyfit(np.log(sizes), np.log(seconds), 1)
    return float(slope)
