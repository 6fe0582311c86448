"""What block products cannot do: sequences that leave the range of floating point, or that hold a NaN.

A product with a zero is not a zero where the other factor is infinite or NaN, so such a sample reaches back
over its block, and a filter's powers may overflow long before its outputs do. All of it shows: the block is
not finite. Those sequences, and no others, are run again one sample at a time from the first such block on.
Whatever a sequence has to say it has said when it passes 1e30 (1e300 in double precision), or is NaN itself:
from the next block on it is NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["repair"]


def repair(
    u: Tensor, y: Tensor, before: Tensor, taps: Callable[[Tensor, Tensor, Tensor], Tensor], reverse: bool
) -> tuple[Tensor, Tensor]:
    """Correct in place the sequences of `y` that are not finite, and return their indices (outer, inner).

    Parameters
    ----------
    u, y
        Feedforward part and outputs, (outer, inner, N, L).
    before
        The p ≤ L outputs before the first block, (outer, inner, p).
    taps
        Gives the coefficients (R, L|1, p) of R blocks from their three indices.
    reverse
        Whether time runs backwards.
    """
    blocks, p = y.shape[2], before.shape[-1]
    good = y.sum(-1).isfinite()
    outer, inner = (~good.all(-1)).nonzero(as_tuple=True)
    wrong = outer, inner
    in_order = good[outer, inner].flip(-1) if reverse else good[outer, inner]
    done = in_order.cumprod(-1).sum(-1)  # leading blocks that are fine
    limit = 1e300 if y.dtype in (torch.float64, torch.complex128) else 1e30
    number = torch.arange(blocks, device=y.device)
    newest = slice(0, p) if reverse else slice(-p, None)
    while len(done):
        block = blocks - 1 - done if reverse else done
        previous = (block + 1 if reverse else block - 1).clamp(0, blocks - 1)
        past = torch.where((done == 0)[:, None], before[outer, inner].to(y.dtype), y[outer, inner, previous][:, newest])
        values = _stepwise(u[outer, inner, block], past, taps(outer, inner, block), reverse)
        y[outer, inner, block] = values
        alive = values.abs().amax(-1) < limit
        over = number < block[~alive, None] if reverse else number > block[~alive, None]
        ended = outer[~alive], inner[~alive]
        y[ended] = y[ended].masked_fill(over[..., None], torch.nan)
        alive &= done < blocks - 1
        outer, inner, done = outer[alive], inner[alive], done[alive] + 1
    return wrong


def _stepwise(u: Tensor, past: Tensor, taps: Tensor, reverse: bool) -> Tensor:
    """Return the outputs (R, L) of R blocks, one sample after the other."""
    samples, steps, history = list(u.unbind(1)), list(taps.unbind(1)), list(past.unbind(1))
    if reverse:
        samples, steps, history = samples[::-1], steps[::-1], history[::-1]
    steps = steps * (len(samples) // len(steps))
    for sample, tap in zip(samples, steps, strict=True):
        for k, coefficient in enumerate(tap.unbind(-1), start=1):
            sample = torch.addcmul(sample, coefficient, history[-k])
        history.append(sample)
    outputs = history[past.shape[1] :]
    return torch.stack(outputs[::-1] if reverse else outputs, 1)
