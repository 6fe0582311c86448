"""Static feedback: all blocks at once, from their true carries (see `_tables` for the matrices).

Filters that this would be wrong for, as `_bound` predicts, go through `_substitution`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from ._bound import most, predicted_loss
from ._plan import Plan
from ._repair import repair
from ._substitution import substitute
from ._tables import build_tables, group_length, responses

__all__ = ["Blocks"]


class Blocks:
    """The recurrence of `feedback` (outer|1, inner|1, 1, p) over blocks of samples."""

    def __init__(self, feedback: Tensor, plan: Plan) -> None:
        self.feedback, self.order, self.plan, self.reverse = feedback, feedback.shape[-1], plan, plan.reverse
        self.taps = feedback.reshape(-1, self.order)
        answers = responses(self.taps, plan.block)
        self.tables = build_tables(answers, plan.reverse, feedback.device, plan.dtype, plan.wide)
        lost = predicted_loss(self.taps, answers).to(feedback.device) > most(plan.dtype, plan.wide)
        self.careful = lost.nonzero()[:, 0]

    def __call__(self, u: Tensor, carry: Tensor, span: slice, out: Tensor) -> Tensor:
        """Write the outputs of `u` (outer, inner, N, L), whatever its `span`, to `out`.

        `carry` (outer, inner, p) holds the outputs before it; the one that leaves its last group is returned.
        """
        sets, careful = len(self.taps), len(self.careful)
        last = self._products(u, carry, out) if careful < sets else carry.new_empty(carry.shape)
        newest = out[..., 0, : self.order] if self.reverse else out[..., -1, -self.order :]
        if careful:
            samples, outputs = (part.view(sets, -1, u.shape[2] * u.shape[3]) for part in (u, out))
            substitute(self.taps, self.careful, samples, carry.reshape(sets, -1, self.order), outputs, self.reverse)
            ends = newest.reshape(sets, -1, self.order)[self.careful]
            last.view(sets, -1, self.order)[self.careful] = ends.to(last.dtype)
        taps = self.feedback.expand(*carry.shape[:2], 1, self.order)
        wrong = repair(u, out, carry, lambda outer, inner, block: taps[outer, inner], self.reverse)
        last[wrong] = newest[wrong].to(self.plan.wide)
        return last

    def _products(self, u: Tensor, carry: Tensor, out: Tensor) -> Tensor:
        """Write the outputs to `out` and return the carry that leaves the last group."""
        sets, _, length = self.tables.response.shape
        rows, y = u.view(sets, -1, length), out.view(sets, -1, length)
        torch.bmm(rows, self.tables.response, out=y)
        ends = out[..., : self.order] if self.reverse else out[..., -self.order :]
        carries, last = self._carries(ends.to(self.plan.wide), carry)
        y.baddbmm_(carries.reshape(sets, -1, self.order).to(y.dtype), self.tables.decay)
        return last

    def _carries(self, ends: Tensor, carry: Tensor) -> tuple[Tensor, Tensor]:
        """Return the carry that enters each block (outer, inner, N, p), and the one that leaves the last group."""
        outer, inner, blocks, p = ends.shape
        # a block that went wrong is noticed later; here it must not reach the blocks before it, as 0 · nan
        ends = torch.where(ends.isfinite(), ends, 0)
        sets, group = self.tables.mix.shape[0], group_length(p, self.plan.block)
        short = -blocks % group
        ends = pad(ends, (0, 0, short, 0) if self.reverse else (0, 0, 0, short))
        mixed = ends.view(sets, -1, group * p) @ self.tables.mix
        mixed = mixed.view(sets, -1, (blocks + short) // group, group + 1, p)
        leaving, entering = (0, slice(1, None)) if self.reverse else (group, slice(0, group))
        jump = self.tables.reach[..., :p] if self.reverse else self.tables.reach[..., -p:]
        state, states = carry.reshape(sets, -1, p), []
        steps = mixed[..., leaving, :].unbind(2)
        for step in reversed(steps) if self.reverse else steps:
            states.append(state)
            state = torch.baddbmm(step, state, jump)
        entered = torch.stack(states[::-1] if self.reverse else states, 2)
        reached = entered.view(sets, -1, p) @ self.tables.reach
        carries = mixed.add_(reached.view_as(mixed))[..., entering, :].reshape(outer, inner, -1, p)
        carries = carries[:, :, short:] if self.reverse else carries[:, :, :blocks]
        return carries, state.reshape(outer, inner, p)
