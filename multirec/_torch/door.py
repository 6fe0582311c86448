"""The torch side of `recurrence`: three doors to one differentiable function.

* Nothing needs a derivative: the backend is called directly, on plain tensors, outside of the dispatcher.
* Eager with a derivative: the autograd function of `_torch_function`.
* Under torch.compile and export, and on device meta: one opaque operator, whose autograd kernel calls that same
  function.

Inside, tensors are canonical (see `multirec.backend`); the user's axes are views made outside.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from .._core.axes import in_computed_types, operands_in, signal_out
from .._core.problem import join_shape
from .._core.state import State
from .._core.validate import Call, Choices, build_call
from .._engine.call import compute, plan_of, specs_of
from .._engine.plan import bind
from .._engine.precision import settled, tell_once
from .._memory.hand_over import placed
from .._registry.choice import check_name
from ..backend import Operands
from ..errors import UnsupportedError
from .function import apply, transformed
from .operators import CHOICES, OPERANDS, library


def recurrence(arrays: tuple[Any, ...], choices: Choices) -> tuple[Tensor, State]:
    """`multirec.recurrence` for torch tensors: (x, feedforward, feedback, inputs, outputs)."""
    x, *others = arrays
    if torch.compiler.is_compiling() or x.is_meta:
        if forward_ad._current_level >= 0:
            raise UnsupportedError(
                "forward-mode derivatives inside torch.compile, or of tensors on device meta, are not supported: the "
                "operator used there loses them. Take them of the function before it is compiled."
            )
        if not torch.compiler.is_compiling():
            choices = settled(specs_of(arrays), arrays, choices)
        others = [torch.as_tensor(c, device=x.device) if isinstance(c, np.ndarray) else c for c in others]
        y, *parts = torch.ops.multirec.recurrence(x, *others, *choices)
        return y, State(*parts)
    call, plan = plan_of(arrays, choices)
    if _is_plain(arrays):
        return compute(call, plan, arrays)
    tensors = (placed(part, call.problem) if isinstance(part, np.ndarray) else part for part in arrays)
    choices = choices._replace(backend=plan.info.name, compute_dtype=call.problem.compute_dtype)
    return _differentiable(call, choices, Operands(*tensors))


def _is_plain(arrays: tuple[Any, ...]) -> bool:
    """Whether these are plain arrays of which no derivative, transform or dispatch mode wants to know."""
    if transformed() or torch._C._len_torch_dispatch_stack() or torch._C._get_tracing_state() is not None:
        return False
    grad = torch.is_grad_enabled()
    for part in arrays:
        kind = type(part)
        if kind is Tensor or kind is torch.nn.Parameter:
            if grad and part.requires_grad:
                return False
        elif part is not None and not isinstance(part, np.ndarray):
            return False
    return True


def _differentiable(call: Call, choices: Choices, tensors: Operands) -> tuple[Tensor, State]:
    problem, computed = call.problem, in_computed_types(call.problem, tensors)
    if choices.compute_dtype is None:
        # the operator that is to run looks at coefficients that are not learned before it rounds them
        own, cast = tensors[1:3], computed[1:3]
        b, a = (part if part is None or not part.requires_grad else to for part, to in zip(own, cast, strict=True))
        computed = computed._replace(feedforward=b, feedback=a)
    y, *parts = apply(operands_in(call, *computed), choices)
    y, *parts = (signal_out(part, problem.layout, call.batch_shape) for part in (y, *parts))
    return y, State(*parts)


def _raw_recurrence(*arguments: Any) -> tuple[Tensor, ...]:
    arrays, choices = arguments[:5], Choices(*arguments[5:])
    call, plan = bind(*specs_of(arrays), choices)
    tell_once(operands_in(call, *arrays), choices)
    y, state = compute(call, plan, arrays)
    return (y, *state)


def _fake_recurrence(*arguments: Any) -> tuple[Tensor, ...]:
    x, choices = arguments[0], Choices(*arguments[5:])
    check_name(choices.backend)
    call = _call(arguments[:5], choices)
    batch, problem = call.batch_shape, call.problem
    y_dtype, state_dtype = getattr(torch, problem.y_dtype), getattr(torch, problem.state_dtype)
    return (
        x.new_empty(call.y_shape, dtype=y_dtype),
        x.new_empty(join_shape(batch, problem.x_channels, problem.input_order, problem.layout)),
        x.new_empty(join_shape(batch, problem.channels, problem.order, problem.layout), dtype=state_dtype),
    )


def _autograd_recurrence(*arguments: Any) -> tuple[Tensor, ...]:
    tensors, choices = Operands(*arguments[:5]), Choices(*arguments[5:])
    y, state = _differentiable(_call(tensors, choices), choices, tensors)
    return (y, *state)


def _call(tensors: tuple[Any, ...], choices: Choices) -> Call:
    """Validate without remembering: symbolic sizes cannot be looked up."""
    return build_call(*specs_of(tensors), choices)


library.define(f"recurrence({OPERANDS}, {CHOICES}) -> (Tensor, Tensor, Tensor)")
library.impl("recurrence", _raw_recurrence, "CompositeExplicitAutograd")
library.impl("recurrence", _autograd_recurrence, "Autograd")
torch.library.register_fake("multirec::recurrence", _fake_recurrence, lib=library)
