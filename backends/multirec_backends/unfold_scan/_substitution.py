"""Static feedback that products of matrices would lose: block after block, each a triangle that is solved.

Within a block, outputs and inputs are related by a triangular matrix with ones on its diagonal and the taps below,

    y[l] - Σ_k a[k] · y[l-k] = u[l]         for k ≤ l; what comes from before the block is added to u

and forward substitution rounds what stepping from sample to sample rounds.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["substitute"]

_LONG, _SHORT, _FEW = 512, 64, 32
"""Samples in a block: many where there are few sequences, so that there are fewer blocks."""


def substitute(taps: Tensor, which: Tensor, u: Tensor, past: Tensor, out: Tensor, reverse: bool) -> None:
    """Write the outputs of some filters to `out`.

    Parameters
    ----------
    taps
        Feedback of the S filters, (S, p).
    which
        Indices of those to compute.
    u, out
        Feedforward part and outputs, (S, R, T): R sequences for each filter.
    past
        The outputs before, (S, R, p).
    """
    everyone = len(which) == len(taps)
    if not everyone:
        taps, past = taps[which], past[which]
    taps, past = taps.to(u.dtype), past.to(u.dtype)
    p, total = taps.shape[1], u.shape[2]
    size = min(_LONG if past.shape[:2].numel() <= _FEW else _SHORT, total)
    triangle, onto = _matrices(taps, size, reverse)
    for done in range(0, total, size):
        count = min(size, total - done)
        start, reached = total - done - count if reverse else done, min(p, count)
        here = slice(start, start + count)
        block = u[..., here].clone(memory_format=torch.contiguous_format) if everyone else u[..., here][which]
        if reverse:
            block[..., count - reached :] += past @ onto[..., p - reached :]
        else:
            block[..., :reached] += past @ onto[..., :reached]
        part = triangle if count == size else triangle[:, :count, :count]
        solved = torch.linalg.solve_triangular(part, block.mT, upper=reverse, unitriangular=True).mT
        if everyone:
            out[..., here] = solved
        else:
            out[..., here][which] = solved
        if count < p:
            solved = torch.cat((solved, past) if reverse else (past, solved), 2)
        past = solved[..., :p] if reverse else solved[..., -p:]


def _matrices(taps: Tensor, size: int, reverse: bool) -> tuple[Tensor, Tensor]:
    """Return the triangle (S, size, size), and what past outputs give to a block's first samples (S, p, p)."""
    sets, p = taps.shape
    triangle = torch.eye(size, dtype=taps.dtype, device=taps.device).repeat(sets, 1, 1)
    onto = taps.new_zeros(sets, p, p)
    for k, tap in enumerate(taps.unbind(1), start=1):
        if k < size:
            triangle.diagonal(-k, 1, 2).copy_(-tap[:, None])
        onto.diagonal(k - p, 1, 2).copy_(tap[:, None])
    return (triangle.mT, onto.flip(1, 2)) if reverse else (triangle, onto)
