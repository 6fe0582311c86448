"""Gradients of what a kernel computed, by operations that torch knows: so that they can be differentiated or mapped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .eager import changed, is_batched
from .function import transformed

__all__ = ["check_unchanged", "gradients", "is_differentiated"]


def is_differentiated(grads: Sequence[Any]) -> bool:
    """Whether gradients that are asked for are themselves to be differentiated or mapped."""
    return torch.is_grad_enabled() or transformed() or any(grad is not None and is_batched(grad) for grad in grads)


def check_unchanged(names: Sequence[str], tensors: Sequence[Any], made_for: Sequence[Any]) -> None:
    """Raise unless saved tensors are what a launcher was made for."""
    for name, tensor, made in zip(names, tensors, made_for, strict=True):
        if tensor is not None and (tensor.shape, tensor.dtype, tensor.device) != made:
            raise changed(name, made, tensor)


def gradients(
    compose: Callable[..., Sequence[Tensor]], made_for: Any, tensors: Sequence[Any], grads: Sequence[Any],
    needs: Sequence[bool],
) -> list[Any]:  # fmt: skip
    """Return the gradients of `compose` at tensors, the first of which is x or, if that was not kept, None."""
    (shape, dtype, device), (kept, *others) = made_for, tensors
    x = torch.zeros((), dtype=dtype, device=device).expand(shape) if kept is None else kept
    with torch.enable_grad():
        # each a node of its own: one may have been made of another
        own = [None if part is None else part.view_as(part) for part in (x, *others)]
        wanted = [part for part, need in zip(own, needs, strict=True) if need and part is not None]
        if kept is None and needs[0]:
            # of a signal that was not kept, only the shape matters
            wanted[0].requires_grad_()
        results = compose(*own)
    pairs = [
        (result, grad) for result, grad in zip(results, grads, strict=True) if grad is not None and result.requires_grad
    ]
    if not pairs:
        return [None] * len(needs)
    outputs, weights = zip(*pairs, strict=True)
    graph = torch.is_grad_enabled()
    found = iter(torch.autograd.grad(outputs, wanted, weights, create_graph=graph, allow_unused=True))
    return [next(found) if need else None for need in needs]
