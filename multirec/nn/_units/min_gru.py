"""minGRU: a GRU whose gate and candidate see x alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .._weights.closed_form import Tensors
from .gated import ONE, takes, wide
from .minimal import MinimalUnit, positive, pull_positive

__all__ = ["MinGRU"]


@dataclass(frozen=True)
class _Gates:
    """Of (k, candidate): gates 1 - σ(k), values σ(k)·candidate."""

    positive: bool

    def mixture(self, k: Tensor, candidate: Tensor) -> Tensors:
        return torch.sigmoid(k), positive(candidate) if self.positive else candidate

    def composed(self, weights: Tensors) -> Tensors:
        (projected,) = weights
        update, candidate = self.mixture(*wide(projected).chunk(2, -1))
        return 1.0 - update, (update * candidate).to(projected.dtype)

    def applies(self, weights: Tensors) -> bool:
        return takes(weights)

    def run(self, weights: Tensors) -> tuple[Tensors, Tensors]:
        k, candidate = weights[0].chunk(2, -1)
        gates = k.sigmoid()
        kept = (positive(candidate),) if self.positive else ()
        values = gates * (kept[0] if kept else candidate)
        torch.sub(ONE, gates, out=gates)
        return (gates, values), (gates, *kept)

    def pull(self, weights: Tensors, kept: Tensors, grads: Tensors) -> Tensors:
        gates, *found = kept
        of_gates, of_values = grads
        grad = torch.empty_like(weights[0])
        of_k, of_candidate = grad.chunk(2, -1)
        candidate = weights[0].chunk(2, -1)[1]
        torch.mul(of_values, found[0] if found else candidate, out=of_k)
        of_k.sub_(of_gates)
        torch.ops.aten.sigmoid_backward.grad_input(of_k, gates, grad_input=of_k)
        torch.addcmul(of_values, of_values, gates, value=-1, out=of_candidate)
        if found:
            of_candidate.mul_(pull_positive(candidate, found[0]))
        return (grad,)


class MinGRU(MinimalUnit):
    """h[t] = (1 - z)·h[t-1] + z·h̃ with z = σ(W_z x[t] + b_z) and h̃ = W_h x[t] + b_h: minGRU, a linear recurrence.

    Parameters
    ----------
    inputs_dim, hidden_dim
        Numbers of features of x and of the outputs.
    positive
        Pass h̃ through g, which is x + 0.5 from 0 on and σ(x) below: then h is what the paper's version in logarithms
        computes.
    bias
        Whether the projection has one.
    **options
        `layout`, `reverse`, `backend` and `compute_dtype`, as in `SequenceUnit`.
    device, dtype
        Of the weights. Gates of half types are computed in float32, and so is the state.

    Source: Feng et al., "Were RNNs All We Needed?", 2024.

    Example
    -------
    >>> unit = MinGRU(3, 5)
    >>> outs, state = unit(torch.randn(20, 2, 3))
    >>> outs.shape, state.outputs.shape
    (torch.Size([20, 2, 5]), torch.Size([1, 2, 5]))
    >>> out, state = unit.step(torch.randn(2, 3), state.detach())
    """

    _gates = _Gates
    _parts = 2
