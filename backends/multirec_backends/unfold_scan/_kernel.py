"""Blocks instead of samples: the feedforward part for all t, then the recurrence without a loop over t.

    u[t] = Σ_j feedforward[j] · x[t-j]              `_feedforward`, q + 1 multiply-adds
    y[t] = u[t] + Σ_k feedback[k] · y[t-k]          `_blocks`, matrix products, where feedback is constant;
                                                    `_scan`, by halving, where it changes over time (order 1)
    what is not finite                              `_repair`

The work goes piece by piece (some examples, a span of time) through two scratch buffers, so that it needs little
memory besides y. Carries between blocks, spans and pieces are in float64, where the device has it. Operands are
(outer, inner, …): the examples and channels that share a filter lie along the inner axis, and one product
serves them all.
"""

from __future__ import annotations

from math import prod
from typing import Any, Protocol

import torch
from torch import Tensor

from multirec.backend import Allocate, Operands, Problem

from ._blocks import Blocks
from ._feedforward import feedforward
from ._plan import Plan, make_plan
from ._scan import Scan

__all__ = ["UnfoldScan", "kernel"]


class Solver(Protocol):
    """A recurrence over blocks."""

    def __call__(self, u: Tensor, carry: Tensor, span: slice, out: Tensor) -> Tensor:
        """Write the outputs of `u` (outer, inner, N, L), which is `span` of the signal, to `out`.

        `carry` (outer, inner, p) holds the outputs before it; the one for the next span is returned.
        Where the last block has more samples than the span, they are zeros.
        """


class UnfoldScan:
    """A forward-only kernel: `multirec.adjoint` derives its gradient."""

    def forward(self, problem: Problem, operands: Operands, allocate: Allocate) -> Tensor | tuple[Tensor, Tensor]:
        """Return y (B, C, T), and its last samples where they were computed in a wider type."""
        y: Tensor = allocate(problem.channels, problem.y_dtype)
        last: Tensor | None = None
        if problem.state_dtype != problem.y_dtype:
            shape = (problem.batch, problem.channels, min(problem.order, problem.length))
            last = y.new_empty(shape, dtype=getattr(torch, problem.state_dtype))
        if y.numel():
            self._fill(problem, operands, y, last)
        return y if last is None else (y, last)

    def _fill(self, problem: Problem, operands: Operands, y: Tensor, last: Tensor | None) -> None:
        plan, signal = make_plan(problem), y
        own_filters = problem.feedback is not None and problem.feedback.batch > 1
        batch_axis = 0 if own_filters or problem.channels == 1 else 1
        if batch_axis:
            operands = Operands(*(None if part is None else part.transpose(0, 1) for part in operands))
            signal, last = y.transpose(0, 1), None if last is None else last.transpose(0, 1)
        size = plan.rows * problem.channels * (plan.span + plan.block)
        scratch = torch.empty((2, size), dtype=plan.dtype, device=y.device)
        solve: Solver | None = None
        for first in range(0, problem.batch, plan.rows):
            cut = (batch_axis, first, min(plan.rows, problem.batch - first))
            piece = Operands(*(None if part is None else _cut(part, *cut) for part in operands))
            if problem.order and (solve is None or own_filters):
                solve = _solver(piece.feedback, plan)
            _run(piece, signal.narrow(*cut), None if last is None else last.narrow(*cut), solve, plan, scratch)


def _solver(feedback: Any, plan: Plan) -> Solver:
    varies = feedback.shape[2] > 1
    return Scan(feedback, plan.reverse) if varies else Blocks(feedback, plan)


def _run(operands: Operands, y: Tensor, last: Tensor | None, solve: Solver | None, plan: Plan, scratch: Tensor) -> None:
    """Compute one piece `y` (outer, inner, T), span by span; `scratch` has room for u and the outputs of one.

    Its last samples, before they are rounded to y's type, go to `last` where it is given.
    """
    outer, inner, length = y.shape
    p = 0 if operands.feedback is None else operands.feedback.shape[-1]
    past = operands.outputs
    carry = y.new_zeros((outer, inner, p), dtype=plan.wide) if past is None else past.to(plan.wide)
    for span in plan.spans(length):
        n = span.stop - span.start
        blocks = (outer, inner, -(-n // plan.block), plan.block)
        u, out = (part[: prod(blocks)].view(blocks) for part in scratch)
        short = blocks[2] * plan.block - n
        inside, beyond = slice(0, n), slice(n, None)
        if plan.reverse:
            inside, beyond = slice(short, None), slice(0, short)
        samples = u.flatten(2)
        samples[..., beyond].zero_()
        feedforward(samples[..., inside], operands.x, operands.feedforward, operands.inputs, span.start, plan.reverse)
        if solve is None:
            out = u
        else:
            carry = solve(u, carry, span, out)
        computed = out.flatten(2)[..., inside]
        y[..., span] = computed
        if last is not None:
            _keep(last, computed, span, 0 if plan.reverse else length - last.shape[-1])


def _keep(last: Tensor, samples: Tensor, span: slice, start: int) -> None:
    """Copy what `samples`, which are `span` of the signal, have of `last`, which begins at `start`."""
    low, high = max(span.start, start), min(span.stop, start + last.shape[-1])
    if low < high:
        last[..., low - start : high - start] = samples[..., low - span.start : high - span.start]


def _cut(part: Tensor, axis: int, first: int, rows: int) -> Tensor:
    return part if part.shape[axis] == 1 else part.narrow(axis, first, rows)


kernel = UnfoldScan()
