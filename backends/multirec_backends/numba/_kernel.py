"""The backend's kernel object: canonical NumPy views in, machine code called, gradients gathered."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from multirec.backend import Allocate, Gradients, Needs, Operands, Problem, address

from . import _fir as fir
from . import _segments as segments
from ._activated import Activations
from ._cascade import Cascades
from ._frames import Frames
from ._gather import assign_shared, fit_taps, summed, sums_like
from ._plan import plan
from ._sequences import Sequences

Signal = npt.NDArray[Any]
_NO_GRADIENTS, _NO_EXTRA = (None,) * 5, (0, 0, 0)


class Kernel(Cascades, Sequences, Activations, Frames):
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
    plan(problem).launch.run(_NO_EXTRA, given)


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
    batch, channels = problem.batch, problem.channels
    x, feedforward, feedback, inputs, outputs = operands
    planned = plan(problem, needs)
    spec, p, q = planned.spec, problem.order, problem.input_order
    # one row of sums for every (example, channel); broadcast axes are summed afterwards, in a fixed order
    to_b = sums_like(problem, problem.feedforward, spec.compute) if needs.feedforward else None
    to_a = sums_like(problem, problem.feedback, spec.compute) if needs.feedback else None
    to_inputs = np.zeros((batch, channels, q), spec.compute_x) if needs.inputs else None
    to_outputs = np.zeros((batch, channels, p), spec.compute) if needs.outputs else None
    shared = np.empty((planned.slices, batch, planned.padded), spec.compute) if needs.x and problem.shared else None
    if grad_y.size:
        extra = (
            0 if last is None else last.shape[2],
            0 if shared is None else address(shared),
            0 if shared is None else shared.strides[1],
        )
        given = (
            *(x, y, inputs, outputs, None, grad_y, last, to_x if shared is None else None, to_inputs, to_outputs),
            *(feedforward, feedback, to_b, to_a),
        )
        planned.launch.run(extra, given, shared)
        if shared is not None:
            assign_shared(to_x, shared, problem.dtype, flip=problem.reverse)
    return Gradients(
        to_x,
        fit_taps(to_b, problem.feedforward),
        fit_taps(to_a, problem.feedback),
        summed(to_inputs, (1,)) if to_inputs is not None and problem.shared else to_inputs,
        to_outputs,
    )


kernel = Kernel()
