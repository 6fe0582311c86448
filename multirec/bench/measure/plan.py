"""Arithmetic of a run: what a whole call will take, how the budget is shared, which members run in which round."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import ceil, log
from typing import TypeAlias

LEAST = 3
_LONG_ENOUGH = 0.05
_SHORTEST = 16
_WORTH_COMPILING = 8000
# a call on shorter signals, in seconds
_LONG_CALL = 0.25
_STEEPEST = 3.0
FIRST_LENGTH = 8
"""The length of a first, untimed call."""


Short: TypeAlias = tuple[int, float]
"""A short run: its length and its seconds."""


def probe_lengths(length: int, compiles: bool = False) -> list[int]:
    """Return the lengths of short runs, doubling up to an eighth of the whole; empty if the whole is short.

    Where every length is compiled, only one; none where compiling it would take longer than just to try the whole.

    Example
    -------
    >>> probe_lengths(16000)
    [31, 62, 125, 250, 500, 1000, 2000]
    >>> probe_lengths(500), probe_lengths(16000, compiles=True), probe_lengths(320_000, compiles=True)
    ([], [500], [10000])
    """
    if compiles:
        return [length >> 5] if length > _WORTH_COMPILING else []
    if length < _SHORTEST << 6:
        return []
    return [length >> shift for shift in range(9, 2, -1) if length >> shift >= _SHORTEST]


def is_telling(runs: Sequence[Short], length: int, limit: float) -> bool:
    """Say whether short runs are enough to extrapolate from: one twice as long is not affordable, or not needed.

    `limit` is the longest call that would be timed, in seconds.
    """
    longer, last = runs[-1]
    if len(runs) < 3:
        # too slow even if its time grew by a quarter of what the length does
        return last > _LONG_ENOUGH and last * length / longer > 4 * limit
    return predict(runs, 2 * longer) > limit / 16 or (last > _LONG_ENOUGH and predict(runs, length) <= limit)


def predict(runs: Sequence[Short], length: int) -> float:
    """Extrapolate short runs to `length`: a straight line, or a power where growth is faster.

    One run shows no growth. Growth is used only from three runs on, and where the last is long enough to stand out of
    the noise. The last two pairs are asked, and the lower answer taken: what slows down one run alone is not growth.
    A quarter of proportional growth is the least, so that one slow run does not hide the growth after it.

    Example
    -------
    >>> predict([(100, 1.0)], 1000), predict([(100, 1.0), (200, 1.5)], 1000)
    (10.0, 5.5)
    >>> predict([(100, 1.0), (200, 4.0), (400, 16.0)], 1000)
    100.0
    >>> predict([(100, 1.0), (200, 2.0), (400, 8.0)], 1000)
    10.0
    """
    longer, last = runs[-1]
    proportional = last * length / longer
    if len(runs) < 2:
        return proportional
    found = [_extrapolate(*pair, length) for pair in pairwise(runs[-3:])]
    if len(runs) < 3:
        return min(found[0], proportional)
    return max(min(found), proportional / 4)


def shortened(runs: Sequence[Short], lengths: Sequence[int]) -> Short:
    """Return the longest of some lengths at which a call takes a quarter of a second at most, and what it takes there.

    At the least it is the shortest of the runs, of which any will do.

    Example
    -------
    >>> shortened([(100, 0.1), (200, 0.2)], [100, 200, 250, 500])
    (250, 0.25)
    >>> shortened([(100, 1.0), (200, 2.0)], [100, 200, 250, 500])
    (100, 1.0)
    """
    known = {length: predict(runs, length) for length in lengths if length > runs[-1][0]} | dict(runs)
    return max([(length, seconds) for length, seconds in known.items() if seconds <= _LONG_CALL] or [min(runs)])


def _extrapolate(first: Short, second: Short, length: int) -> float:
    (short, quick), (longer, slow) = first, second
    growth = log(max(slow, 1e-9) / max(quick, 1e-9)) / log(longer / short)
    if growth > 1 and slow >= _LONG_ENOUGH:
        return slow * float((length / longer) ** min(growth, _STEEPEST))
    slope = min(max(slow - quick, 0.0) / (longer - short), slow / longer)
    return max(slow, quick) + slope * (length - longer)


def calls_per_sample(cost: float, least: float = 0.003) -> int:
    """Return how many calls make one sample last at least `least` seconds.

    Example
    -------
    >>> calls_per_sample(0.001)
    3
    """
    return max(1, min(ceil(least / max(cost, 1e-7)), 10_000))


def share(costs: Sequence[float], had: Sequence[int], least: Sequence[int], budget: float, most: int) -> list[int]:
    """Return how many further samples each gets in `budget` seconds.

    First each gets one; then the least that it needs, the cheap before the expensive, as far as the budget goes.
    What is left is shared as equal time. A member without a sample gets one in any case.

    Parameters
    ----------
    costs
        Seconds a sample.
    had, least, most
        The samples that each has already, those that it needs, and how many are enough for anyone.

    Example
    -------
    >>> share([0.5, 1.0], [0, 0], [3, 3], 8.0, most=100)
    [8, 4]
    >>> share([0.1, 2.0], [1, 1], [8, 3], 5.0, most=100), share([0.1, 2.0], [1, 1], [8, 3], 4.5, most=100)
    ([10, 2], [25, 1])
    >>> share([0.5, 10.0], [0, 0], [3, 3], 8.0, most=100)
    [16, 1]
    """
    needed, left = [0] * len(costs), budget
    wishes = [(n > 0, cost, member) for member, cost in enumerate(costs) for n in range(had[member], least[member])]
    for _, cost, member in sorted(wishes):
        if cost <= left:
            needed[member] += 1
            left -= cost

    def counts(seconds: float) -> list[int]:
        further = zip(needed, costs, had, strict=True)
        return [max(low, min(int(seconds / cost), most - before)) for low, cost, before in further]

    low, high = 0.0, 1.001 * budget
    for _ in range(50):
        middle = (low + high) / 2
        used = sum(cost * count for cost, count in zip(costs, counts(middle), strict=True))
        low, high = (middle, high) if used <= budget else (low, middle)
    return [max(count, int(before == 0)) for count, before in zip(counts(low), had, strict=True)]


def rounds(counts: Sequence[int], seed: int) -> Iterator[list[int]]:
    """Yield the members of each round, in a fresh seeded random order.

    There are as many rounds as the largest count. Members with fewer turns take part in rounds spread evenly; those
    with up to three have them in the first half, so that they lose none if time runs out.

    Example
    -------
    >>> [sorted(turns) for turns in rounds([8, 4, 2], seed=0)]
    [[0, 1, 2], [0], [0, 1, 2], [0], [0, 1], [0], [0, 1], [0]]
    """
    generator = random.Random(seed)
    total = max(counts, default=0)
    spans = [total if count > LEAST else max(count, total // 2) for count in counts]
    for turn in range(total):
        # rounded up, so that the first round has all members
        present = [
            member
            for member, (count, span) in enumerate(zip(counts, spans, strict=True))
            if turn < span and -(-(turn + 1) * count // span) > -(-turn * count // span)
        ]
        generator.shuffle(present)
        yield present
