"""Recurrences of frames on tensors: the kernel where plain tensors meet it, else recurrences chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from .._core.state import State
from .._core.validate import NAMES
from .._memory.hand_over import placed
from ..backend import Needs
from .cascade import meets_kernels
from .composed import check_unchanged, gradients, is_differentiated
from .door import GRADIENT, wanted_of

__all__ = ["framed"]

Arrays: TypeAlias = tuple[Any, ...]
Compose: TypeAlias = Callable[..., tuple[Tensor, State]]


def framed(arrays: Arrays, bound: Callable[[Arrays], Any], compose: Compose) -> tuple[Tensor, State]:
    """Return y and the state of (x, feedforward, feedback, inputs, outputs); `compose` computes them by recurrences."""
    launcher = bound(arrays).launcher if meets_kernels(arrays) else None
    if launcher is None:
        return compose(*arrays)
    if wanted_of(arrays) != GRADIENT:
        return launcher(arrays)  # type: ignore[no-any-return]
    if True in [isinstance(part, np.ndarray) for part in arrays]:
        # copied, since backward reads them and could not know that they changed
        problem = launcher.plan.problem
        arrays = tuple(placed(np.array(part), problem) if isinstance(part, np.ndarray) else part for part in arrays)
        launcher = bound(arrays).launcher
    y, *state = _Framed.apply(launcher, compose, *arrays)  # type: ignore[no-untyped-call]
    return y, State(*state)


class _Framed(torch.autograd.Function):
    """y and the two parts of the state, as a function of the caller's tensors."""

    @staticmethod
    def forward(ctx: Any, launcher: Any, compose: Compose, *tensors: Any) -> tuple[Tensor, Tensor, Tensor]:
        y, state = launcher(tensors)
        x, *others = tensors
        # x and y are for the gradients of coefficients: without those the caller may drop or change them
        _, _, _, of_feedforward, of_feedback, *_ = ctx.needs_input_grad
        ctx.save_for_backward(x if of_feedforward or of_feedback else None, *others, y if of_feedback else None)
        ctx.launcher, ctx.compose = launcher, compose
        ctx.set_materialize_grads(False)
        return y, state.inputs, state.outputs

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if grads == (None, None, None):
            return (None,) * 7
        (*tensors, y), launcher = ctx.saved_tensors, ctx.launcher
        check_unchanged((*NAMES, "y"), (*tensors, y), launcher.made_for)
        needs = Needs(*ctx.needs_input_grad[2:])
        if is_differentiated(grads):
            return None, None, *gradients(_flat(ctx.compose), launcher.made_for[0], tensors, grads, needs)
        return None, None, *launcher.vjp(tuple(tensors), y, *grads, needs)


def _flat(compose: Compose) -> Callable[..., tuple[Tensor, ...]]:
    def run(*tensors: Any) -> tuple[Tensor, ...]:
        y, state = compose(*tensors)
        return (y, *state)

    return run
