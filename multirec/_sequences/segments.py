"""Where sequences lie, on the host, and how they are cut up so that pieces of one length are computed side by side.

A sequence of n samples is run in pieces whose lengths are the powers of two that n is the sum of, the longest first:
every state is continued, nothing is padded, and there are as many runs as powers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from .._core.problem import Problem
from .numbers import Sequences, edges, numbers_of

__all__ = ["Piece", "Segments", "pieces", "segments_of"]

Index: TypeAlias = npt.NDArray[np.int64]


class Segments(NamedTuple):
    """The stretches of time that are runs of their own, n of them, and the states that enter and leave them.

    Attributes
    ----------
    rows, starts, lengths
        (n,) Example, first sample and number of samples.
    given
        (n,) Which of the given states goes before a stretch, in running order; -1 is zeros.
    last
        (states,) Where each returned state is from: below n a stretch; then n + k is the k-th given state, as it was,
        and n + states is zeros.
    """

    rows: Index
    starts: Index
    lengths: Index
    given: Index
    last: Index


class Piece(NamedTuple):
    """Pieces of one length.

    Attributes
    ----------
    segments
        (m,) The stretches that they are of.
    rows, times
        (m, 1) and (m, length): the examples and samples, ascending in time.
    """

    segments: Index
    rows: Index
    times: Index


def segments_of(sequences: Sequences, problem: Problem) -> Segments:
    """Return the stretches of time of sequences on the host."""
    numbers, length = numbers_of(sequences, problem), problem.length
    first = np.ones(numbers.shape, bool)
    first[:, 1:] = numbers[:, 1:] != numbers[:, :-1]
    is_sample = numbers >= 0
    flat = np.flatnonzero(first & is_sample)
    # a stretch ends where the next one begins, or the padding, or the row
    cuts = np.append(np.flatnonzero(first), numbers.size)
    rows, starts = np.divmod(flat, max(length, 1))
    lengths = cuts[np.searchsorted(cuts, flat, side="right")] - flat
    begin, end = edges(sequences, problem)
    states = len(begin)
    row = np.zeros(states, np.int64) if sequences.states is not None else np.arange(states)
    empty = begin == end
    left = np.searchsorted(flat, row * length + begin)
    right = np.searchsorted(flat, row * length + end) - 1
    joined = _joined_on_the_left(sequences, numbers, begin, empty)
    own, enters, leaves = (right, True, joined) if problem.reverse else (left, joined, True)
    given = np.full(len(flat), -1)
    enters = ~empty & enters
    given[own[enters]] = np.arange(states)[enters]
    last = np.where(leaves, left if problem.reverse else right, len(flat) + states)
    last = np.where(empty, len(flat) + np.arange(states), last)
    return Segments(rows, starts, lengths, given, last)


def _joined_on_the_left(sequences: Sequences, numbers: Index, begin: Index, empty: Index) -> Index:
    """Say which states' first sample sees what is before it."""
    if sequences.states is None:
        return numbers[:, 0] == 0 if numbers.shape[1] else np.zeros(len(begin), bool)
    if sequences.resets is None:
        return np.ones(len(begin), bool)
    resets: Index = np.append(sequences.resets[0], True)
    return ~resets[begin]


def pieces(segments: Segments, reverse: bool) -> Iterator[Piece]:
    """Yield the pieces of every stretch in running order."""
    done = np.zeros(len(segments.lengths), np.int64)
    for power in range(int(segments.lengths.max(initial=0)).bit_length())[::-1]:
        own = np.flatnonzero(segments.lengths >> power & 1)
        if not own.size:
            continue
        size = 1 << power
        begins = segments.starts[own] + done[own]
        if reverse:
            begins = segments.starts[own] + segments.lengths[own] - done[own] - size
        done[own] += size
        yield Piece(own, segments.rows[own, None], begins[:, None] + np.arange(size))
