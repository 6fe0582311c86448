"""The recurrence as one torch autograd function: backward, jvp and vmap, to any order.

First derivatives in plain eager mode, and under torch.compile, are the backend's own adjoint. Wherever a derivative is
itself to be differentiated or transformed, the adjoint's formula is computed by this same function.
"""

from __future__ import annotations

from inspect import signature
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd import forward_ad

from . import _formula
from ._canonical import split_tail_gradient, tail
from ._problem import HALF_DTYPES
from ._torch_ops import raw
from .backend import Needs, Operands

_Optional: TypeAlias = Tensor | None

__all__ = ["apply", "transformed"]


def apply(operands: Operands, layout: str, reverse: bool, backend: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return (y, tail of the inputs, tail of the outputs) of canonical tensors, differentiably."""
    found: tuple[Tensor, Tensor, Tensor] = _Recurrence.apply(*operands, layout, reverse, backend)  # type: ignore[no-untyped-call]
    return found


def transformed() -> bool:
    """Whether a functorch transform or a forward-mode level is active."""
    return forward_ad._current_level >= 0 or torch._C._functorch.peek_interpreter_stack() is not None


class _Recurrence(torch.autograd.Function):
    """y and its two tails, as a function of the canonical operands."""

    @staticmethod
    def forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
        return raw.forward(*arguments)  # type: ignore[no-any-return]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        # only feedback's gradient looks at y: for any other, the caller may drop it or change it in place
        ctx.save_for_backward(*inputs[:5], output[0] if ctx.needs_input_grad[2] else None)
        ctx.save_for_forward(*inputs[:5], output[0])
        ctx.like_y = (output[0].shape, output[0].dtype)
        ctx.choices = inputs[5:]
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, grad_y: _Optional, grad_inputs: _Optional, grad_outputs: _Optional) -> Any:
        *parts, y = ctx.saved_tensors
        operands, choices = Operands(*parts), ctx.choices
        wanted = list(ctx.needs_input_grad[:5])
        if not any(wanted) or (grad_y is None and grad_inputs is None and grad_outputs is None):
            return (None,) * 8
        if grad_y is None:
            shape, dtype = ctx.like_y
            grad_y = torch.zeros((), dtype=dtype, device=operands.x.device).expand(shape)
        y = grad_y if y is None else y
        adjoint = _adjoint_formula if torch.is_grad_enabled() or transformed() else _adjoint_fused
        return (*adjoint(operands, y, grad_y, grad_inputs, grad_outputs, wanted, *choices), None, None, None)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        *parts, y = ctx.saved_tensors
        operands, moves = Operands(*parts), Operands(*tangents[:5])
        layout, reverse, backend = ctx.choices
        if all(move is None for move in moves):
            return None, None, None
        wide, narrow = _precision(operands.x)
        operands, moves, y_wide = wide(operands), wide(moves), wide((y,))[0]
        tangent = _formula.tangent(_run(layout, backend), operands, moves, y_wide, reverse)
        q = 0 if operands.feedforward is None else operands.feedforward.shape[-1] - 1
        p = 0 if operands.feedback is None else operands.feedback.shape[-1]
        x_moves = torch.zeros_like(operands.x) if moves.x is None else moves.x
        kept = tail(x_moves, moves.inputs, q, layout, reverse), tail(tangent, moves.outputs, p, layout, reverse)
        return narrow(tangent), narrow(kept[0]), narrow(kept[1])

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> Any:
        size, (layout, reverse, backend) = info.batch_size, arguments[5:]
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
        results = apply(Operands(x, b, a, inputs, outputs), layout, reverse, backend)
        return tuple(part.reshape(size, batch, *part.shape[1:]) for part in results), (0, 0, 0)


# torch binds the arguments of every call, and would work this out anew each time
_Recurrence.forward.__signature__ = signature(_Recurrence.forward)  # type: ignore[attr-defined]


def _fold(part: Tensor, mapped: bool, size: int, batch: int, is_taps: bool) -> Tensor:
    """Fold a mapped axis into the batch axis; coefficients that no example changes stay single."""
    if is_taps and not mapped and part.shape[0] == 1:
        return part
    part = part if mapped else part[None]
    return part.expand(size, batch, *part.shape[2:]).reshape(size * batch, *part.shape[2:])


def _run(layout: str, backend: str) -> _formula.Run:
    """Return the recurrence as `_formula` calls it: differentiable, so that derivatives of any order follow."""

    def run(operands: Operands, reverse: bool) -> Any:
        return apply(operands, layout, reverse, backend)[0]

    return run


def _precision(x: Tensor) -> Any:
    """Return casts to and from the precision that derivatives are computed in."""
    if str(x.dtype).removeprefix("torch.") not in HALF_DTYPES:
        return (lambda parts: parts), (lambda part: part)

    def wide(parts: Any) -> Any:
        cast = [part if part is None else part.float() for part in parts]
        return Operands(*cast) if isinstance(parts, Operands) else cast

    return wide, lambda part: part.to(x.dtype)


def _adjoint_formula(
    operands: Operands,
    y: Tensor,
    grad_y: Tensor,
    grad_inputs: _Optional,
    grad_outputs: _Optional,
    wanted: list[bool],
    layout: str,
    reverse: bool,
    backend: str,
) -> tuple[_Optional, ...]:
    """Return the gradients by operations that are themselves differentiable."""
    length = y.shape[-1]
    wide, _ = _precision(operands.x)
    own = operands
    operands, (y, grad_y, grad_inputs, grad_outputs) = wide(operands), wide((y, grad_y, grad_inputs, grad_outputs))
    past_x, block_x = split_tail_gradient(grad_inputs, length, reverse)
    past_y, block_y = split_tail_gradient(grad_outputs, length, reverse)
    if block_y is not None:
        grad_y = grad_y + _pad(block_y, length, not reverse)
    found = _formula.gradients(_run(layout, backend), operands, y, grad_y, Needs(*wanted), reverse)
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


def _adjoint_fused(
    operands: Operands,
    y: Tensor,
    grad_y: Tensor,
    grad_inputs: _Optional,
    grad_outputs: _Optional,
    wanted: list[bool],
    layout: str,
    reverse: bool,
    backend: str,
) -> tuple[_Optional, ...]:
    """Return the gradients by the backend's own adjoint, in one pass."""
    found = raw.adjoint(*operands, y, grad_y, grad_inputs, grad_outputs, wanted, layout, reverse, backend)
    return tuple(grad if need else None for grad, need in zip(found, wanted, strict=True))
