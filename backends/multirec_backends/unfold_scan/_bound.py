"""What products of matrices lose against stepping from sample to sample, predicted from the coefficients."""

from __future__ import annotations

import torch
from torch import Tensor

from ._tables import Responses

__all__ = ["most", "predicted_loss"]


def most(dtype: torch.dtype, wide: torch.dtype) -> float:
    """Return the predicted loss up to which the measured one stays below 3.

    Carries in the samples' own type use a rounded table again and again, for as long as an impulse lasts.
    """
    return 1.0 if dtype == wide else 1.6


def predicted_loss(taps: Tensor, answers: Responses) -> Tensor:
    """Return the error of block products over that of stepping (S,), for feedback `taps` (S, p).

    A block starts from outputs that are rounded each for themselves. Where stepping rounds a sum of taps and
    outputs, what follows is consistent with it; here the difference, the taps' norm, goes through the response over
    the block, p times in L samples.
    """
    length, p = answers.decay.shape[1:]
    wide = taps.to(answers.decay)
    norm = torch.sqrt(1 + wide.abs().square().sum(1))
    loss: Tensor = norm * answers.impulse.abs().square().sum(1).sqrt() * (p / length) ** 0.5
    return loss
