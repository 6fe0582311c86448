"""What is elementwise in the RG-LRU before its recurrence, in closed form."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import gelu, softplus

from .._weights.closed_form import Tensors
from .gated import takes, wide

__all__ = ["Gates", "sample"]

_C = 8.0
_LEAST = 5e-4
"""Below it the derivative of the square root goes no further: it is infinite at 0, where a gate is shut."""


class Gates(NamedTuple):
    """Of (x, logits (…, 2·W), decay weight (W,)): gates a, values √(1 - a²)·σ(i)·x, with a = exp(-8·softplus(w)·σ(r)).

    Where `first` is True nothing stands before a sample, and the square root is 1.
    """

    first: Tensor | None

    def composed(self, weights: Tensors) -> Tensors:
        x, logits, weight = weights
        share, recurrent = wide(logits).sigmoid().chunk(2, -1)
        log_a = -_C * softplus(wide(weight)) * recurrent
        square = -torch.expm1(2.0 * log_a)
        # below the bound a line that has the square root's value
        line = square.detach().sqrt() + (square - square.detach()) / (2.0 * _LEAST)
        scale = torch.where(square < _LEAST**2, line, square.clamp_min(_LEAST**2).sqrt())
        if self.first is not None:
            scale = scale.masked_fill(self.first, 1.0)
        return log_a.exp(), (x * share * scale).to(x.dtype)

    def applies(self, weights: Tensors) -> bool:
        return takes(weights) and weights[0].dtype == weights[1].dtype

    def run(self, weights: Tensors) -> tuple[Tensors, Tensors]:
        x, logits, weight = weights
        both = logits.sigmoid()
        share, recurrent = both.chunk(2, -1)
        decay = softplus(weight).mul_(-_C)
        gates = (recurrent * decay).exp_()
        scale = (recurrent * decay.mul_(2.0)).expm1_().neg_().sqrt_()
        if self.first is not None:
            scale.masked_fill_(self.first, 1.0)
        return (gates, (x * share).mul_(scale)), (both, gates, scale)

    def pull(self, weights: Tensors, kept: Tensors, grads: Tensors) -> Tensors:
        x, logits, weight = weights
        both, gates, scale = kept
        of_gates, of_values = grads
        share, recurrent = both.chunk(2, -1)
        of_logits = torch.empty_like(logits)
        of_share, of_recurrent = of_logits.chunk(2, -1)
        sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
        scaled = of_values * scale
        of_x = scaled * share
        torch.mul(scaled, x, out=of_share)
        # scale is of no use any more but here
        of_scale = torch.mul(of_values, x, out=scaled).mul_(share)
        of_scale.div_(scale.clamp_min(_LEAST)).mul_(gates)
        if self.first is not None:
            of_scale.masked_fill_(self.first, 0.0)
        of_log_a = torch.sub(of_gates, of_scale, out=of_scale).mul_(gates)
        sigmoid_backward(of_share, share, grad_input=of_share)
        torch.mul(of_log_a, softplus(weight).mul_(-_C), out=of_recurrent)
        sigmoid_backward(of_recurrent, recurrent, grad_input=of_recurrent)
        of_decay = of_log_a.mul_(recurrent).reshape(-1, len(weight)).sum(0)
        return of_x, of_logits, of_decay.mul_(weight.sigmoid().mul_(-_C))


def sample(x: Tensor, share: Tensor, recurrent: Tensor, weight: Tensor, past: Tensor, *others: Tensor) -> Tensors:
    """Return the output and h of one sample that another stands before: of x, logits (i, r), w and the last h.

    After them there may be the two branches of Griffin's block: then the output is h times the GELU of the first.
    """
    log_a = -_C * softplus(weight) * torch.sigmoid(recurrent)
    # without the bound of `Gates`: nothing differentiates this
    values = x * torch.sigmoid(share) * torch.sqrt(-torch.expm1(2.0 * log_a))
    h = torch.addcmul(values, torch.exp(log_a), past)
    return h * gelu(others[0], approximate="tanh") if others else h, h
