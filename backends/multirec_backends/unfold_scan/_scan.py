"""Time-varying feedback of order 1: y[t] = a[t] y[t-1] + u[t], solved by halving.

Two steps in a row are one step of the same kind, with the product of their coefficients:

    y[t+1] = (a[t+1] a[t]) y[t-1] + (a[t+1] u[t] + u[t+1])

So the second samples of all pairs are a recurrence of half the length, and the first ones follow from them.
It takes log₂ T levels, about 3 T multiply-adds in all, no division and no logarithm.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from ._repair import repair

__all__ = ["Scan"]


class Scan:
    """The recurrence of `feedback` (outer|1, inner|1, T, 1)."""

    def __init__(self, feedback: Tensor, reverse: bool) -> None:
        self.feedback, self.reverse = feedback[..., 0], reverse

    def __call__(self, u: Tensor, carry: Tensor, span: slice, out: Tensor) -> Tensor:
        """Write the outputs of `u` (outer, inner, N, L) to `out`, and return the last one (outer, inner, 1).

        u is `span` of the signal, filled up with zeros after it (before it with reverse).
        """
        a = self.feedback[..., span]
        short = u.shape[2] * u.shape[3] - a.shape[-1]
        if short:
            a = pad(a, (short, 0) if self.reverse else (0, short))
        scan(a, u.flatten(2), carry, out.flatten(2), self.reverse)
        blocks = a.unflatten(-1, u.shape[2:])
        taps = blocks.expand(*u.shape[:2], *blocks.shape[2:])[..., None]
        repair(u, out, carry, lambda *block: taps[block], self.reverse)
        return out[..., 0, :1] if self.reverse else out[..., -1, -1:]


def scan(a: Tensor, u: Tensor, carry: Tensor, out: Tensor, reverse: bool) -> None:
    """Write y (..., n) of `a` and `u` (..., n) to `out`; `carry` (..., 1) is the output before the first sample."""
    half = u.shape[-1] // 2
    # an odd sample is the last one in the order of time
    odd, pairs = (slice(0, -2 * half), slice(-2 * half, None)) if reverse else (slice(2 * half, None), slice(0, 2 * half))
    if half == 0:
        torch.addcmul(u, a, carry, out=out)
        return
    first, second = (1, 0) if reverse else (0, 1)
    a_first, u_first, y_first = (x[..., pairs][..., first::2] for x in (a, u, out))
    a_second, u_second = (x[..., pairs][..., second::2] for x in (a, u))
    ends = torch.empty_like(u_second, memory_format=torch.contiguous_format)
    scan(a_second * a_first, torch.addcmul(u_second, a_second, u_first), carry, ends, reverse)
    out[..., pairs][..., second::2] = ends
    if reverse:
        torch.addcmul(u_first[..., :-1], a_first[..., :-1], ends[..., 1:], out=y_first[..., :-1])
        torch.addcmul(u_first[..., -1:], a_first[..., -1:], carry, out=y_first[..., -1:])
        torch.addcmul(u[..., odd], a[..., odd], ends[..., :1], out=out[..., odd])
    else:
        torch.addcmul(u_first[..., 1:], a_first[..., 1:], ends[..., :-1], out=y_first[..., 1:])
        torch.addcmul(u_first[..., :1], a_first[..., :1], carry, out=y_first[..., :1])
        torch.addcmul(u[..., odd], a[..., odd], ends[..., -1:], out=out[..., odd])
