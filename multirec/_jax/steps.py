"""Sequences as XLA computes them: one sample after the other, where no program can call a kernel.

What lies beyond a sequence is replaced by zeros before it is multiplied, so no value there, not even NaN, reaches
results or gradients.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from .._core.problem import Problem, in_precision
from ..backend import Operands
from .primitives import uniform

__all__ = ["in_steps"]

Array: TypeAlias = Any


def in_steps(operands: Operands, numbers: Array, problem: Problem, count: int | None) -> list[Array]:
    """Return y and the p outputs after the block, as `multirec.backend.SequenceKernel.forward_sequences` does."""
    if not problem.length:
        shape = count or problem.batch, problem.channels, problem.order
        past = jnp.zeros(shape) if operands.outputs is None else operands.outputs
        y = jnp.zeros((problem.batch, problem.channels, 0), problem.y_dtype)
        return [y, past.astype(problem.state_dtype)]
    x: Any
    x, feedforward, feedback, inputs, outputs = (
        _in_order(part, problem, axis) for part, axis in zip(operands, (-1, -2, -2, -1, -1), strict=True)
    )
    lags = _Lags(numbers[:, ::-1] if problem.reverse else numbers, problem.reverse, count)
    x = jnp.where(lags.is_sample, x, 0)
    driven = x
    if feedforward is not None:
        taps, q = lags.masked(feedforward), problem.input_order
        driven = sum(taps[..., j] * lags.of(x, inputs, q, j) for j in range(q + 1))
    if feedback is not None and problem.order:
        feedback = lags.masked(feedback)
        if outputs is not None:
            none = jnp.zeros_like(lags.is_sample, outputs.dtype)
            past = (lags.of(none, outputs, problem.order, k + 1) for k in range(problem.order))
            driven = driven + sum(feedback[..., k] * part for k, part in enumerate(past))
        driven = _recurrence(driven, feedback, lags)
    shape = problem.batch, problem.channels, problem.length
    y = jnp.broadcast_to(jnp.where(lags.is_sample, driven, 0), shape)
    last = lags.last(y, outputs, problem.order).astype(problem.state_dtype)
    if problem.reverse:
        y, last = y[..., ::-1], last[..., ::-1]
    return [y.astype(problem.y_dtype), last]


def _in_order(part: Array | None, problem: Problem, time: int) -> Array | None:
    """Return an operand in the precision that is computed in, its time in running order."""
    if part is None:
        return None
    part = part.astype(in_precision(str(part.dtype), problem.compute_dtype))
    return jnp.flip(part, time) if problem.reverse else part


class _Lags:
    """What samples before others are, in running order, of numbers (B, T)."""

    def __init__(self, numbers: Array, reverse: bool, count: int | None) -> None:
        self.numbers, self._count = numbers, count
        batch, length = numbers.shape
        time = jnp.arange(length, dtype=numbers.dtype)
        self.is_sample = (numbers >= 0)[:, None]
        self.is_first = jnp.ones_like(numbers, bool).at[:, 1:].set(numbers[:, 1:] != numbers[:, :-1])
        self.position = time - jax.lax.cummax(jnp.where(self.is_first, time, 0), 1)
        if count is not None:
            # each sequence has a state, and no sample is padding
            self._rows, self._enters = numbers, jnp.ones_like(numbers, bool)
            none = jnp.zeros(count, numbers.dtype)
            self._sizes = none.at[numbers[0]].add(1)
            self._ends = none.at[numbers[0]].max(time + 1)
            self._passes = jnp.ones(count, bool)
            return
        at_end = jnp.maximum(numbers.max(1, keepdims=True), 0)
        enters, leaves = (at_end, 0) if reverse else (0, at_end)
        is_left = numbers == leaves
        self._rows, self._enters = jnp.arange(batch)[:, None], numbers == enters
        self._sizes = is_left.sum(1, dtype=numbers.dtype)
        self._ends = jnp.where(is_left, time + 1, 0).max(1)
        self._passes = at_end[:, 0] == 0

    def masked(self, taps: Array) -> Array:
        """Return coefficients that vary along time with zeros where there is no sample."""
        return taps if taps.shape[2] == 1 else jnp.where(self.is_sample[..., None], taps, 0)

    def of(self, signal: Array, past: Array | None, count: int, lag: int) -> Array:
        """Return what each sample finds `lag` samples before it: of a signal, of `count` in the past, or zeros."""
        length = signal.shape[-1]
        if not lag:
            return signal
        before = jnp.pad(signal, ((0, 0), (0, 0), (lag, 0)))[..., :length]
        found = jnp.where((self.position >= lag)[:, None], before, 0)
        if past is None:
            return found
        index = jnp.clip(count + self.position - lag, 0, count - 1)
        before = past[self._rows, :, index].swapaxes(1, 2)
        return jnp.where(((self.position < lag) & self._enters)[:, None], before, found)

    def last(self, y: Array, past: Array | None, count: int) -> Array:
        """Return the `count` outputs after each state's last sample, (states, C, count)."""
        lag = jnp.arange(count, 0, -1, dtype=self.numbers.dtype)
        sizes, rows = self._sizes[:, None], jnp.arange(len(self._sizes))[:, None]
        own = y[rows if self._count is None else rows * 0, :, jnp.maximum(self._ends[:, None] - lag, 0)]
        found = jnp.where((sizes >= lag)[..., None], own, 0)
        if past is not None:
            before = past[rows, :, jnp.clip(count + sizes - lag, 0, max(count - 1, 0))]
            found = jnp.where(((sizes < lag) & self._passes[:, None])[..., None], before, found)
        return found.swapaxes(1, 2)


def _recurrence(driven: Array, feedback: Array, lags: _Lags) -> Array:
    """Return y of what drives it, where sequences begin from zeros."""
    batch, order = lags.numbers.shape[0], feedback.shape[-1]
    dtype = jnp.result_type(driven, feedback)
    channels = max(driven.shape[1], feedback.shape[1])
    driven = jnp.broadcast_to(driven.astype(dtype), (batch, channels, driven.shape[-1]))
    varies = feedback.shape[2] > 1

    def step(past: Array, now: tuple[Array, Array, Array | None]) -> tuple[Array, Array]:
        driven, is_first, taps = now
        past = jnp.where(is_first[:, None, None], 0, past)
        y = driven + ((feedback[:, :, 0] if taps is None else taps) * past).sum(-1)
        return jnp.concatenate([y[..., None], past[..., :-1]], -1), y

    along = (
        jnp.moveaxis(driven, -1, 0),
        lags.is_first.T,
        jnp.moveaxis(feedback, 2, 0) if varies else None,
    )
    start = uniform([jnp.zeros((batch, channels, order), dtype), driven, feedback, lags.is_first])[0]
    _, y = jax.lax.scan(step, start, along)
    return jnp.moveaxis(y, 0, -1)
