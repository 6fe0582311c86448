"""A problem whose rows are cut into sequences: the numbers that its kernel gets, and whose states are whose.

Resets inside of sequences that lie end to end make more sequences of them: the kernel sees those, with a state each, of
which the first of a sequence gets what the caller gives, and the last one's goes out; with reverse the other way round.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._core.activated import Activated
from .._core.axes import zeros
from .._sequences.marks import Marks
from .._sequences.numbers import Sequences, numbers_of, read, read_on_host
from .call import ActivatedCall

Array: TypeAlias = Any

__all__ = ["Marked", "mark"]


class Marked(NamedTuple):
    """What the kernel is to compute, and the number of the sequence of each sample, or None.

    `enter` and `leave` say, where they are not None, which of the kernel's states a sequence's own comes in as, and
    which of them is its own afterwards.
    """

    problem: Activated
    numbers: Array | None = None
    enter: Array | None = None
    leave: Array | None = None

    def state_in(self, state: Array | None) -> Array | None:
        """Return the kernel's states of the caller's."""
        return self._spread(state, self.enter)

    def state_out(self, state: Array) -> Array:
        """Return the caller's states of the kernel's."""
        return state if self.leave is None else state[self.leave]

    def grad_state_in(self, gradient: Array | None) -> Array | None:
        """Return the gradient of the kernel's states after the block."""
        return self._spread(gradient, self.leave)

    def grad_state_out(self, gradient: Array) -> Array:
        """Return the gradient of the caller's states before the block."""
        return gradient if self.enter is None else gradient[self.enter]

    def _spread(self, state: Array | None, places: Array | None) -> Array | None:
        if state is None or places is None:
            return state
        assert self.problem.count is not None
        whole = zeros(state, (self.problem.count, *state.shape[1:]))
        whole[places] = state
        return whole


def mark(call: ActivatedCall, marks: Marks | None) -> Marked:
    """Return the problem of a call with marks, or without."""
    if marks is None:
        return Marked(call.problem)
    if marks.cu_seqlens is not None and marks.resets is not None:
        return _parts(call, read_on_host(marks, call.canonical))
    numbers = numbers_of(read(marks, call.canonical), call.canonical.problem)
    return Marked(replace(call.problem, numbered=True), numbers)


def _parts(call: ActivatedCall, sequences: Sequences) -> Marked:
    """Return the problem of parts of sequences, in which every reset and every sequence begins a new one."""
    resets, _, bounds = sequences
    assert resets is not None
    assert bounds is not None
    before = np.concatenate(([0], np.cumsum(np.asarray(resets[0]))))
    count = len(bounds) - 1
    own = np.searchsorted(bounds[1:-1], np.arange(call.problem.length), side="right")
    numbers = (own + before[1:]).astype(np.int32)[None]
    first, last = (np.arange(count) + before[place] for place in (bounds[:-1], bounds[1:]))
    enter, leave = (last, first) if call.problem.reverse else (first, last)
    return Marked(replace(call.problem, numbered=True, count=count + int(before[-1])), numbers, enter, leave)
