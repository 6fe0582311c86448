"""What every rank's map comes to: the state before a rank's samples, that after all, and gradients on the way back."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .._summaries.affine import moved_on, unless

__all__ = ["Maps", "Past"]


class Past(NamedTuple):
    """A state, or its gradient, with axes (batch…, channels, samples), in the precision that is computed in."""

    inputs: Tensor
    outputs: Tensor

    def of(self, rank: int) -> Past:
        """Return one rank's, of those of all ranks."""
        return Past(self.inputs[rank], self.outputs[rank])

    def plus(self, other: Past) -> Past:
        return Past(self.inputs + other.inputs, self.outputs + other.outputs)


class Maps(NamedTuple):
    """What each rank's samples do to the state before them, ranks along the first axis; as `Summary` has it.

    `order` are the ranks as the recurrence runs over them.
    """

    transition: Tensor
    moved: Tensor
    cut: Tensor | None
    order: tuple[int, ...]
    reverse: bool

    def states(self, before: Past, ends: Past) -> list[Past]:
        """Return the state before each rank in running order, and the one after all."""
        found = [before]
        for rank in self.order:
            found.append(self._moved(rank, found[-1]).plus(ends.of(rank)))
        return found

    def gradients(self, after: Past, grads: Past) -> list[Past]:
        """Return the gradient of the state before each rank in running order, and of the one after all.

        `grads` are what each rank's samples alone give to the state before them.
        """
        found = [after]
        for rank in reversed(self.order):
            found.append(self._moved_back(rank, found[-1]).plus(grads.of(rank)))
        return found[::-1]

    def _moved(self, rank: int, past: Past) -> Past:
        cut = None if self.cut is None else self.cut[rank]
        both = torch.cat((past.inputs.expand(*past.outputs.shape[:-1], -1), past.outputs), -1)
        outputs = (self.transition[rank] * both[..., None, :]).sum(-1)
        inputs = moved_on(past.inputs, self.moved[rank], self.reverse) if past.inputs.shape[-1] else past.inputs
        return Past(unless(cut, inputs, 2), unless(cut, outputs, 2))

    def _moved_back(self, rank: int, grad: Past) -> Past:
        cut = None if self.cut is None else self.cut[rank]
        q = grad.inputs.shape[-1]
        both = (self.transition[rank].conj() * grad.outputs[..., None]).sum(-2)
        inputs, outputs = both[..., :q], both[..., q:]
        if q:
            if grad.inputs.shape[-2] != inputs.shape[-2]:
                inputs = inputs.sum(-2, keepdim=True)
            inputs = inputs + moved_on(grad.inputs, self.moved[rank], not self.reverse)
        return Past(unless(cut, inputs, 2), unless(cut, outputs, 2))
