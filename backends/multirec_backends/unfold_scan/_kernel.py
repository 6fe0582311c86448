"""Blocks instead of samples: the feedforward part for all t, then the recurrence without a loop over t.

    u[t] = Σ_j feedforward[j] · x[t-j]              `_feedforward`, q + 1 multiply-adds
    y[t] = u[t] + Σ_k feedback[k] · y[t-k]          `_blocks`, matrix products, where feedback is constant;
                                                    `_scan`, by halving, where it changes over time (order 1)
    what is not finite                              `_repair`

The work goes piece by piece (some sequences, a span of time) through two scratch buffers, so that it needs
little memory besides y. Carries between blocks, spans and pieces are in float64, where the device has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import torch
from torch import Tensor

from multirec.backend import Allocate, Operands, Problem

from ._blocks import Blocks
from ._feedforward import feedforward
from ._scan import Scan
from ._tables import block_length, group_length

__all__ = ["UnfoldScan", "kernel"]

_PIECES = 16
_SMALL = 1 << 20


class UnfoldScan:
    """A forward-only kernel: `multirec.adjoint` derives its gradient."""

    def forward(self, problem: Problem, operands: Operands, allocate: Allocate) -> Tensor:
        """Return y (B, C, T)."""
        y: Tensor = allocate(problem.channels, problem.y_dtype)
        if y.numel():
            _forward(problem, operands, y)
        return y


def _forward(problem: Problem, operands: Operands, y: Tensor) -> None:
    p, reverse, taps = problem.order, problem.reverse, problem.feedback
    batch_axis, filters = 0, y.shape[0] * y.shape[1] if taps is None else taps.batch * taps.channels
    if problem.channels > 1 and (taps is None or taps.batch == 1):
        # axes that share filters are inner ones: one product serves them all
        operands = Operands(*(None if part is None else part.transpose(0, 1) for part in operands))
        batch_axis, y = 1, y.transpose(0, 1)
    block = block_length(max(p, 1), y.numel() // filters)
    rows, span = _piece(problem, block * group_length(max(p, 1)))
    dtype = _working_dtype(y)
    wide = dtype if y.device.type == "mps" else (torch.complex128 if dtype.is_complex else torch.float64)
    scratch = torch.empty((2, rows * problem.channels * (span + block)), dtype=dtype, device=y.device)
    solve: Blocks | Scan | None = None
    for first in range(0, problem.batch, rows):
        x, b, a, past_x, past_y = (_part(part, batch_axis, first, rows) for part in operands)
        y_ = y.narrow(batch_axis, first, min(rows, problem.batch - first))
        outer, inner, length = y_.shape
        carry = y_.new_zeros((outer, inner, p), dtype=wide) if past_y is None else past_y.to(wide)
        if a is not None and p and (solve is None or a.shape[batch_axis] > 1):
            solve = Scan(a, reverse) if a.shape[2] > 1 else Blocks(a, block, reverse, dtype, wide)
        for where in _spans(length, span, reverse):
            n = where.stop - where.start
            blocks = (outer, inner, -(-n // block), block)
            u, out = (part[: prod(blocks)].view(blocks) for part in scratch)
            short = blocks[2] * block - n
            inside, beyond = (slice(short, None), slice(0, short)) if reverse else (slice(0, n), slice(n, None))
            u.flatten(2)[..., beyond].zero_()
            feedforward(u.flatten(2)[..., inside], x, b, past_x, where.start, reverse)
            if solve is not None:
                carry = solve(u, carry, where, out)
            y_[..., where] = (u if solve is None else out).flatten(2)[..., inside]


def _piece(problem: Problem, unit: int) -> tuple[int, int]:
    """Return how many examples, and how many samples of them, make a piece; `unit` divides a part of the samples."""
    example = problem.channels * problem.length
    budget = max(_SMALL, problem.batch * example // _PIECES)
    rows = min(problem.batch, budget // example)
    return (rows, problem.length) if rows else (1, max(1, budget // (problem.channels * unit)) * unit)


def _spans(length: int, span: int, reverse: bool) -> Iterator[slice]:
    """Cut the signal into spans, in the order of time; the last one may be shorter."""
    for done in range(0, length, span):
        size = min(span, length - done)
        yield slice(length - done - size, length - done) if reverse else slice(done, done + size)


def _part(operand: Tensor | None, axis: int, first: int, rows: int) -> Tensor | None:
    if operand is None or operand.shape[axis] == 1:
        return operand
    return operand.narrow(axis, first, min(rows, operand.shape[axis] - first))


def _working_dtype(y: Tensor) -> torch.dtype:
    """Return what y is computed in: float32 for half types, double where float32 products would be rounded."""
    dtype = torch.float32 if y.dtype in (torch.float16, torch.bfloat16) else y.dtype
    if torch.get_float32_matmul_precision() == "highest" or y.device.type == "mps":
        return dtype
    return {torch.float32: torch.float64, torch.complex64: torch.complex128}.get(dtype, dtype)


kernel = UnfoldScan()
