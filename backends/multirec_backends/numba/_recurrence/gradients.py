"""One run of a gradient kernel: memory for what it leaves apart, and the sums of that."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from multirec.backend import Gradients, Needs, Operands, Problem, address

from .._run.gather import assign_shared, fit_taps, summed, sums_like
from .plan import Plan

Signal = npt.NDArray[Any]


def gradients(
    problem: Problem,
    planned: Plan,
    operands: Operands,
    signals: tuple[Signal, Signal, Signal | None],
    needs: Needs,
    to: Gradients,
    *numbers: Signal,
    last_steps: int = 0,
) -> Gradients:
    """Return the gradients wanted; those of x and of the state are written to `to`.

    Signals are y, and the gradients of y and of the last outputs; `numbers` say of each sample whose it is.
    """
    (x, feedforward, feedback, inputs, outputs), (y, grad_y, last) = operands, signals
    compute, together = planned.spec.compute, planned.spec.side > 0
    # one row of sums for every (example, channel); broadcast axes are summed afterwards, in a fixed order
    to_b = sums_like(problem, problem.feedforward, compute, together=together) if needs.feedforward else None
    to_a = sums_like(problem, problem.feedback, compute, together=together) if needs.feedback else None
    shared: Signal | None = None
    if needs.x and problem.shared:
        shared = np.empty((planned.slices, problem.batch, planned.padded), compute)
    if grad_y.size:
        place = (0, 0) if shared is None else (address(shared), shared.strides[1])
        given = (
            *(x, y, inputs, outputs, None, grad_y, last, to.x if shared is None else None, to.inputs, to.outputs),
            *(feedforward, feedback, to_b, to_a, *numbers),
        )
        planned.launch.run((last_steps, *place), given, shared)
        if shared is not None:
            assign_shared(to.x, shared, problem.dtype, flip=problem.reverse)
    return to._replace(
        feedforward=fit_taps(to_b, problem.feedforward),
        feedback=fit_taps(to_a, problem.feedback),
        inputs=summed(to.inputs, (1,)) if to.inputs is not None and problem.shared else to.inputs,
    )
