"""The recurrence of plain tensors with a first derivative: the launcher's run, and the backend's own adjoint.

Where the gradient is itself to be differentiated or transformed, it is computed by the formula of `function`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .._core.axes import signal_in, signal_out, state_gradient_out, state_in, taps_gradient_out, taps_in
from .._core.state import State
from .._core.validate import NAMES, Choices
from .._engine.launch import Launcher
from .._memory.allocate import zeros
from ..backend import Needs, Operands
from ..errors import ArgumentError
from .function import adjoint_formula, adjoint_operator, transformed

__all__ = ["changed", "is_batched", "recurrence"]


def recurrence(launcher: Launcher, tensors: tuple[Any, ...]) -> tuple[Tensor, State]:
    """Return y and the state, with their graph."""
    y, inputs, outputs = _Recurrence.apply(launcher, *tensors)  # type: ignore[no-untyped-call]
    return y, State(inputs, outputs)


class _Recurrence(torch.autograd.Function):
    """y and the two parts of the state, as a function of the caller's tensors."""

    @staticmethod
    def forward(ctx: Any, launcher: Launcher, *tensors: Any) -> tuple[Tensor, Tensor, Tensor]:
        y, state = launcher(tensors)
        x, *others = tensors
        # x and y are for the gradients of coefficients: without those the caller may drop or change them
        _, _, of_feedforward, of_feedback, *_ = ctx.needs_input_grad
        ctx.save_for_backward(x if of_feedforward else None, *others, y if of_feedback else None)
        ctx.launcher = launcher
        ctx.set_materialize_grads(False)
        return y, state.inputs, state.outputs

    @staticmethod
    def backward(ctx: Any, grad_y: Any, grad_inputs: Any, grad_outputs: Any) -> Any:
        if grad_y is None and grad_inputs is None and grad_outputs is None:
            return (None,) * 6
        *tensors, y = ctx.saved_tensors
        for name, tensor, made_for in zip((*NAMES, "y"), (*tensors, y), ctx.launcher.made_for, strict=True):
            if tensor is not None and (tensor.shape, tensor.dtype, tensor.device) != made_for:
                raise changed(name, made_for, tensor)
        needs = Needs(*ctx.needs_input_grad[1:])
        given = tuple(tensors), y, grad_y, grad_inputs, grad_outputs, needs
        if torch.is_grad_enabled() or transformed():
            return None, *_by_operators(adjoint_formula, ctx.launcher, *given)
        if True in [grad is not None and is_batched(grad) for grad in given[2:5]]:
            return None, *_by_operators(adjoint_operator, ctx.launcher, *given)
        return None, *ctx.launcher.vjp(*given)


def changed(name: str, made_for: tuple[Any, ...], now: Tensor) -> ArgumentError:
    """Return the error of a tensor that is not what the launcher was made for, whose kernels would read beyond it."""
    both = made_for, (now.shape, now.dtype, now.device)
    own, other = (f"{tuple(shape)}, {dtype} on {device}" for shape, dtype, device in both)
    return ArgumentError(
        f"{name} was of shape {own} when y was computed, and is of shape {other} in backward: its .data was replaced, "
        "or a hook of saved tensors returned something else. Compute y again."
    )


def is_batched(grad: Tensor) -> bool:
    """Whether a gradient is several, as `torch.autograd.grad` has them with `is_grads_batched`."""
    return torch._C._dispatch_keys(grad).has(torch._C.DispatchKey.AutogradOther)


def _by_operators(
    adjoint: Callable[..., tuple[Any, ...]],
    launcher: Launcher,
    tensors: tuple[Any, ...],
    y: Tensor | None,
    grad_y: Tensor | None,
    grad_inputs: Tensor | None,
    grad_outputs: Tensor | None,
    needs: Needs,
) -> tuple[Any, ...]:
    """Return what `Launcher.vjp` does, by operations that torch knows."""
    call, problem = launcher.call, launcher.plan.problem
    x, feedforward, feedback, inputs, outputs = tensors
    taps = partial(taps_in, call=call, rank=len(call.y_shape))

    def signal(tensor: Tensor | None) -> Any:
        return None if tensor is None else signal_in(tensor, problem.layout, problem.batch)

    operands = Operands(
        zeros(problem, problem.x_channels, problem.dtype, "torch") if x is None else signal(x),
        None if problem.feedforward is None else taps(feedforward, problem.feedforward),
        None if problem.feedback is None else taps(feedback, problem.feedback),
        None if inputs is None else state_in(inputs, call),
        None if outputs is None else state_in(outputs, call),
    )
    own_grad = zeros(problem, problem.channels, problem.y_dtype, "torch") if grad_y is None else signal(grad_y)
    choices = Choices(problem.layout, problem.reverse, launcher.plan.info.name, problem.compute_dtype)
    own_y = own_grad if y is None else signal(y)
    found = adjoint(operands, own_y, own_grad, signal(grad_inputs), signal(grad_outputs), list(needs), choices)
    rank = len(call.y_shape)
    grad_x, grad_b, grad_a, grad_i, grad_o = found
    return (
        None if grad_x is None else signal_out(grad_x, problem.layout, call.batch_shape),
        None if grad_b is None else taps_gradient_out(grad_b, call, feedforward.shape, rank),
        None if grad_a is None else taps_gradient_out(grad_a, call, feedback.shape, rank),
        None if grad_i is None else state_gradient_out(grad_i, call, inputs.shape),
        None if grad_o is None else state_gradient_out(grad_o, call, outputs.shape),
    )
