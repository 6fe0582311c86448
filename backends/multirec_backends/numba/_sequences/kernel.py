"""Several sequences in one row of time: the part of the kernel object that takes canonical arrays to machine code."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from multirec.backend import Allocate, Gradients, Needs, Operands, Problem

from .._recurrence.gradients import gradients
from .._recurrence.plan import plan

Signal = npt.NDArray[Any]
_NO_GRADIENTS = (None,) * 5


class Sequences:
    """Forward and gradient of sequences, for any strides."""

    def sequences(self, problem: Problem, count: int | None) -> bool:
        return True

    def forward_sequences(
        self, problem: Problem, operands: Operands, numbers: Signal, count: int | None, allocate: Allocate
    ) -> tuple[Signal, Signal]:
        x, feedforward, feedback, inputs, outputs = operands
        y: Signal = allocate(problem.channels, problem.y_dtype)
        # a sequence without samples keeps its state
        last = _states(problem, count, problem.order, problem.state_dtype, outputs)
        if y.size:
            given = (x, y, inputs, outputs, last, *_NO_GRADIENTS, feedforward, feedback, None, None)
            plan(problem, None, _kind(count)).launch.run((0, 0, 0), (*given, _along_time(numbers)))
        return y, last

    def vjp_sequences(
        self,
        problem: Problem,
        operands: Operands,
        numbers: Signal,
        count: int | None,
        y: Signal,
        grad_y: Signal,
        grad_last: Signal | None,
        needs: Needs,
        allocate: Allocate,
    ) -> Gradients:
        planned = plan(problem, needs, _kind(count))
        spec = planned.spec
        to = Gradients(
            x=allocate(problem.x_channels, problem.dtype) if needs.x else None,
            feedforward=None,
            feedback=None,
            inputs=_states(problem, count, problem.input_order, spec.compute_x) if needs.inputs else None,
            outputs=_states(problem, count, problem.order, spec.compute, grad_last) if needs.outputs else None,
        )
        signals = y, grad_y, grad_last
        return gradients(problem, planned, operands, signals, needs, to, _along_time(numbers))


def _kind(count: int | None) -> str:
    return "examples" if count is None else "counted"


def _states(problem: Problem, count: int | None, depth: int, dtype: str, values: Signal | None = None) -> Signal:
    """Return memory for `depth` samples of every state, which holds the values given or zeros."""
    states = np.zeros((problem.batch if count is None else count, problem.channels, depth), dtype)
    if values is not None:
        states[...] = values
    return states


def _along_time(numbers: Signal) -> Signal:
    """Return numbers as a signal whose samples are neighbours in memory."""
    near = numbers if numbers.strides[-1] == numbers.itemsize else np.ascontiguousarray(numbers)
    return near[:, None]
