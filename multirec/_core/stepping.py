"""Recurrences with an activation inside, one sample after the other, by operations of the arrays' own library.

It is what a transform of torch, a derivative of a derivative, and backends without a kernel of their own compute.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from .activated import Activated, ActivatedOperands
from .axes import cast_to, namespace, zeros
from .operands import Array

__all__ = ["STEPS", "bounds_of", "cut_at", "one_by_one", "sigmoid", "step_through"]

Row: TypeAlias = list[Any]
"""Numbers of every example and channel (B, C), several of them."""


def step_through(problem: Activated, operands: ActivatedOperands) -> tuple[Array, Array]:
    """Return y (B, C, T) and the state after the block, both in the precision computed in, as new arrays."""
    compute = problem.compute_dtype
    signals, parameters, state, numbers = operands
    signals = tuple(cast_to(signal, compute) for signal in signals)
    if state is None:
        state = zeros(signals[0], (problem.states, problem.channels, problem.order))
    operands = ActivatedOperands(signals, parameters, state, numbers)
    if problem.count is None:
        return _run(problem, operands)
    return _in_turn(problem, operands, problem.count)


def _in_turn(problem: Activated, operands: ActivatedOperands, count: int) -> tuple[Array, Array]:
    """Run the sequences of one row, each from its own state."""
    signals, parameters, state, numbers = operands
    assert state is not None
    assert numbers is not None
    pieces, states = [], []
    for index, (start, stop) in enumerate(bounds_of(numbers, count)):
        part = tuple(signal[..., start:stop] for signal in signals)
        y, after = _run(problem, ActivatedOperands(part, parameters, state[index : index + 1], None))
        pieces.append(y)
        states.append(after)
    return _joined(pieces, -1, signals[0][..., :0]), _joined(states, 0, state[:0])


def bounds_of(numbers: Array, count: int) -> list[tuple[int, int]]:
    """Return where each of so many sequences in one row begins and ends."""
    places = [int(place) for place in np.searchsorted(np.asarray(numbers[0].tolist()), np.arange(count + 1))]
    return list(pairwise(places))


def _joined(parts: list[Array], axis: int, nothing: Array) -> Array:
    if not parts:
        return nothing
    library = namespace(nothing)
    return (library.cat if library.__name__ == "torch" else library.concatenate)(parts, axis)


def _run(problem: Activated, operands: ActivatedOperands) -> tuple[Array, Array]:
    signals, parameters, state, numbers = operands
    library = namespace(signals[0])
    rows = [row for parameter in parameters for row in one_by_one(parameter)]
    past = one_by_one(state)[:: 1 if problem.reverse else -1]
    length = signals[0].shape[-1]
    times = range(length)[:: -1 if problem.reverse else 1]
    by_time = [one_by_one(signal) for signal in signals]
    found: list[Any] = [None] * length
    for place, time in enumerate(times):
        before, own = past, [signal[time] for signal in by_time]
        if numbers is not None:
            is_sample = numbers[:, time, None] >= 0
            # what is no sample may be NaN
            own = [_where(is_sample, number, library.zeros_like(number)) for number in own]
            cut = cut_at(numbers, time, times[place - 1] if place else None, problem.reverse)
            before = past if cut is None else [_where(cut, library.zeros_like(number), number) for number in past]
        y, after = STEPS[problem.kind](problem, own, rows, before)
        if numbers is not None:
            y = _where(is_sample, y, library.zeros_like(y))
            after = [_where(is_sample, new, old) for new, old in zip(after, past, strict=True)]
        found[time], past = y, after
    if numbers is not None and problem.reverse and length:
        # the edge before the first sample is in sequence 0
        past = [_where(numbers[:, :1] > 0, library.zeros_like(number), number) for number in past]
    y = library.stack(found, -1) if found else signals[0][..., :0]
    return y, library.stack(past[:: 1 if problem.reverse else -1], -1)


def cut_at(numbers: Array, time: int, before: int | None, reverse: bool) -> Array | None:
    """Return (B, 1), whether a sample begins a sequence in running order, so that it finds zeros."""
    if before is None:
        return None if reverse else numbers[:, time, None] > 0
    own, other = numbers[:, time, None], numbers[:, before, None]
    return (own != other) & (own >= 0) & (other >= 0)


def _where(condition: Array, yes: Array, no: Array) -> Array:
    return namespace(yes).where(condition, yes, no)


def one_by_one(array: Array) -> list[Any]:
    """Return what an array has along its last axis, one by one."""
    return list(array.unbind(-1)) if hasattr(array, "unbind") else [array[..., i] for i in range(array.shape[-1])]


def _independent(problem: Activated, signals: Row, rows: Row, past: Row) -> tuple[Array, Row]:
    total = signals[0]
    for row, number in zip(rows, past, strict=True):
        total = total + row * number
    h = _activate(problem.activation, total)
    return h, [h, *past][:-1] if past else []


def _sru(problem: Activated, signals: Row, rows: Row, past: Row) -> tuple[Array, Row]:
    (ux, uf, ur, *highway), (vf, vr, bf, br), (c,) = signals, rows, past
    f, r = sigmoid(uf + (vf * c + bf)), sigmoid(ur + (vr * c + br))
    c = ux + f * (c - ux)
    h = _activate(problem.activation, c)
    if not highway:
        return r * h, [c]
    w = highway[0] * problem.scale
    return w + r * (h - w), [c]


def _envelope(problem: Activated, signals: Row, rows: Row, past: Row) -> tuple[Array, Row]:
    (x, *varying), (y,) = signals, past
    attack, release = varying or rows
    y = y + _where(x > y, attack, release) * (x - y)
    return y, [y]


STEPS = {"independent": _independent, "sru": _sru, "envelope": _envelope}


def _activate(activation: str, number: Array) -> Array:
    if activation == "identity":
        return number
    if activation == "relu":
        return _where(number <= 0, namespace(number).zeros_like(number), number)
    return namespace(number).tanh(number) if activation == "tanh" else sigmoid(number)


def sigmoid(number: Array) -> Array:
    library = namespace(number)
    if library.__name__ == "torch":
        return library.sigmoid(number)
    small = library.exp(-library.abs(number))
    return library.where(number < 0, small, library.ones((), number.dtype)) / (1 + small)
