"""Second-order sections of tensors: the kernel's pass where plain tensors meet it, else recurrences one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from .._memory.hand_over import placed
from ..backend import CascadeNeeds
from ..errors import ArgumentError
from .door import ANYTHING, GRADIENT, wanted_of
from .eager import changed, is_batched
from .function import transformed

__all__ = ["meets_kernels", "sections"]

Arrays: TypeAlias = tuple[Any, Any, Any]
Compose: TypeAlias = Callable[..., tuple[Tensor, Tensor, Tensor]]


def sections(
    arrays: Arrays, out: Tensor | None, bound: Callable[[Arrays], Any], compose: Compose
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y, the memory and the ends of (x, taps, memory); `compose` computes them by recurrences."""
    wanted = wanted_of(arrays) if meets_kernels(arrays) else ANYTHING
    differentiated = wanted == GRADIENT or (out is not None and torch.is_grad_enabled() and out.requires_grad)
    if out is not None and (differentiated or wanted == ANYTHING):
        raise ArgumentError(
            "out is given, and a gradient, a transform or a compiler is at work: y needs memory of its own. Leave out "
            "out, or call inside torch.no_grad()."
        )
    launcher = None if wanted == ANYTHING else bound(arrays).launcher
    if launcher is None:
        found = compose(*arrays)
        return found if out is None else (out.copy_(found[0]), *found[1:])
    if wanted != GRADIENT:
        found = launcher(arrays, out)
        if out is not None:
            increment_version(out)
        return found  # type: ignore[no-any-return]
    if isinstance(arrays[1], np.ndarray):
        # copied, since backward reads them and could not know that they changed
        taps = placed(np.array(arrays[1]), launcher.plan.problem)
        arrays = arrays[0], taps, arrays[2]
        launcher = bound(arrays).launcher
    return _Sections.apply(launcher, compose, *arrays)  # type: ignore[no-any-return, no-untyped-call]


def meets_kernels(arrays: Arrays) -> bool:
    """Whether plain tensors are at hand: no compiler, transform, mode or subclass."""
    return not torch.compiler.is_compiling() and not arrays[0].is_meta and wanted_of(arrays) != ANYTHING


class _Sections(torch.autograd.Function):
    """y, memory and ends, as a function of x, taps and memory."""

    @staticmethod
    def forward(ctx: Any, launcher: Any, compose: Compose, *tensors: Any) -> tuple[Tensor, Tensor, Tensor]:
        x, taps, memory = tensors
        _, _, _, of_taps, _ = ctx.needs_input_grad
        # x is for the gradient of taps: without that the caller may drop or change it
        ctx.save_for_backward(x if of_taps else None, taps, memory)
        ctx.launcher, ctx.compose = launcher, compose
        ctx.set_materialize_grads(False)
        return launcher(tensors)  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if grads == (None, None, None):
            return (None,) * 5
        tensors, launcher = ctx.saved_tensors, ctx.launcher
        for name, tensor, made_for in zip(("x", "taps", "memory"), tensors, launcher.made_for, strict=True):
            if tensor is not None and (tensor.shape, tensor.dtype, tensor.device) != made_for:
                raise changed(name, made_for, tensor)
        needs = CascadeNeeds(*ctx.needs_input_grad[2:])
        if torch.is_grad_enabled() or transformed() or any(grad is not None and is_batched(grad) for grad in grads):
            return None, None, *_by_recurrences(ctx.compose, launcher, tensors, grads, needs)
        return None, None, *launcher.vjp(tensors, *grads, needs)


def _by_recurrences(compose: Compose, launcher: Any, tensors: Any, grads: Any, needs: CascadeNeeds) -> list[Any]:
    """Return the gradients by operations that torch knows, so that they can be differentiated or mapped."""
    shape, dtype, device = launcher.made_for[0]
    x, taps, memory = tensors
    x = torch.zeros((), dtype=dtype, device=device).expand(shape) if x is None else x
    with torch.enable_grad():
        # each a node of its own: one may have been made of another
        own = [None if part is None else part.view_as(part) for part in (x, taps, memory)]
        wanted = [part for part, need in zip(own, needs, strict=True) if need and part is not None]
        if x is not tensors[0] and needs.x:
            # of a signal that was not kept, only the shape matters
            wanted[0].requires_grad_()
        results = compose(*own)
    pairs = [(result, grad) for result, grad in zip(results, grads, strict=True) if grad is not None]
    outputs, weights = zip(*pairs, strict=True)
    graph = torch.is_grad_enabled()
    found = iter(torch.autograd.grad(outputs, wanted, weights, create_graph=graph, allow_unused=True))
    return [next(found) if need else None for need in needs]
