"""Coefficients at a frame rate: the part of the kernel object that takes canonical arrays to machine code."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from multirec.backend import REAL_DTYPES, Allocate, Framed, Gradients, Needs, Operands, Problem

from .._code.interface import places
from .._recurrence.plan import SMALL
from .._run.compile import vector_bytes
from .._run.gather import SUMS, Signal, assign_shared, fit
from .._run.launch import Launch
from .spec import MOST_TAPS, FramesSpec

_MOST_SIDE, _MOST_SIDE_BACK = 4, 2
"""Vectors of a row with which two rows go side by side: registers hold no more."""
_NO_NEEDS = Needs(False, False, False, False, False)


class Frames:
    """Forward and gradient of all-pole filters, with a gain or without, for any strides."""

    def frames(self, framed: Framed) -> bool:
        problem = framed.problem
        return (
            problem.dtype in REAL_DTYPES
            and problem.y_dtype in REAL_DTYPES
            and 0 < problem.order <= MOST_TAPS
            and problem.input_order == 0
        )

    def forward_frames(
        self, framed: Framed, operands: Operands, offset: int, allocate: Allocate
    ) -> tuple[Signal, Signal]:
        problem, (x, gain, feedback, _, outputs) = framed.problem, operands
        y: Signal = allocate(problem.channels, problem.y_dtype)
        ends = np.zeros((problem.batch, problem.channels, problem.order), problem.state_dtype)
        if y.size:
            _launch(framed, None).run((offset,), (x, y, feedback, gain, outputs, ends))
        elif outputs is not None:
            ends[...] = outputs
        return y, ends

    def vjp_frames(
        self,
        framed: Framed,
        operands: Operands,
        offset: int,
        y: Signal,
        grad_y: Signal,
        grad_last: Signal | None,
        needs: Needs,
        allocate: Allocate,
    ) -> Gradients:
        problem, (x, gain, feedback, _, outputs) = framed.problem, operands
        batch, channels = problem.batch, problem.channels
        to_x: Signal | None = allocate(problem.x_channels, problem.dtype) if needs.x else None
        to_gain = _sums(framed, 1) if needs.feedforward else None
        to_feedback = _sums(framed, problem.order) if needs.feedback else None
        to_outputs = np.zeros((batch, channels, problem.order), problem.state_dtype) if needs.outputs else None
        if grad_y.size:
            rows = np.empty((channels, batch, problem.length), problem.state_dtype) if _adds(problem, needs) else None
            into = to_x if rows is None else rows.transpose(1, 0, 2)
            signals = x, y, grad_y, into, feedback, gain, to_feedback, to_gain
            _launch(framed, needs).run((offset,), (*signals, outputs, grad_last, to_outputs))
            if rows is not None:
                assign_shared(to_x, rows, problem.dtype, flip=False)
        elif to_outputs is not None and grad_last is not None:
            to_outputs[...] = grad_last
        b, a = (
            None if sums is None or taps is None else fit(sums, taps.batch, taps.channels, taps.dtype)
            for sums, taps in ((to_gain, problem.feedforward), (to_feedback, problem.feedback))
        )
        inputs = np.zeros((batch, problem.x_channels, 0), problem.dtype) if needs.inputs else None
        return Gradients(to_x, b, a, inputs, to_outputs)


def _sums(framed: Framed, taps: int) -> Signal:
    problem = framed.problem
    return np.zeros((problem.batch, problem.channels, framed.frames, taps), SUMS[problem.state_dtype])


def _adds(problem: Problem, needs: Needs) -> bool:
    """Whether the gradient of x is the sum of several rows."""
    return needs.x and problem.shared


@lru_cache(maxsize=512)
def _launch(framed: Framed, needs: Needs | None) -> Launch:
    """Plan a recurrence that has samples, or its gradients that are needed; the same answer for the same shapes."""
    problem, own = framed.problem, needs or _NO_NEEDS
    double, rows = problem.compute_dtype == "float64", problem.batch * problem.channels
    width = vector_bytes() // (8 if double else 4)
    vectors = -(-problem.order // width)
    # a row waits for its multiply-adds, and another one computes meanwhile
    side = 2 if rows > 2 and vectors <= (_MOST_SIDE if needs is None else _MOST_SIDE_BACK) else 1
    spec = FramesSpec(
        vjp=needs is not None,
        double=double,
        x=problem.dtype,
        vector_bytes=vector_bytes(),
        vectors=vectors,
        side=side,
        linear=framed.linear,
        gain=problem.feedforward is not None,
        grad_x=(problem.state_dtype if problem.shared else problem.dtype) if own.x else "",
        grad_feedback=own.feedback,
        grad_gain=own.feedforward,
    )
    starts, end = places(spec.scratch())
    items = -(-rows // side)
    constants = [items, problem.length, problem.channels, 0, rows, framed.hop, framed.frames, problem.order]
    return Launch(
        spec=spec,
        call=spec.interface.call,
        constants=spec.interface.fix(constants, starts),
        scratch_bytes=end + 64,
        items=items,
        helpers=items > 1 and rows * problem.length * problem.order > SMALL,
    )
