"""minLSTM: an LSTM whose gates and candidate see x alone, and sum up to 1."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from .._weights.closed_form import Tensors
from .gated import takes, wide
from .minimal import MinimalUnit, positive, pull_positive

__all__ = ["MinLSTM"]


@dataclass(frozen=True)
class _Gates:
    """Of (f, i, candidate): gates σ(f)/(σ(f) + σ(i)), values (1 - gates)·candidate."""

    positive: bool

    def mixture(self, f: Tensor, i: Tensor, candidate: Tensor) -> Tensors:
        return torch.sigmoid(softplus(-f) - softplus(-i)), positive(candidate) if self.positive else candidate

    def composed(self, weights: Tensors) -> Tensors:
        (projected,) = weights
        f, i, candidate = wide(projected).chunk(3, -1)
        # the share by logarithms, which is right where both gates are 0
        gates = torch.sigmoid(softplus(-i) - softplus(-f))
        candidate = positive(candidate) if self.positive else candidate
        return gates, (candidate - gates * candidate).to(projected.dtype)

    def applies(self, weights: Tensors) -> bool:
        return takes(weights)

    def run(self, weights: Tensors) -> tuple[Tensors, Tensors]:
        f, i, candidate = weights[0].chunk(3, -1)
        gates = softplus(-i).sub_(softplus(-f)).sigmoid_()
        kept = (positive(candidate),) if self.positive else ()
        found = kept[0] if kept else candidate
        return (gates, found - gates * found), (gates, *kept)

    def pull(self, weights: Tensors, kept: Tensors, grads: Tensors) -> Tensors:
        gates, *found = kept
        of_gates, of_values = grads
        grad = torch.empty_like(weights[0])
        of_f, of_i, of_candidate = grad.chunk(3, -1)
        f, i, candidate = weights[0].chunk(3, -1)
        of_share = torch.addcmul(of_gates, of_values, found[0] if found else candidate, value=-1)
        of_share = torch.ops.aten.sigmoid_backward.grad_input(of_share, gates, grad_input=of_share)
        # the derivative of log σ(f) is σ(-f)
        torch.neg(f, out=of_f).sigmoid_().mul_(of_share)
        torch.neg(i, out=of_i).sigmoid_().mul_(of_share).neg_()
        torch.addcmul(of_values, of_values, gates, value=-1, out=of_candidate)
        if found:
            of_candidate.mul_(pull_positive(candidate, found[0]))
        return (grad,)


class MinLSTM(MinimalUnit):
    """h[t] = f'·h[t-1] + i'·h̃ with f' = f/(f + i), i' = i/(f + i): minLSTM, a linear recurrence.

    f = σ(W_f x[t] + b_f), i = σ(W_i x[t] + b_i) and h̃ = W_h x[t] + b_h.

    Parameters
    ----------
    inputs_dim, hidden_dim
        Numbers of features of x and of the outputs.
    positive
        Pass h̃ through g, as in `MinGRU`: then h is what the paper's version in logarithms computes.
    bias
        Whether the projection has one.
    **options
        `layout`, `reverse`, `backend` and `compute_dtype`, as in `SequenceUnit`.
    device, dtype
        Of the weights. Gates of half types are computed in float32, and so is the state.

    Source: Feng et al., "Were RNNs All We Needed?", 2024.

    Example
    -------
    >>> unit = MinLSTM(3, 5, layout="BTC")
    >>> outs, state = unit(torch.randn(2, 20, 3))
    >>> outs.shape, state.outputs.shape
    (torch.Size([2, 20, 5]), torch.Size([2, 1, 5]))
    """

    _gates = _Gates
    _parts = 3
