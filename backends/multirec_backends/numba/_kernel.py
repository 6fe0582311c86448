"""The backend's kernel object: canonical NumPy views in, machine code called, gradients gathered."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from multirec.backend import Allocate, Gradients, Needs, Operands, Problem

from ._activated.kernel import Activations
from ._cascade.kernel import Cascades
from ._cells.kernel import Steps
from ._fir import kernel as fir
from ._frames.kernel import Frames
from ._recurrence import segments as segments
from ._recurrence.gradients import gradients
from ._recurrence.plan import plan
from ._sequences.kernel import Sequences
from ._way import plan_for

Signal = npt.NDArray[Any]
_NO_GRADIENTS, _NO_EXTRA = (None,) * 5, (0, 0, 0)


class Kernel(Cascades, Sequences, Activations, Frames, Steps):
    """Forward and gradient in machine code, for any strides."""

    def forward(self, problem: Problem, operands: Operands, allocate: Allocate) -> Signal | tuple[Signal, Signal]:
        if fir.worthwhile(problem):
            return fir.forward(problem, operands, allocate, self)
        y: Signal = allocate(problem.channels, problem.y_dtype)
        planned = plan(problem)
        ends: Signal | None = np.empty(planned.ends, problem.state_dtype) if planned.ends else None
        if y.size and not (planned.segmented and segments.forward(problem, operands, y, ends, run_forward)):
            run_forward(problem, operands, y, ends)
        if ends is None:
            return y
        # what is older than the block is the caller's state
        older = max(problem.order - problem.length, 0)
        return y, ends[..., : problem.order - older] if problem.reverse else ends[..., older:]

    def in_place(self, problem: Problem) -> bool:
        # long filters look back, and segments run twice over x
        return not (fir.worthwhile(problem) or plan(problem).segmented)

    def vjp(
        self,
        problem: Problem,
        operands: Operands,
        y: Signal,
        grad_y: Signal,
        grad_last: Signal | None,
        needs: Needs,
        allocate: Allocate,
    ) -> Gradients:
        to_x = allocate(problem.x_channels, problem.dtype) if needs.x else None
        last = grad_last if grad_last is not None and grad_last.size else None
        if fir.worthwhile(problem):
            return fir.vjp(problem, operands, y, grad_y, last, needs, to_x, run_vjp)
        if plan(problem).segmented and not problem.shared:
            found = segments.vjp(problem, operands, y, grad_y, last, needs, to_x, run_vjp)
            if found is not None:
                return found
        return run_vjp(problem, operands, y, grad_y, last, needs, to_x)


def run_forward(problem: Problem, operands: Operands, y: Signal | None, ends: Signal | None) -> None:
    """Fill y (B, C, T) and `ends` (B, C, p), the last outputs in the precision computed in; either may be None."""
    x, feedforward, feedback, inputs, outputs = operands
    given = (x, y, inputs, outputs, ends, *_NO_GRADIENTS, feedforward, feedback, None, None)
    plan_for(problem, None, (x, y), (feedforward, feedback)).launch.run(_NO_EXTRA, given)


def run_vjp(
    problem: Problem,
    operands: Operands,
    y: Signal,
    grad_y: Signal,
    last: Signal | None,
    needs: Needs,
    to_x: Signal | None,
) -> Gradients:
    """Return the gradients wanted; the gradient of x goes to `to_x`."""
    x, feedforward, feedback, *_ = operands
    signals = x if needs.feedforward else None, y if needs.feedback else None, to_x
    planned = plan_for(problem, needs, signals, (feedforward, feedback), grad_y)
    spec, rows = planned.spec, (problem.batch, problem.channels)
    to = Gradients(
        x=to_x,
        feedforward=None,
        feedback=None,
        inputs=np.zeros((*rows, problem.input_order), spec.compute_x) if needs.inputs else None,
        outputs=np.zeros((*rows, problem.order), spec.compute) if needs.outputs else None,
    )
    steps = 0 if last is None else last.shape[2]
    return gradients(problem, planned, operands, (y, grad_y, last), needs, to, last_steps=steps)


kernel = Kernel()
