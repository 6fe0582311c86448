"""How one problem is cut into pieces, spans and blocks, and in which precision it is computed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

from multirec.backend import Problem

from ._tables import block_length, group_length

__all__ = ["Plan", "make_plan"]

_PIECES = 16
_SMALL = 1 << 18


class Plan(NamedTuple):
    """The sizes and types of one problem."""

    rows: int
    """Examples in a piece."""
    span: int
    """Samples of them that are computed at a time; a whole number of groups, or all."""
    block: int
    """L, samples in a block."""
    dtype: torch.dtype
    """What samples are computed in."""
    wide: torch.dtype
    """What carries are computed in."""
    reverse: bool

    def spans(self, length: int) -> Iterator[slice]:
        """Cut the signal into spans, in the order of time; the last one may be shorter."""
        for done in range(0, length, self.span):
            size = min(self.span, length - done)
            yield slice(length - done - size, length - done) if self.reverse else slice(done, done + size)


def make_plan(problem: Problem) -> Plan:
    """Plan a problem that has at least one sample."""
    taps, order = problem.feedback, max(problem.order, 1)
    example = problem.channels * problem.length
    total = problem.batch * example
    block = block_length(order, total // (taps.batch * taps.channels) if taps else 1)
    budget = max(_SMALL, total // _PIECES)
    rows, span = min(problem.batch, budget // example), problem.length
    if not rows:
        group = block * group_length(order, block)
        rows, span = 1, max(1, budget // (problem.channels * group)) * group
    return Plan(rows, span, block, *_dtypes(problem), problem.reverse)


def _dtypes(problem: Problem) -> tuple[torch.dtype, torch.dtype]:
    wide = torch.complex128 if problem.is_complex else torch.float64
    narrow = torch.complex64 if problem.is_complex else torch.float32
    if problem.device_type == "mps":
        return narrow, narrow
    exact = problem.compute_dtype == "float32" and _products_are_exact(problem.device_type)
    return narrow if exact else wide, wide


def _products_are_exact(device: str) -> bool:
    """Whether float32 matrix products keep the digits of their factors, which is torch's global setting."""
    backend = torch.backends.cuda if device == "cuda" else torch.backends.mkldnn
    precision = getattr(getattr(backend, "matmul", None), "fp32_precision", None)
    if precision is None:  # before torch 2.9
        return torch.get_float32_matmul_precision() == "highest"
    return precision in ("none", "ieee")
