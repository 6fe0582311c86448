"""Recurrences with an activation inside: the part of the kernel object that takes canonical arrays to machine code."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from multirec.backend import Activated, ActivatedGradients, ActivatedNeeds, ActivatedOperands

from .._run.gather import Signal, fit
from .plan import MOST_ORDER, plan
from .spec import MOST_PARAMETERS, MOST_SIGNALS


class Activations:
    """Forward and gradient, for any strides."""

    def activates(self, problem: Activated) -> str:
        if problem.order > MOST_ORDER:
            return f"order {problem.order} of {problem.kind!r} (it supports 1..{MOST_ORDER})"
        return ""

    def forward_activated(
        self, problem: Activated, operands: ActivatedOperands, y: Signal, starts: Signal | None
    ) -> Signal:
        last = _given_or_zeros(problem, operands.state)
        if not y.size:
            return last
        given = (*_inputs(problem, operands, starts), y, last)
        plan(problem, _counts(operands)).run((), given)
        return _cut_off(problem, operands, last)

    def vjp_activated(
        self,
        problem: Activated,
        operands: ActivatedOperands,
        starts: Signal,
        grad_y: Signal,
        grad_state: Signal | None,
        targets: tuple[Signal | None, ...],
        needs: ActivatedNeeds,
    ) -> ActivatedGradients:
        counts, compute = _counts(operands), np.dtype(problem.compute_dtype)
        if grad_state is not None:
            grad_state = _cut_off(problem, operands, np.array(grad_state, compute))
        to_state = _given_or_zeros(problem, grad_state) if needs.state else None
        shape = problem.batch, problem.channels, sum(counts)
        to_parameters = np.zeros(shape, np.float64) if any(needs.parameters) else None
        if grad_y.size:
            filled = (*targets, *(None,) * (MOST_SIGNALS - len(targets)))
            given = (*_inputs(problem, operands, starts), grad_y, grad_state, *filled, to_state, to_parameters)
            wanted = tuple(target is not None for target in targets)
            plan(problem, counts, wanted, needs).run((), given)
        return ActivatedGradients(_fitted(to_parameters, operands.parameters, needs), to_state)


def _inputs(problem: Activated, operands: ActivatedOperands, starts: Signal | None) -> tuple[Any, ...]:
    """Return what both kernels are given first, in their order."""
    signals, parameters, state, numbers = operands
    rows = None
    if starts is not None:
        pieces, order, batch, channels = starts.shape
        rows = starts.reshape((pieces * order, batch, channels)).transpose(1, 2, 0)
    return (
        *(*signals, *(None,) * (MOST_SIGNALS - len(signals))),
        *(state, rows, None if numbers is None else _codes(problem, numbers)),
        None if problem.count is None or numbers is None else np.ascontiguousarray(numbers, np.int32)[:, None],
        *(*parameters, *(None,) * (MOST_PARAMETERS - len(parameters))),
    )


def _counts(operands: ActivatedOperands) -> tuple[int, ...]:
    return tuple(parameter.shape[-1] for parameter in operands.parameters)


def _given_or_zeros(problem: Activated, state: Signal | None) -> Signal:
    """Return a new state: what stays where a sequence has no sample."""
    shape, compute = (problem.states, problem.channels, problem.order), np.dtype(problem.compute_dtype)
    return np.zeros(shape, compute) if state is None else np.array(np.broadcast_to(state, shape), compute, order="C")


def _codes(problem: Activated, numbers: npt.NDArray[Any]) -> Signal:
    """Return (B, 1, T): 1 where a sample is the first of a sequence in running order, -1 where none is, else 0."""
    running = numbers[:, ::-1] if problem.reverse else numbers
    codes = np.zeros(running.shape, problem.compute_dtype)
    is_sample = running >= 0
    codes[:, 1:] = (running[:, 1:] != running[:, :-1]) & is_sample[:, :-1]
    if not problem.reverse:
        codes[:, :1] = running[:, :1] > 0
    codes[~is_sample] = -1
    return np.ascontiguousarray(codes[:, ::-1] if problem.reverse else codes)[:, None]


def _cut_off(problem: Activated, operands: ActivatedOperands, state: Signal) -> Signal:
    """Set states to zero, or their gradients, that belong to the edge before a first sample which begins a sequence."""
    if problem.numbered and problem.reverse and problem.count is None and problem.length:
        assert operands.numbers is not None
        state[operands.numbers[:, 0] > 0] = 0
    return state


def _fitted(
    sums: npt.NDArray[np.float64] | None, parameters: tuple[Signal, ...], needs: ActivatedNeeds
) -> tuple[Signal | None, ...]:
    found: list[Signal | None] = []
    at = 0
    for parameter, need in zip(parameters, needs.parameters, strict=True):
        batch, channels, count = parameter.shape
        part = None if sums is None else sums[:, :, None, at : at + count]
        found.append(None if part is None or not need else fit(part, batch, channels, "float64")[:, :, 0])
        at += count
    return tuple(found)
