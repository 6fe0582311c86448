"""What steps of filters share: the last samples as a state has them, in the order of memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["moved_on", "weighted"]


def weighted(start: Tensor, weights: Sequence[Tensor], past: Sequence[Tensor], reverse: bool) -> Tensor:
    """Return start + Σ weights[k]·(the sample k + 1 before); with `reverse` the nearest is the first in memory."""
    total = start
    nearest = past if reverse else past[::-1]
    for weight, sample in reversed(list(zip(weights, nearest, strict=True))):
        total = torch.addcmul(total, weight, sample)
    return total


def moved_on(past: Sequence[Tensor], newest: Tensor, reverse: bool) -> tuple[Tensor, ...]:
    """Return what the state holds after a sample."""
    if not past:
        return ()
    return (newest, *past[:-1]) if reverse else (*past[1:], newest)
