"""Time-varying feedback of order 1: y[t] = a[t] y[t-1] + u[t], solved by halving.

Two steps in a row are one step of the same kind, with the product of their coefficients:

    y[t+1] = (a[t+1] a[t]) y[t-1] + (a[t+1] u[t] + u[t+1])

So the second samples of all pairs are a recurrence of half the length, and the first ones follow from them.
It takes log₂ T levels, about 3 T multiply-adds in all, no division and no logarithm. The products are in
float64: those of float32 numbers just below 1 would all be rounded in one direction.
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
        samples, outputs = u.flatten(2), out.flatten(2)
        scan(a, samples, carry, outputs, self.reverse)
        if u.dtype == carry.dtype:
            outputs += _missing(a, samples, carry, outputs, self.reverse)
        taps = a.reshape(*a.shape[:2], *u.shape[2:], 1).expand(*u.shape, 1)
        repair(u, out, carry, lambda *block: taps[block], self.reverse)
        return (out[..., 0, :1] if self.reverse else out[..., -1, -1:]).to(carry.dtype, copy=True)


def _missing(a: Tensor, u: Tensor, carry: Tensor, y: Tensor, reverse: bool) -> Tensor:
    """Return what rounding took from `y`: the recurrence of what every sample lacks.

    Halving rounds a sample several times, whatever its neighbour got. Stepping follows its own errors instead, and
    they cancel where a filter takes differences, as the gradient of a DC blocker does.
    """
    before = torch.cat((y[..., 1:], carry) if reverse else (carry, y[..., :-1]), -1)
    lacks, missing = torch.addcmul(u - y, a, before).nan_to_num_(0, 0, 0), torch.empty_like(y)
    scan(a, lacks, torch.zeros_like(carry), missing, reverse)
    return missing


def scan(a: Tensor, u: Tensor, carry: Tensor, out: Tensor, reverse: bool) -> None:
    """Write y (..., n) of `a` and `u` (..., n) to `out`; `carry` (..., 1) is the output before the first sample.

    All but the last rounding is in the precision of `carry`.
    """
    half = u.shape[-1] // 2
    # a sample without a partner is the last one in the order of time
    odd, pairs = slice(2 * half, None), slice(0, 2 * half)
    if reverse:
        odd, pairs = slice(0, -2 * half or None), slice(-2 * half, None)
    before_odd = carry
    if half:
        (a1, a2), (u1, u2), (y1, y2) = (_halves(part[..., pairs], reverse) for part in (a, u, out))
        ends = torch.empty(u2.shape, dtype=carry.dtype, device=u.device)
        wide_a2 = a2.to(carry.dtype)
        scan(wide_a2 * a1, torch.addcmul(u2.to(carry.dtype), wide_a2, u1), carry, ends, reverse)
        y2.copy_(ends)
        rest, edge = (slice(0, -1), slice(-1, None)) if reverse else (slice(1, None), slice(0, 1))
        torch.addcmul(u1[..., rest], a1[..., rest], y2[..., 1:] if reverse else y2[..., :-1], out=y1[..., rest])
        torch.addcmul(u1[..., edge], a1[..., edge], carry, out=y1[..., edge])
        before_odd = ends[..., :1] if reverse else ends[..., -1:]
    torch.addcmul(u[..., odd], a[..., odd], before_odd, out=out[..., odd])


def _halves(part: Tensor, reverse: bool) -> tuple[Tensor, Tensor]:
    """Return the first and the second samples of all pairs, in the order of time."""
    even, odd = part[..., 0::2], part[..., 1::2]
    return (odd, even) if reverse else (even, odd)
