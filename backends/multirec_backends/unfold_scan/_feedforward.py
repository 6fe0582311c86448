"""The part of the recurrence that looks at inputs only: q + 1 multiply-adds over shifted slices."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["feedforward"]


def feedforward(u: Tensor, x: Tensor, taps: Tensor | None, past: Tensor | None, start: int, reverse: bool) -> None:
    """Write Σ_j taps[j] · x[t-j] for the samples t = start, start + 1, … into `u`.

    Parameters
    ----------
    u
        (outer, inner, n), written in place.
    x, taps, past
        The whole signal (outer, inner|1, T), its coefficients (outer|1, inner|1, T|1, q+1), or None for 1,
        and the q samples that precede it (follow it with `reverse`), or None for zeros.
    start
        Where in memory the span begins; it ends n samples later.
    reverse
        Whether x[t-j] means the sample j later.
    """
    stop, length = start + u.shape[-1], x.shape[-1]
    if taps is None:
        u.copy_(x[..., start:stop])
        return
    for j in range(taps.shape[-1]):
        tap = taps[..., j].expand(-1, -1, length)
        if j == 0:
            torch.mul(tap[..., start:stop], x[..., start:stop].expand_as(u), out=u)
            continue
        shift = j if reverse else -j
        low, high = (min(max(edge, start), stop) for edge in (-shift, length - shift))
        u[..., low - start : high - start].addcmul_(tap[..., low:high], x[..., low + shift : high + shift])
        if past is None:
            continue
        # what lies outside the block is the state, which begins at -q, or at T when time runs backwards
        first, last, origin = (high, stop, length) if reverse else (start, low, -past.shape[-1])
        ago = slice(first + shift - origin, last + shift - origin)
        u[..., first - start : last - start].addcmul_(tap[..., first:last], past[..., ago])
