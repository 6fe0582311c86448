"""The adjoint of recurrences with an activation inside, in NumPy: the same steps, walked backwards."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .activated import Activated, ActivatedOperands
from .stepping import STEPS, bounds_of, cut_at, one_by_one, sigmoid

__all__ = ["adjoint_of_steps"]

Wide: TypeAlias = npt.NDArray[Any]
Row: TypeAlias = list[Wide]
Found: TypeAlias = tuple[Row, Row, Wide]
"""Gradients of the signals, of the parameters, and of the state before the block."""


def adjoint_of_steps(problem: Activated, operands: ActivatedOperands, grad_y: Wide, grad_state: Wide | None) -> Found:
    """Return the gradients of all operands, which are in the precision computed in."""
    signals, parameters, state, numbers = operands
    shape = problem.states, problem.channels, problem.order
    state = np.zeros(shape, grad_y.dtype) if state is None else np.broadcast_to(state, shape)
    grad_state = np.zeros(shape, grad_y.dtype) if grad_state is None else grad_state
    if problem.count is None:
        return _back(problem, ActivatedOperands(signals, parameters, state, numbers), grad_y, grad_state)
    to_signals: Row = [np.zeros(signal.shape, grad_y.dtype) for signal in signals]
    to_parameters: Row = [np.zeros(parameter.shape, grad_y.dtype) for parameter in parameters]
    to_state = np.zeros(shape, grad_y.dtype)
    for index, (start, stop) in enumerate(bounds_of(numbers, problem.count)):
        own, place = slice(index, index + 1), slice(start, stop)
        part = ActivatedOperands(tuple(signal[..., place] for signal in signals), parameters, state[own], None)
        found, sums, to_state[own] = _back(problem, part, grad_y[..., place], grad_state[own])
        for whole, piece in zip(to_signals, found, strict=True):
            whole[..., place] = piece
        for total, one in zip(to_parameters, sums, strict=True):
            total += one
    return to_signals, to_parameters, to_state


def _back(problem: Activated, operands: ActivatedOperands, grad_y: Wide, grad_state: Wide) -> Found:
    signals, parameters, state, numbers = operands
    rows = [row for parameter in parameters for row in one_by_one(parameter)]
    order = 1 if problem.reverse else -1
    past = one_by_one(state)[::order]
    length = grad_y.shape[-1]
    times = list(range(length))[:: -1 if problem.reverse else 1]
    trail: list[tuple[int, Row, Any, Any]] = []
    for place, time in enumerate(times):
        cut, is_sample, before = None, None, past
        if numbers is not None:
            cut = cut_at(numbers, time, times[place - 1] if place else None, problem.reverse)
            before = past if cut is None else [np.where(cut, 0, number) for number in past]
            is_sample = numbers[:, time, None] >= 0
        _, after = STEPS[problem.kind](problem, [signal[..., time] for signal in signals], rows, before)
        if is_sample is not None:
            after = [np.where(is_sample, new, old) for new, old in zip(after, past, strict=True)]
        trail.append((time, before, cut, is_sample))
        past = after
    lam = one_by_one(np.array(grad_state))[::order]
    if numbers is not None and problem.reverse and length:
        lam = [np.where(numbers[:, :1] > 0, 0, number) for number in lam]
    to_signals: Row = [np.zeros(signal.shape, grad_y.dtype) for signal in signals]
    sums: Row = [np.zeros(np.broadcast_shapes(row.shape, grad_y.shape[:2]), grad_y.dtype) for row in rows]
    for time, before, cut, is_sample in reversed(trail):
        own = [signal[..., time] for signal in signals]
        found, parts, earlier = _ADJOINTS[problem.kind](problem, own, rows, before, grad_y[..., time], lam)
        if is_sample is not None:
            found, parts = ([np.where(is_sample, part, 0) for part in each] for each in (found, parts))
            earlier = [number if cut is None else np.where(cut, 0, number) for number in earlier]
            earlier = [np.where(is_sample, new, old) for new, old in zip(earlier, lam, strict=True)]
        for whole, part in zip(to_signals, found, strict=True):
            whole[..., time] = part
        for total, part in zip(sums, parts, strict=True):
            total += part
        lam = earlier
    return to_signals, _fitted(sums, parameters), np.stack(lam[::order], -1)


def _fitted(sums: Row, parameters: tuple[Wide, ...]) -> Row:
    """Return sums of every example and channel as gradients of what is broadcast to them."""
    found, at = [], 0
    for parameter in parameters:
        count = parameter.shape[-1]
        whole = np.stack(sums[at : at + count], -1)
        axes = tuple(axis for axis in (0, 1) if parameter.shape[axis] != whole.shape[axis])
        found.append(whole.sum(axis=axes, keepdims=True) if axes else whole)
        at += count
    return found


def _independent(problem: Activated, signals: Row, rows: Row, past: Row, grad: Wide, lam: Row) -> tuple[Row, Row, Row]:
    h, _ = STEPS["independent"](problem, signals, rows, past)
    own = _through(problem.activation, h, grad + lam[0])
    later = [*lam[1:], np.zeros_like(lam[0])]
    return [own], [own * number for number in past], [one + row * own for one, row in zip(later, rows, strict=True)]


def _sru(problem: Activated, signals: Row, rows: Row, past: Row, grad: Wide, lam: Row) -> tuple[Row, Row, Row]:
    (ux, uf, ur, *highway), (vf, vr, bf, br), (c,) = signals, rows, past
    f, r = sigmoid(uf + vf * c + bf), sigmoid(ur + vr * c + br)
    # of no past outputs it is the activation alone
    h = STEPS["independent"](problem, [ux + f * (c - ux)], [], [])[0]
    w = highway[0] * problem.scale if highway else np.zeros_like(h)
    to_after = lam[0] + _through(problem.activation, h, grad * r)
    to_uf, to_ur = to_after * (c - ux) * f * (1 - f), grad * (h - w) * r * (1 - r)
    to_signals = [to_after * (1 - f), to_uf, to_ur, *([grad * (1 - r) * problem.scale] if highway else [])]
    return to_signals, [to_uf * c, to_ur * c, to_uf, to_ur], [to_after * f + to_uf * vf + to_ur * vr]


def _envelope(problem: Activated, signals: Row, rows: Row, past: Row, grad: Wide, lam: Row) -> tuple[Row, Row, Row]:
    (x, *varying), (y,) = signals, past
    attack, release = varying or rows
    rises, total = x > y, grad + lam[0]
    gain = np.where(rises, attack, release)
    to_gain = total * (x - y)
    both = [np.where(rises, to_gain, 0), np.where(rises, 0, to_gain)]
    before = [total * (1 - gain)]
    return ([total * gain, *both], [], before) if varying else ([total * gain], both, before)


_ADJOINTS = {"independent": _independent, "sru": _sru, "envelope": _envelope}


def _through(activation: str, value: Wide, gradient: Wide) -> Wide:
    """Return the gradient of a number whose activation has a value and a gradient."""
    slopes: dict[str, Any] = {
        "identity": 1.0,
        "relu": ~(value <= 0),
        "tanh": 1 - value * value,
        "sigmoid": value * (1 - value),
    }
    return np.asarray(gradient * slopes[activation])
