"""The torch side of `recurrence`: three doors to one differentiable function.

* Nothing needs a derivative: the backend is called directly, on plain tensors, outside of the dispatcher.
* Eager with a derivative: the autograd function of `_torch_function`.
* Under torch.compile and export: one opaque operator, whose autograd kernel calls that same function.

Inside, tensors are canonical (see `multirec.backend`); the user's axes are views made outside.
"""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from ._arrays import hand_over
from ._canonical import operands_in, signal_out, tails
from ._function import plan_of, specs_of, state_out
from ._problem import Layout, Spec, join_shape
from ._select import check_name
from ._state import State
from ._torch_function import apply, transformed
from ._torch_ops import CHOICES, OPERANDS, library
from ._validate import Call, as_layout, build_call
from .errors import UnsupportedError

_Optional: TypeAlias = Tensor | None


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
        if forward_ad._current_level >= 0:
            raise UnsupportedError(
                "forward-mode derivatives inside torch.compile are not supported: the compiled operator loses them. "
                "Take them of the function before it is compiled."
            )
        feedforward, feedback = (
            torch.as_tensor(c, device=x.device) if isinstance(c, np.ndarray) else c for c in (feedforward, feedback)
        )
        y, *parts = torch.ops.multirec.recurrence(x, feedforward, feedback, inputs, outputs, layout, reverse, backend)
        return y, State(*parts)
    call, plan = plan_of((x, feedforward, feedback, inputs, outputs), layout, reverse, backend)
    feedforward, feedback = (_as_tensor(c, x) for c in (feedforward, feedback))
    if _is_plain(x, feedforward, feedback, inputs, outputs):
        operands = operands_in(call, x, feedforward, feedback, inputs, outputs)
        y = plan.forward(operands)
        return signal_out(y, layout, call.batch_shape), state_out(call, *tails(call.problem, operands, y))
    return _differentiable(call, plan.info.name, x, feedforward, feedback, inputs, outputs)


def _as_tensor(coefficients: Any, x: Tensor) -> _Optional:
    if isinstance(coefficients, np.ndarray):
        coefficients = hand_over(coefficients, "numpy", "torch").to(x.device)
    return cast(_Optional, coefficients)


def _is_plain(*tensors: _Optional) -> bool:
    """Whether these are plain tensors of which no derivative, transform or dispatch mode wants to know."""
    if transformed() or torch._C._len_torch_dispatch_stack() or torch._C._get_tracing_state() is not None:
        return False
    grad = torch.is_grad_enabled()
    return all(
        t is None or (type(t) in (Tensor, torch.nn.Parameter) and not (grad and t.requires_grad)) for t in tensors
    )


def _differentiable(
    call: Call,
    backend: str,
    x: Tensor,
    feedforward: _Optional,
    feedback: _Optional,
    inputs: _Optional,
    outputs: _Optional,
) -> tuple[Tensor, State]:
    problem = call.problem
    operands = operands_in(call, x, feedforward, feedback, inputs, outputs)
    rounded = [
        None if taps is None or part is None else part.to(getattr(torch, taps.dtype))
        for taps, part in ((problem.feedforward, operands.feedforward), (problem.feedback, operands.feedback))
    ]
    operands = operands._replace(feedforward=rounded[0], feedback=rounded[1])
    y, *parts = apply(operands, problem.layout, problem.reverse, backend)
    return signal_out(y, problem.layout, call.batch_shape), state_out(call, *parts)


def _raw_recurrence(
    x: Tensor,
    b: _Optional,
    a: _Optional,
    inputs: _Optional,
    outputs: _Optional,
    layout: str,
    reverse: bool,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    call, plan = plan_of((x, b, a, inputs, outputs), layout, reverse, backend)
    operands = operands_in(call, x, b, a, inputs, outputs)
    y = plan.forward(operands)
    return (signal_out(y, call.problem.layout, call.batch_shape), *state_out(call, *tails(call.problem, operands, y)))


def _fake_recurrence(
    x: Tensor,
    b: _Optional,
    a: _Optional,
    inputs: _Optional,
    outputs: _Optional,
    layout: str,
    reverse: bool,
    backend: str,
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
    x: Tensor,
    b: _Optional,
    a: _Optional,
    inputs: _Optional,
    outputs: _Optional,
    layout: str,
    reverse: bool,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    call = _call((x, b, a, inputs, outputs), layout, reverse)
    y, state = _differentiable(call, backend, x, b, a, inputs, outputs)
    return (y, *state)


library.define(f"recurrence({OPERANDS}, {CHOICES}) -> (Tensor, Tensor, Tensor)")
library.impl("recurrence", _raw_recurrence, "CompositeExplicitAutograd")
library.impl("recurrence", _autograd_recurrence, "Autograd")
torch.library.register_fake("multirec::recurrence", _fake_recurrence, lib=library)
