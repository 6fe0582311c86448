"""The torch side: one differentiable function over two raw operators, reached by three doors.

* Nothing needs a derivative: the backend is called directly, on plain tensors, outside of the dispatcher.
* Eager with a derivative: `_Recurrence`, an autograd function with backward, jvp and vmap.
* Under torch.compile and export: one opaque operator, whose autograd kernel calls that same function.

Inside, tensors are canonical (see `multirec.backend`); the user's axes are views made outside.
"""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from . import _formula
from ._arrays import hand_over, spec_of
from ._canonical import operands_in, signal_out, split_tail_gradient, tail, tails, to_channels_time
from ._function import call_of, specs_of, state_out
from ._plan import Plan
from ._problem import HALF_DTYPES, Call, Layout, Spec, as_layout, build_call, canonical_problem, join_shape, plan_problem
from ._select import check_name, plan_for
from ._state import State
from .backend import Needs, Operands

_Optional: TypeAlias = Tensor | None

_OPERANDS = "Tensor x, Tensor? feedforward, Tensor? feedback, Tensor? inputs, Tensor? outputs"
_CHOICES = "str layout, bool reverse, str backend"

_library = torch.library.Library("multirec", "DEF")
_library.define(f"forward({_OPERANDS}, {_CHOICES}) -> (Tensor, Tensor, Tensor)")
_library.define(
    f"adjoint({_OPERANDS}, Tensor y, Tensor grad_y, Tensor? grad_inputs, Tensor? grad_outputs, bool[] needs, {_CHOICES})"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor)"
)
_library.define(f"recurrence({_OPERANDS}, {_CHOICES}) -> (Tensor, Tensor, Tensor)")


def recurrence(
    x: Tensor,
    feedforward: Any,
    feedback: Any,
    inputs: _Optional,
    outputs: _Optional,
    layout: Layout,
    reverse: bool,
    backend: str,
) -> tuple[Tensor, State]:
    """`multirec.recurrence` for torch tensors."""
    if torch.compiler.is_compiling():
        feedforward, feedback = (_as_tensor(c, x) for c in (feedforward, feedback))
        y, *parts = torch.ops.multirec.recurrence(x, feedforward, feedback, inputs, outputs, layout, reverse, backend)
        return y, State(*parts)
    call = call_of((x, feedforward, feedback, inputs, outputs), layout, reverse)
    plan = plan_for(call.problem, backend)
    feedforward, feedback = (_as_tensor(c, x) for c in (feedforward, feedback))
    if _is_plain(x, feedforward, feedback, inputs, outputs):
        operands = operands_in(call, x, feedforward, feedback, inputs, outputs)
        y = plan.forward(operands)
        return signal_out(y, layout, call.batch_shape), state_out(call, *tails(call.problem, operands, y))
    return _differentiable(call, plan.info.name, x, feedforward, feedback, inputs, outputs)


def _as_tensor(coefficients: Any, x: Tensor) -> _Optional:
    if isinstance(coefficients, np.ndarray):
        return hand_over(coefficients, "numpy", "torch").to(x.device)  # type: ignore[no-any-return]
    return coefficients


def _plan(x: Tensor, b: _Optional, a: _Optional, layout: str, reverse: bool, backend: str) -> Plan:
    specs = [None if part is None else spec_of(part, "operand") for part in (b, a)]
    return plan_for(plan_problem(spec_of(x, "x"), *specs, as_layout(layout), reverse), backend)


def _raw_forward(
    x: Tensor, b: _Optional, a: _Optional, inputs: _Optional, outputs: _Optional, layout: str, reverse: bool, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    plan = _plan(x, b, a, layout, reverse, backend)
    operands = Operands(x, b, a, inputs, outputs)
    y = plan.forward(operands)
    return (y, *tails(plan.problem, operands, y))


def _raw_adjoint(
    x: Tensor,
    b: _Optional,
    a: _Optional,
    inputs: _Optional,
    outputs: _Optional,
    y: Tensor,
    grad_y: Tensor,
    grad_inputs: _Optional,
    grad_outputs: _Optional,
    needs: list[bool],
    layout: str,
    reverse: bool,
    backend: str,
) -> tuple[Tensor, ...]:
    operands = Operands(x, b, a, inputs, outputs)
    found = _plan(x, b, a, layout, reverse, backend).vjp(operands, y, grad_y, grad_inputs, grad_outputs, Needs(*needs))
    # outputs of an operator share no memory, and look as its fake says
    small = (
        x.new_empty(0) if grad is None or part is None else grad.to(part.dtype, copy=True).contiguous()
        for grad, part in zip(found[1:], operands[1:], strict=True)
    )
    return (x.new_empty(0) if found.x is None else found.x, *small)


def _raw_recurrence(
    x: Tensor, b: _Optional, a: _Optional, inputs: _Optional, outputs: _Optional, layout: str, reverse: bool, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    call = call_of((x, b, a, inputs, outputs), layout, reverse)
    plan = plan_for(call.problem, backend)
    operands = operands_in(call, x, b, a, inputs, outputs)
    y = plan.forward(operands)
    return (signal_out(y, call.problem.layout, call.batch_shape), *state_out(call, *tails(call.problem, operands, y)))


def _fake_signal(like: Tensor, shape: tuple[int, ...], layout: Layout, dtype: torch.dtype) -> Tensor:
    batch, channels, time = shape
    return to_channels_time(like.new_empty(join_shape((batch,), channels, time, layout), dtype=dtype), layout)


def _fake_forward(
    x: Tensor, b: _Optional, a: _Optional, inputs: _Optional, outputs: _Optional, layout: str, reverse: bool, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    specs = [None if part is None else spec_of(part, "operand") for part in (x, b, a)]
    problem = canonical_problem(cast(Spec, specs[0]), specs[1], specs[2], as_layout(layout), reverse)
    batch, channels, dtype = problem.batch, problem.channels, getattr(torch, problem.y_dtype)
    return (
        _fake_signal(x, (batch, channels, problem.length), problem.layout, dtype),
        _fake_signal(x, (batch, problem.x_channels, problem.input_order), problem.layout, x.dtype),
        _fake_signal(x, (batch, channels, problem.order), problem.layout, dtype),
    )


def _fake_adjoint(
    x: Tensor,
    b: _Optional,
    a: _Optional,
    inputs: _Optional,
    outputs: _Optional,
    y: Tensor,
    grad_y: Tensor,
    grad_inputs: _Optional,
    grad_outputs: _Optional,
    needs: list[bool],
    layout: str,
    reverse: bool,
    backend: str,
) -> tuple[Tensor, ...]:
    others = (
        torch.empty(part.shape, dtype=part.dtype, device=part.device) if part is not None and need else x.new_empty(0)
        for part, need in zip((b, a, inputs, outputs), needs[1:], strict=True)
    )
    grad_x = _fake_signal(x, tuple(x.shape), as_layout(layout), x.dtype) if needs[0] else x.new_empty(0)
    return (grad_x, *others)


def _fake_recurrence(
    x: Tensor, b: _Optional, a: _Optional, inputs: _Optional, outputs: _Optional, layout: str, reverse: bool, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    check_name(backend)
    call = _call((x, b, a, inputs, outputs), layout, reverse)
    problem = call.problem
    dtype, channels = getattr(torch, problem.y_dtype), problem.channels
    x_channels = problem.x_channels
    return (
        x.new_empty(call.y_shape, dtype=dtype),
        x.new_empty(join_shape(call.batch_shape, x_channels, problem.input_order, problem.layout)),
        x.new_empty(join_shape(call.batch_shape, channels, problem.order, problem.layout), dtype=dtype),
    )


def _call(arrays: tuple[_Optional, ...], layout: str, reverse: bool) -> Call:
    """Validate without remembering: symbolic sizes cannot be looked up."""
    x, *others = specs_of(arrays)
    return build_call(cast(Spec, x), others[0], others[1], others[2], others[3], as_layout(layout), reverse)


def _autograd_recurrence(
    x: Tensor, b: _Optional, a: _Optional, inputs: _Optional, outputs: _Optional, layout: str, reverse: bool, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    call = _call((x, b, a, inputs, outputs), layout, reverse)
    y, state = _differentiable(call, backend, x, b, a, inputs, outputs)
    return (y, *state)


for _name, _real, _fake in (
    ("forward", _raw_forward, _fake_forward),
    ("adjoint", _raw_adjoint, _fake_adjoint),
    ("recurrence", _raw_recurrence, _fake_recurrence),
):
    _library.impl(_name, _real, "CompositeExplicitAutograd")
    torch.library.register_fake(f"multirec::{_name}", _fake, lib=_library)
_library.impl("recurrence", _autograd_recurrence, "Autograd")


def _is_plain(*tensors: _Optional) -> bool:
    """Whether these are plain tensors of which no derivative, transform or dispatch mode wants to know."""
    if torch._C._functorch.peek_interpreter_stack() is not None or torch._C._len_torch_dispatch_stack():
        return False
    if forward_ad._current_level >= 0:
        return False
    grad = torch.is_grad_enabled()
    return all(
        t is None or (type(t) in (Tensor, torch.nn.Parameter) and not (grad and t.requires_grad)) for t in tensors
    )


def _differentiable(
    call: Call, backend: str, x: Tensor, feedforward: _Optional, feedback: _Optional, inputs: _Optional, outputs: _Optional
) -> tuple[Tensor, State]:
    problem = call.problem
    operands = operands_in(call, x, feedforward, feedback, inputs, outputs)
    rounded = [
        None if taps is None or part is None else part.to(getattr(torch, taps.dtype))
        for taps, part in ((problem.feedforward, operands.feedforward), (problem.feedback, operands.feedback))
    ]
    y, *parts = _Recurrence.apply(
        operands.x, *rounded, operands.inputs, operands.outputs, problem.layout, problem.reverse, backend
    )
    return signal_out(y, problem.layout, call.batch_shape), state_out(call, *parts)


class _Recurrence(torch.autograd.Function):
    """y and its two tails, as a function of the canonical operands."""

    @staticmethod
    def forward(
        x: Tensor, b: _Optional, a: _Optional, inputs: _Optional, outputs: _Optional, layout: str, reverse: bool, backend: str
    ) -> tuple[Tensor, Tensor, Tensor]:
        return torch.ops.multirec.forward(x, b, a, inputs, outputs, layout, reverse, backend)  # type: ignore[no-any-return]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs[:5], output[0])
        ctx.save_for_forward(*inputs[:5], output[0])
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
            grad_y = torch.zeros((), dtype=y.dtype, device=y.device).expand(y.shape)
        composite = (
            torch.is_grad_enabled()
            or forward_ad._current_level >= 0
            or torch._C._functorch.peek_interpreter_stack() is not None
        )
        adjoint = _adjoint_formula if composite else _adjoint_fused
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
        results = _Recurrence.apply(x, b, a, inputs, outputs, layout, reverse, backend)
        return tuple(part.unflatten(0, (size, batch)) for part in results), (0, 0, 0)


def _fold(part: Tensor, mapped: bool, size: int, batch: int, is_taps: bool) -> Tensor:
    """Fold a mapped axis into the batch axis; coefficients that no example changes stay single."""
    if is_taps and not mapped and part.shape[0] == 1:
        return part
    part = part if mapped else part[None]
    return part.expand(size, batch, *part.shape[2:]).reshape(size * batch, *part.shape[2:])


def _run(layout: str, backend: str) -> _formula.Run:
    """Return the recurrence as `_formula` calls it: differentiable, so that derivatives of any order follow."""

    def run(operands: Operands, reverse: bool) -> Any:
        return _Recurrence.apply(*operands, layout, reverse, backend)[0]

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
    found = torch.ops.multirec.adjoint(*operands, y, grad_y, grad_inputs, grad_outputs, wanted, layout, reverse, backend)
    return tuple(grad if need else None for grad, need in zip(found, wanted, strict=True))
