"""All-pole filters of reflection weights: their feedback and gain, and the derivatives of those."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from . import stable
from .closed_form import Tensors

__all__ = ["MOST", "AllPole", "stepped_down", "stepped_up"]

# beyond it what `pull` is given, p² numbers a filter, takes more memory than is won
MOST = 32


class AllPole(NamedTuple):
    """Feedback (C, p) in `dtype` of reflection weights (C, p), and, if `scaled`, before it the gain (C, 1).

    With that gain a filter keeps the power of white noise. `run` and `pull` go by reflection coefficients of the other
    sign, k = -tanh(weight), for which the step-up makes feedback rather than a denominator.
    """

    dtype: torch.dtype
    scaled: bool = False

    def composed(self, weights: Tensors) -> Tensors:
        (weight,) = weights
        if self.scaled:
            k = stable.reflection(weight, self.dtype)
            return (1 / stable.noise_gain(k)).to(self.dtype).T, stable.feedback(k).to(self.dtype).T
        if weight.shape[-1] == 0:
            return (weight.to(self.dtype),)
        return (stable.feedback(stable.reflection(weight, self.dtype)).to(self.dtype).T,)

    def applies(self, weights: Tensors) -> bool:
        return 0 < weights[0].shape[-1] <= MOST

    def run(self, weights: Tensors) -> tuple[Tensors, Tensors]:
        wide = stable.wide(weights[0])
        bound = stable.bound_of(self.dtype)
        shrink = wide.abs().div_(-bound).clamp_max_(-1.0)
        inside = wide.div(shrink)
        if inside.shape[1] > 2 and not stable.surely_stable(inside.T, bound):
            scale = stable.stable_scale(-inside.T, self.dtype, bound).T
            inside.mul_(scale)
            shrink.div_(scale)
        exact = inside.tanh_()
        rounded = exact.to(self.dtype, copy=True)
        k = exact if exact.dtype == self.dtype else rounded.to(exact.dtype)
        feedback, steps = stepped_up(k, rounded)
        if not self.scaled:
            return (feedback,), (shrink, exact, k, *steps)
        minus_squares = k.mul(k).neg_()
        gain = minus_squares.log1p().sum(1, keepdim=True).mul_(-0.5).exp_().reciprocal_()
        return (gain.to(self.dtype, copy=True), feedback), (shrink, exact, k, *steps, minus_squares, gain)

    def pull(self, weights: Tensors, kept: Tensors, grads: Tensors) -> Tensors:
        shrink, exact, k, *others = kept
        of_k = stepped_down(k, others, grads[-1])
        if self.scaled:
            minus_squares, gain = others[-2:]
            of_k.addcmul_(k.div(minus_squares.add(1.0)), grads[0].mul(gain), value=-1)
        of_weight = torch.ops.aten.tanh_backward(of_k, exact).div_(shrink)
        # in the order of the weight, or autograd copies it
        return (of_weight.to(weights[0].dtype, memory_format=torch.contiguous_format).contiguous(),)


def stepped_up(k: Tensor, rounded: Tensor) -> tuple[Tensor, Tensors]:
    """Return the feedback (C, p) of k, in the memory of k rounded, and what its derivative needs."""
    order = k.shape[1]
    if order == 1:
        return rounded, ()
    first, second, *_ = k.unbind(1)
    left = 1.0 - second
    if order == 2:
        torch.mul(first, left, out=rounded.select(1, 0))
        return rounded, (left,)
    # taps are first here, so that each is one contiguous row; flipped[m] is the feedback of order m from its end
    k = k.T
    taps = k.clone(memory_format=torch.contiguous_format)
    flipped = torch.zeros((order, *taps.shape), dtype=taps.dtype, device=taps.device)
    flipped[1:, 0] = k[:-1]
    torch.mul(first, left, out=flipped[2, 1])
    taps[0] = flipped[2, 1]
    # added, as `stable.feedback` does: a GPU may round a difference in another way
    minus = k.neg()
    for m in range(2, order):
        last, before, after = minus[m : m + 1], taps[:m], flipped[m, :m]
        if m + 1 < order:
            torch.addcmul(after, last, before, out=flipped[m + 1, 1 : m + 1])
        before.addcmul_(last, after)
    return rounded.copy_(taps.T), (flipped,)


def stepped_down(k: Tensor, kept: list[Tensor], grad: Tensor) -> Tensor:
    """Return the gradient of k from that of the feedback, (C, p) each, in new memory."""
    order = k.shape[1]
    if order <= 2:
        of_k = grad.to(k.dtype, copy=True)
        if order == 2:
            of_first, of_second = of_k.unbind(1)
            of_second.addcmul_(k.select(1, 0), of_first, value=-1)
            of_first.mul_(kept[0])
        return of_k
    # of_taps[m] is the gradient of the feedback of order m + 1, taps first
    (flipped, *_), k = kept, k.T
    of_taps = torch.zeros_like(flipped)
    of_taps[-1] = grad.T
    for m in range(order - 1, 0, -1):
        own = of_taps[m, :m]
        torch.addcmul(own, k[m : m + 1], own.flip(0), value=-1, out=of_taps[m - 1, :m])
    return of_taps.diagonal() - of_taps.mul(flipped).sum(1).T
