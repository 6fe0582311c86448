"""The recurrence as one torch autograd function: backward, jvp and vmap, to any order.

First derivatives in plain eager mode, and under torch.compile, are the backend's own adjoint. Wherever a derivative is
itself to be differentiated or transformed, the adjoint's formula is computed by this same function.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.autograd import forward_ad

from .._calculus import formula
from .._core.arrays import name_of
from .._core.axes import split_tail_gradient, tail
from .._core.problem import in_precision, real_precision
from .._core.validate import Choices
from ..backend import Needs, Operands
from .operators import raw

_Optional: TypeAlias = Tensor | None

__all__ = ["Like", "adjoint_formula", "adjoint_operator", "apply", "like", "transformed"]


def apply(operands: Operands, choices: Choices) -> tuple[Tensor, Tensor, Tensor]:
    """Return (y, tail of the inputs, tail of the outputs) of canonical tensors, differentiably."""
    found: tuple[Tensor, Tensor, Tensor] = _Recurrence.apply(*operands, *choices)  # type: ignore[no-untyped-call]
    return found


def transformed() -> bool:
    """Whether a functorch transform or a forward-mode level is active."""
    return forward_ad._current_level >= 0 or torch._C._functorch.peek_interpreter_stack() is not None


class Like(NamedTuple):
    """What a backward pass knows of a signal that it does not read."""

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device

    def zeros(self) -> Tensor:
        """Return zeros of the signal's shape in the memory of one."""
        return torch.zeros((), dtype=self.dtype, device=self.device).expand(self.shape)


def like(signal: Tensor) -> Like:
    return Like(signal.shape, signal.dtype, signal.device)


class _Recurrence(torch.autograd.Function):
    """y and its two tails, as a function of the canonical operands."""

    @staticmethod
    def forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
        return raw.forward(*arguments)  # type: ignore[no-any-return]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        (x, *others), y = inputs[:5], output[0]
        # x and y are for the gradients of coefficients: without those the caller may drop or change them
        _, of_feedforward, of_feedback, *_ = ctx.needs_input_grad
        ctx.save_for_backward(x if of_feedforward else None, *others, y if of_feedback else None)
        ctx.save_for_forward(x, *others, y)
        ctx.like = like(x), like(y)
        ctx.choices = Choices(*inputs[5:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, grad_y: _Optional, grad_inputs: _Optional, grad_outputs: _Optional) -> Any:
        x, *others, y = ctx.saved_tensors
        like_x, like_y = ctx.like
        wanted = list(ctx.needs_input_grad[:5])
        if not any(wanted) or (grad_y is None and grad_inputs is None and grad_outputs is None):
            return (None,) * 9
        operands = Operands(like_x.zeros() if x is None else x, *others)
        grad_y = like_y.zeros() if grad_y is None else grad_y
        y = grad_y if y is None else y
        adjoint = adjoint_formula if torch.is_grad_enabled() or transformed() else adjoint_operator
        found = adjoint(operands, y, grad_y, grad_inputs, grad_outputs, wanted, ctx.choices)
        return (*found, *[None] * 4)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        *parts, y = ctx.saved_tensors
        operands, moves = Operands(*parts), Operands(*tangents[:5])
        layout, reverse, *_ = ctx.choices
        if all(move is None for move in moves):
            return None, None, None
        wide, x_dtype = _widening(operands.x, ctx.choices), operands.x.dtype
        operands, moves = Operands(*map(wide, operands)), Operands(*map(wide, moves))
        tangent = formula.tangent(_run(ctx.choices), operands, moves, wide(y), reverse)
        q = 0 if operands.feedforward is None else operands.feedforward.shape[-1] - 1
        p = 0 if operands.feedback is None else operands.feedback.shape[-1]
        x_moves = torch.zeros_like(operands.x) if moves.x is None else moves.x
        kept = tail(x_moves, moves.inputs, q, layout, reverse), tail(tangent, moves.outputs, p, layout, reverse)
        return tangent.to(y.dtype), kept[0].to(x_dtype), kept[1]

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> Any:
        size = info.batch_size
        tensors = [
            part if part is None or dim is None else part.movedim(dim, 0)
            for part, dim in zip(arguments[:5], in_dims[:5], strict=True)
        ]
        mapped = [dim is not None for dim in in_dims[:5]]
        batch = tensors[0].shape[1 if mapped[0] else 0]
        x, b, a, inputs, outputs = (
            None if part is None else _fold(part, is_mapped, size, batch, is_taps)
            for part, is_mapped, is_taps in zip(tensors, mapped, (False, True, True, False, False), strict=True)
        )
        results = apply(Operands(x, b, a, inputs, outputs), Choices(*arguments[5:]))
        return tuple(part.reshape(size, batch, *part.shape[1:]) for part in results), (0, 0, 0)


# torch binds the arguments of every call, and would work this out anew each time
_Recurrence.forward.__signature__ = signature(_Recurrence.forward)  # type: ignore[attr-defined]


def _fold(part: Tensor, mapped: bool, size: int, batch: int, is_taps: bool) -> Tensor:
    """Fold a mapped axis into the batch axis; coefficients that no example changes stay single."""
    if is_taps and not mapped and part.shape[0] == 1:
        return part
    part = part if mapped else part[None]
    return part.expand(size, batch, *part.shape[2:]).reshape(size * batch, *part.shape[2:])


def _run(choices: Choices) -> formula.Run:
    """Return the recurrence as `formula` calls it: differentiable, so that derivatives of any order follow."""

    def run(operands: Operands, reverse: bool) -> Any:
        return apply(operands, choices._replace(reverse=reverse))[0]

    return run


def _widening(x: Tensor, choices: Choices) -> Callable[[_Optional], Any]:
    """Return the cast to the precision that derivatives are computed in, which is that of the recurrence."""
    real = choices.compute_dtype or real_precision(name_of(x.dtype))

    def wide(part: _Optional) -> _Optional:
        return None if part is None else part.to(getattr(torch, in_precision(name_of(part.dtype), real)))

    return wide


def adjoint_formula(
    operands: Operands,
    y: Tensor,
    grad_y: Tensor,
    grad_inputs: _Optional,
    grad_outputs: _Optional,
    wanted: list[bool],
    choices: Choices,
) -> tuple[_Optional, ...]:
    """Return the gradients by operations that are themselves differentiable."""
    length, reverse = y.shape[-1], choices.reverse
    wide, own = _widening(operands.x, choices), operands
    x, *others = operands
    operands = Operands(wide(x) if wanted[1] else x, *map(wide, others))
    y = wide(y) if wanted[2] else y
    grad_y, grad_inputs, grad_outputs = map(wide, (grad_y, grad_inputs, grad_outputs))
    past_x, block_x = split_tail_gradient(grad_inputs, length, reverse)
    past_y, block_y = split_tail_gradient(grad_outputs, length, reverse)
    if block_y is not None:
        grad_y = grad_y + _pad(block_y, length, not reverse)
    found = formula.gradients(_run(choices), operands, y, grad_y, Needs(*wanted), reverse)
    grad_x, in_state, out_state = found.x, found.inputs, found.outputs
    if grad_x is not None and block_x is not None:
        grad_x = grad_x + _pad(block_x, length, not reverse)
    if in_state is not None and past_x is not None:
        in_state = in_state + _pad(past_x, in_state.shape[-1], not reverse)
    if out_state is not None and past_y is not None:
        out_state = out_state + _pad(past_y, out_state.shape[-1], not reverse)
    grads = (grad_x, found.feedforward, found.feedback, in_state, out_state)
    return tuple(
        None if grad is None or part is None or not need else grad.to(part.dtype)
        for grad, part, need in zip(grads, own, wanted, strict=True)
    )


def _pad(part: Tensor, length: int, at_end: bool) -> Tensor:
    gap = length - part.shape[-1]
    return torch.nn.functional.pad(part, (gap, 0) if at_end else (0, gap))


def adjoint_operator(
    operands: Operands,
    y: Tensor,
    grad_y: Tensor,
    grad_inputs: _Optional,
    grad_outputs: _Optional,
    wanted: list[bool],
    choices: Choices,
) -> tuple[_Optional, ...]:
    """Return the gradients by the backend's own adjoint, in one pass."""
    found = raw.adjoint(*operands, y, grad_y, grad_inputs, grad_outputs, wanted, *choices)
    return tuple(grad if need else None for grad, need in zip(found, wanted, strict=True))
