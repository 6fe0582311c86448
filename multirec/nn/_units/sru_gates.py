"""What is elementwise in SRU: of v1 around its recurrence, in closed form, and of one sample all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .._weights.closed_form import Tensors
from .gated import takes, wide

__all__ = ["Gates", "Highway", "Sample"]


class Gates(NamedTuple):
    """Of (u, f, r): gates σ(f), values (1 - σ(f))·u, and σ(r)."""

    def composed(self, weights: Tensors) -> Tensors:
        (projected,) = weights
        u, forget, reset = wide(projected).chunk(3, -1)
        forget = forget.sigmoid()
        return forget, (u - forget * u).to(projected.dtype), reset.sigmoid().to(projected.dtype)

    def applies(self, weights: Tensors) -> bool:
        return takes(weights)

    def run(self, weights: Tensors) -> tuple[Tensors, Tensors]:
        u, forget, reset = weights[0].chunk(3, -1)
        forget, reset = forget.sigmoid(), reset.sigmoid()
        return (forget, u - forget * u, reset), (forget, reset)

    def pull(self, weights: Tensors, kept: Tensors, grads: Tensors) -> Tensors:
        forget, reset = kept
        of_forget, of_values, of_reset = grads
        grad = torch.empty_like(weights[0])
        of_u, of_f, of_r = grad.chunk(3, -1)
        aten = torch.ops.aten
        torch.addcmul(of_forget, of_values, weights[0].chunk(3, -1)[0], value=-1, out=of_f)
        aten.sigmoid_backward.grad_input(of_f, forget, grad_input=of_f)
        aten.sigmoid_backward.grad_input(of_reset, reset, grad_input=of_r)
        torch.addcmul(of_values, of_values, forget, value=-1, out=of_u)
        return (grad,)


class Highway(NamedTuple):
    """Of (c, r, skip): w + r·(c - w), w = scale·skip, in the data type of c."""

    scale: float

    def composed(self, weights: Tensors) -> Tensors:
        c, reset, skip = weights
        skip = skip * self.scale
        return ((skip + (c - skip) * reset).to(c.dtype),)

    def applies(self, weights: Tensors) -> bool:
        return takes(weights) and weights[0].dtype == weights[2].dtype

    def run(self, weights: Tensors) -> tuple[Tensors, Tensors]:
        c, reset, skip = weights
        return (torch.sub(c, skip, alpha=self.scale).mul_(reset).add_(skip, alpha=self.scale),), ()

    def pull(self, weights: Tensors, kept: Tensors, grads: Tensors) -> Tensors:
        c, reset, skip = weights
        (grad,) = grads
        of_c = grad * reset
        of_skip = torch.sub(grad, of_c)
        if self.scale != 1:
            of_skip.mul_(self.scale)
        return of_c, torch.sub(c, skip, alpha=self.scale).mul_(grad), of_skip


@dataclass(frozen=True)
class Sample:
    """One sample: of (u, f, r[, skip]), c, biases, weights of c unless `v1`, and x, the output and c then."""

    v1: bool
    highway: bool
    projected: bool
    scale: float
    activation: str

    def __call__(self, u: Tensor, forget: Tensor, reset: Tensor, *numbers: Tensor) -> tuple[Tensor, Tensor]:
        given = iter(numbers)
        skip = next(given) if self.projected else None
        past = next(given)
        forget, reset = forget + next(given), reset + next(given)
        if not self.v1:
            forget, reset = (torch.addcmul(logit, next(given), past) for logit in (forget, reset))
        c = torch.lerp(u, past, torch.sigmoid(forget))
        active = c if self.activation == "identity" else torch.tanh(c)
        reset = torch.sigmoid(reset)
        if not self.highway:
            return active * reset, c
        return torch.lerp(next(given) * self.scale if skip is None else skip, active, reset), c
