"""Sequences end to end that resets cut further, as sequences end to end: each part has a state of its own."""

from __future__ import annotations

from typing import Any, TypeAlias

import jax.numpy as jnp

from .._core.problem import Problem
from .._sequences.numbers import Sequences

__all__ = ["Cut"]

Array: TypeAlias = Any


class Cut:
    """The T + 1 parts that numbers (1, T) name, most of them empty, and the states of the sequences that they are of.

    Attributes
    ----------
    sequences
        The parts, end to end.
    """

    def __init__(self, sequences: Sequences, numbers: Array, problem: Problem) -> None:
        resets, _, cu_seqlens = sequences
        assert resets is not None
        assert cu_seqlens is not None
        self._parts = problem.length + 1
        bounds = jnp.searchsorted(numbers[0], jnp.arange(self._parts + 1))
        self.sequences = Sequences(None, None, bounds)
        begin, end = cu_seqlens[:-1], cu_seqlens[1:]
        self._is_empty = begin == end
        first, final = (numbers[0, jnp.clip(at, 0, problem.length - 1)] for at in (begin, end - 1))
        is_cut = resets[0, jnp.clip(begin, 0, problem.length - 1)]
        joined = jnp.where(is_cut, self._parts, first)
        enters, leaves = (final, joined) if problem.reverse else (joined, final)
        self._leaves: Array = leaves
        self._enters: Array = jnp.where(self._is_empty, self._parts, enters)

    def before(self, states: Array) -> Array:
        """Return the state before each part, of those before each sequence."""
        none = jnp.zeros((self._parts, *states.shape[1:]), states.dtype)
        return none.at[self._enters].add(states, mode="drop")

    def after(self, states: Array, given: Array | None) -> Array:
        """Return the state after each sequence, of those after each part; without samples it is as it was given."""
        own = states.at[self._leaves].get(mode="fill", fill_value=0)
        return jnp.where(self._is_empty[:, None, None], 0 if given is None else given.astype(own.dtype), own)
