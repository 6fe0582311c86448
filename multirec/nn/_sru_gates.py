"""What is elementwise in SRU v1 around its recurrence: gates and values before, the highway after, in closed form."""

from __future__ import annotations

from typing import NamedTuple

import torch

from ._closed_form import Tensors
from ._gated import takes, wide

__all__ = ["Gates", "Highway"]


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
