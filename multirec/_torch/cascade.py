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
from .composed import check_unchanged, gradients, is_differentiated
from .door import ANYTHING, GRADIENT, wanted_of

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
        check_unchanged(("x", "taps", "memory"), tensors, launcher.made_for)
        needs = CascadeNeeds(*ctx.needs_input_grad[2:])
        if is_differentiated(grads):
            return None, None, *gradients(ctx.compose, launcher.made_for[0], tensors, grads, needs)
        return None, None, *launcher.vjp(tensors, *grads, needs)
