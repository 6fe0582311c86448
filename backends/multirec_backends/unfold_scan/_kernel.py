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
    taps = problem.feedback
    if problem.channels > 1 and (taps is None or taps.batch == 1):
        # the axis that has filters of its own goes first: its tables then serve the other axis in one product
        operands = Operands(*(None if part is None else part.transpose(0, 1) for part in operands))
        y = y.transpose(0, 1)
    x, b, a, past_x, past_y = operands
    (outer, inner, length), p, reverse = y.shape, problem.order, problem.reverse
    filters = taps.batch * taps.channels if taps is not None else 1
    block = block_length(max(p, 1), y.numel() // filters)
    rows, span = _piece(outer, inner, length, block * group_length(max(p, 1)))
    dtype = _working_dtype(y)
    wide = dtype if y.device.type == "mps" else (torch.complex128 if dtype.is_complex else torch.float64)
    size = min(rows, outer) * inner * (min(span, length) + block)
    scratch = torch.empty((2, size), dtype=dtype, device=y.device)
    for first in range(0, outer, rows):
        mine = slice(first, first + rows)
        x_, b_, a_, past_x_, past_y_ = (_part(operand, mine) for operand in (x, b, a, past_x, past_y))
        y_ = y[mine]
        carry = y.new_zeros((len(y_), inner, p), dtype=wide) if past_y_ is None else past_y_.to(wide)
        solve = None
        if a_ is not None and p:
            solve = Scan(a_, reverse) if a_.shape[2] > 1 else Blocks(a_, block, reverse, dtype, wide)
        for where in _spans(length, span, reverse):
            n = where.stop - where.start
            padded = n + -n % block
            u, out = (part[: len(y_) * inner * padded].view(len(y_), inner, padded) for part in scratch)
            inside = slice(padded - n, None) if reverse else slice(0, n)
            u[..., : padded - n if reverse else 0].zero_()
            u[..., padded if reverse else n :].zero_()
            feedforward(u[..., inside], x_, b_, past_x_, where.start, reverse)
            if solve is not None:
                blocks = (len(y_), inner, -1, block)
                carry = solve(u.view(blocks), carry, where, out.view(blocks))
            y_[..., where] = (u if solve is None else out)[..., inside]


def _piece(outer: int, inner: int, length: int, unit: int) -> tuple[int, int]:
    """Return how many sequences of the outer axis and how many samples make a piece; `unit` divides the latter."""
    budget = max(_SMALL, outer * inner * length // _PIECES)
    rows = min(outer, budget // (inner * length))
    return (rows, length) if rows else (1, max(1, budget // (inner * unit)) * unit)


def _spans(length: int, span: int, reverse: bool) -> Iterator[slice]:
    """Cut the signal into spans, in the order of time; the last one may be shorter."""
    for done in range(0, length, span):
        size = min(span, length - done)
        yield slice(length - done - size, length - done) if reverse else slice(done, done + size)


def _part(operand: Tensor | None, rows: slice) -> Tensor | None:
    return operand if operand is None or operand.shape[0] == 1 else operand[rows]


def _working_dtype(y: Tensor) -> torch.dtype:
    """Return what y is computed in: float32 for half types, double where float32 products would be rounded."""
    dtype = torch.float32 if y.dtype in (torch.float16, torch.bfloat16) else y.dtype
    if torch.get_float32_matmul_precision() == "highest" or y.device.type == "mps":
        return dtype
    return {torch.float32: torch.float64, torch.complex64: torch.complex128}.get(dtype, dtype)


kernel = UnfoldScan()
