"""What networks predict of all-pole filters, frame by frame, turned into feedback."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from . import stable
from .all_pole import MOST, stepped_down, stepped_up
from .closed_form import Tensors, coefficients

__all__ = ["KINDS", "Kind", "feedback_of", "finer"]

Kind: TypeAlias = Literal["reflection", "log_area", "lpc"]
KINDS = ("reflection", "log_area", "lpc")


def feedback_of(frames: Tensor, kind: Kind, compute_dtype: str | None) -> Tensor:
    """Return frames (…, p) of feedback, in at least the precision that is computed in."""
    dtype = stable.coefficient_dtype(frames, compute_dtype)
    if kind == "lpc":
        return -frames.to(dtype)
    k = stable.wide(frames)
    if kind == "log_area":
        k = torch.tanh(stable.limited(0.5 * k, stable.bound_of(dtype)))
    (feedback,) = coefficients(_StepUp(dtype), k.reshape(-1, frames.shape[-1]))
    return feedback.reshape(frames.shape)


class _StepUp(NamedTuple):
    """Feedback (N, p) in `dtype` of reflection coefficients (N, p), as `AllPole` has it of weights."""

    dtype: torch.dtype

    def composed(self, weights: Tensors) -> Tensors:
        return (stable.feedback(weights[0].T).to(self.dtype).T,)

    def applies(self, weights: Tensors) -> bool:
        return weights[0].shape[-1] <= MOST

    def run(self, weights: Tensors) -> tuple[Tensors, Tensors]:
        k = weights[0].neg()
        feedback, steps = stepped_up(k, k.to(self.dtype, copy=True))
        return (feedback,), (k, *steps)

    def pull(self, weights: Tensors, kept: Tensors, grads: Tensors) -> Tensors:
        k, *steps = kept
        return (stepped_down(k, steps, grads[0]).neg_(),)


def finer(frames: Tensor, axis: int, count: int) -> Tensor:
    """Return `count` frames for each along an axis, on the line to the next; the last one holds."""
    after = torch.cat([frames.narrow(axis, 1, frames.shape[axis] - 1), frames.narrow(axis, -1, 1)], axis)
    weights = [step / count for step in range(count)]
    return torch.stack([torch.lerp(frames, after, weight) for weight in weights], axis + 1).flatten(axis, axis + 1)
