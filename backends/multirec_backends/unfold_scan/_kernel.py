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

from collections.abc import Iterator
from math import prod
from typing import Any, Protocol

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


class Solver(Protocol):
    """A recurrence over blocks."""

    def __call__(self, u: Tensor, carry: Tensor, span: slice, out: Tensor) -> Tensor:
        """Write the outputs of `u` (outer, inner, N, L), which is `span` of the signal, to `out`.

        `carry` (outer, inner, p) holds the outputs before it; the one for the next span is returned.
        """


class UnfoldScan:
    """A forward-only kernel: `multirec.adjoint` derives its gradient."""

    def forward(self, problem: Problem, operands: Operands, allocate: Allocate) -> Tensor:
        """Return y (B, C, T)."""
        y: Tensor = allocate(problem.channels, problem.y_dtype)
        if not y.numel():
            return y
        taps, p = problem.feedback, max(problem.order, 1)
        own_filters = taps is not None and taps.batch > 1
        batch_axis = 0 if own_filters or problem.channels == 1 else 1
        signal = y
        if batch_axis:
            operands = Operands(*(None if part is None else part.transpose(0, 1) for part in operands))
            signal = y.transpose(0, 1)
        block = block_length(p, y.numel() // (taps.batch * taps.channels) if taps else 1)
        rows, span = _piece(problem, block * group_length(p))
        dtype, wide = _dtypes(y)
        u_and_out = torch.empty((2, rows * problem.channels * (span + block)), dtype=dtype, device=y.device)
        solve: Solver | None = None
        for first in range(0, problem.batch, rows):
            piece = Operands(*(None if part is None else _cut(part, batch_axis, first, rows) for part in operands))
            if problem.order and (solve is None or own_filters):
                solve = _solver(piece.feedback, block, problem.reverse, dtype, wide)
            _run(piece, _cut(signal, batch_axis, first, rows), solve, problem.reverse, u_and_out, (span, block), wide)
        return y


def _solver(feedback: Any, block: int, reverse: bool, dtype: torch.dtype, wide: torch.dtype) -> Solver:
    varies = feedback.shape[2] > 1
    return Scan(feedback, reverse) if varies else Blocks(feedback, block, reverse, dtype, wide)


def _run(
    operands: Operands,
    y: Tensor,
    solve: Solver | None,
    reverse: bool,
    u_and_out: Tensor,
    sizes: tuple[int, int],
    wide: torch.dtype,
) -> None:
    """Compute one piece `y` (outer, inner, T), span by span."""
    (outer, inner, length), (span, block) = y.shape, sizes
    p = 0 if operands.feedback is None else operands.feedback.shape[-1]
    past = operands.outputs
    carry = y.new_zeros((outer, inner, p), dtype=wide) if past is None else past.to(wide)
    for where in _spans(length, span, reverse):
        n = where.stop - where.start
        blocks = (outer, inner, -(-n // block), block)
        u, out = (part[: prod(blocks)].view(blocks) for part in u_and_out)
        short = blocks[2] * block - n
        inside, beyond = (slice(short, None), slice(0, short)) if reverse else (slice(0, n), slice(n, None))
        u.flatten(2)[..., beyond].zero_()
        feedforward(u.flatten(2)[..., inside], operands.x, operands.feedforward, operands.inputs, where.start, reverse)
        if solve is None:
            out = u
        else:
            carry = solve(u, carry, where, out)
        y[..., where] = out.flatten(2)[..., inside]


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


def _cut(part: Tensor, axis: int, first: int, rows: int) -> Tensor:
    return part if part.shape[axis] == 1 else part.narrow(axis, first, min(rows, part.shape[axis] - first))


def _dtypes(y: Tensor) -> tuple[torch.dtype, torch.dtype]:
    """Return what y is computed in, and what carries are: float64, where the device has it."""
    dtype = torch.float32 if y.dtype in (torch.float16, torch.bfloat16) else y.dtype
    if y.device.type == "mps":
        return dtype, dtype
    wide = torch.complex128 if dtype.is_complex else torch.float64
    # a lower global setting would silently round the factors of float32 products
    return dtype if torch.get_float32_matmul_precision() == "highest" else wide, wide


kernel = UnfoldScan()
