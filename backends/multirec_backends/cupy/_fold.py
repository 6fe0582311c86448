"""What is left to add up after a gradient's main launches, all of it in one launch: each job has blocks of its own."""

from __future__ import annotations

import struct
from typing import NamedTuple, TypeAlias

from ._plan.parts import LARGEST_GRID, WARP

Words: TypeAlias = tuple[int, ...]
Axis: TypeAlias = tuple[int, int, int]

SUM_B, SUM_A, OF_X, OF_PAST_X, TAPS_B, TAPS_A, OF_PAST_Y = range(7)
MOST_JOBS = 6
THREADS, MANY_THREADS = 256, 1024
SHARED = 32 * 16
"""A partial sum of each warp of the largest block."""
_ROWS = (SUM_B, SUM_A)
_FEW, _MANY = 64, 1 << 14
"""Terms up to which a warp adds a result up, and beyond which a block has as many threads as it can."""
_JOB = struct.Struct("19q")
_HEAD = struct.Struct("2q")
IN, OUT = 0, 8
"""Where a job's addresses are, in its bytes."""


class Job(NamedTuple):
    """out[i, j, k] = the sum of in[i, j, k, m, n] over m and n; strides are in elements."""

    kind: int
    sizes: Words
    source: Words
    target: Words
    terms: tuple[int, int]
    apart: tuple[int, int]

    @property
    def results(self) -> int:
        """How many results there are."""
        return self.sizes[0] * self.sizes[1] * self.sizes[2]


class Fold(NamedTuple):
    """A launch of jobs: its bytes without addresses, and where each job's begin."""

    blocks: int
    threads: int
    words: bytes
    places: tuple[int, ...]


def job(kind: int, results: tuple[Axis, Axis, Axis], terms: tuple[tuple[int, int], ...]) -> Job:
    """Return the job for three axes of results, (size, stride in, stride out), and axes of terms, (size, stride)."""
    merged: list[tuple[int, int]] = []
    for size, step in sorted((term for term in terms if term[0] != 1), key=lambda term: term[1]):
        if merged and merged[-1][0] * merged[-1][1] == step:
            merged[-1] = merged[-1][0] * size, merged[-1][1]
        else:
            merged.append((size, step))
    merged.sort(key=lambda term: -term[0])
    if 0 in (size for size, _ in terms):
        merged = [(0, 0)]
    (inner, near), (outer, far) = (*merged, (1, 0), (1, 0))[:2]
    sizes, source, target = zip(*results, strict=True)
    return Job(kind, sizes, source, target, (inner, outer), (near, far))


def fold(jobs: list[Job]) -> Fold:
    """Return the launch of all jobs."""
    many = any(each.kind in _ROWS and each.terms[0] > _MANY for each in jobs)
    threads = MANY_THREADS if many else THREADS
    first, parts, places = 0, [], []
    for number, each in enumerate(jobs):
        lanes = 1
        if each.kind in _ROWS and each.terms[0] > 1:
            lanes = WARP if each.terms[0] <= _FEW else threads
        per_thread = 4 if each.kind == OF_X else 1
        blocks = max(1, -(-each.results * lanes // (threads * per_thread)))
        words = (
            0,
            0,
            each.kind,
            first,
            blocks,
            *each.sizes,
            *each.source,
            *each.target,
            *each.terms,
            *each.apart,
            lanes,
        )
        places.append(_HEAD.size + number * _JOB.size)
        parts.append(_JOB.pack(*words))
        first += blocks
    empty = bytes(_JOB.size) * (MOST_JOBS - len(jobs))
    return Fold(
        min(first, LARGEST_GRID), threads, b"".join([_HEAD.pack(len(jobs), first), *parts, empty]), tuple(places)
    )
