"""Static feedback that products of matrices would lose: block after block, each a triangle that is solved.

Within a block, outputs and inputs are related by a triangular matrix with ones on its diagonal and the taps below,

    y[l] - Σ_k a[k] · y[l-k] = u[l]         for k ≤ l; what comes from before the block is added to u

and forward substitution rounds what stepping from sample to sample rounds.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ._plan import Plan
from ._repair import repair

__all__ = ["Substitution"]

_LONG, _SHORT, _FEW = 256, 64, 32
"""Samples in a block: many where there are few sequences, so that there are fewer blocks."""


class Substitution:
    """The recurrence of `feedback` (outer|1, inner|1, 1, p) over blocks in turn."""

    def __init__(self, feedback: Tensor, plan: Plan) -> None:
        self.feedback, self.plan = feedback.to(plan.dtype), plan

    def __call__(self, u: Tensor, carry: Tensor, span: slice, out: Tensor) -> Tensor:
        """Write the outputs of `u` (outer, inner, N, L), whatever its `span`, to `out`.

        `carry` (outer, inner, p) holds the outputs before it; those at its end are returned.
        """
        reverse, p = self.plan.reverse, self.feedback.shape[-1]
        taps = self.feedback.reshape(-1, p)
        samples, outputs = (part.view(len(taps), -1, part.shape[2] * part.shape[3]) for part in (u, out))
        total = samples.shape[2]
        size = min(_LONG if samples.shape[:2].numel() <= _FEW else _SHORT, total)
        triangle, onto = _matrices(taps, max(size, p), reverse)
        past = carry.to(u.dtype).reshape(len(taps), -1, p)
        for done in range(0, total, size):
            count = min(size, total - done)
            start = total - done - count if reverse else done
            here = slice(start, start + count)
            block = samples[..., here].clone(memory_format=torch.contiguous_format)
            reached = min(p, count)
            if reverse:
                block[..., count - reached :] += past @ onto[..., p - reached :]
            else:
                block[..., :reached] += past @ onto[..., :reached]
            solved = torch.linalg.solve_triangular(
                triangle[:, :count, :count], block.mT, upper=reverse, unitriangular=True
            ).mT
            outputs[..., here] = solved
            past = torch.cat((solved, past) if reverse else (past, solved), 2)
            past = past[..., :p] if reverse else past[..., -p:]
        each = self.feedback.expand(*carry.shape[:2], 1, p)
        repair(u, out, carry, lambda outer, inner, block: each[outer, inner], reverse)
        return (out[..., 0, :p] if reverse else out[..., -1, -p:]).to(self.plan.wide, copy=True)


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
