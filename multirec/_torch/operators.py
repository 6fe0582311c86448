"""The two raw operators that torch sees: y with its tails, and the adjoint; with their fakes.

Tensors are canonical (see `multirec.backend`). Neither knows of derivatives: `function` adds those.
Arguments come by position, in the order of the schemas below.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from .._core.arrays import spec_of
from .._core.axes import tails, to_channels_time
from .._core.problem import Layout, Spec, canonical_problem, join_shape, plan_problem
from .._core.validate import Choices
from .._engine.plan import Plan, plan_for
from .._engine.precision import tell_once
from ..backend import Gradients, Needs, Operands

OPERANDS = "Tensor x, Tensor? feedforward, Tensor? feedback, Tensor? inputs, Tensor? outputs"
CHOICES = "str layout, bool reverse, str backend, str? compute_dtype=None"

library: Any = torch.library.Library("multirec", "DEF")  # type: ignore[no-untyped-call]
library.define(f"forward({OPERANDS}, {CHOICES}) -> (Tensor, Tensor, Tensor)")
library.define(
    f"adjoint({OPERANDS}, Tensor y, Tensor grad_y, Tensor? grad_inputs, Tensor? grad_outputs, bool[] needs, {CHOICES})"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor)"
)


def _plan(operands: Operands, choices: Choices) -> Plan:
    specs = [None if part is None else spec_of(part, "operand") for part in operands[:3]]
    return plan_for(plan_problem(*specs, choices.layout, choices.reverse, choices.compute_dtype), choices.backend)


def _raw_forward(*arguments: Any) -> tuple[Tensor, ...]:
    operands, choices = Operands(*arguments[:5]), Choices(*arguments[5:])
    plan = _plan(operands, choices)
    tell_once(operands, choices)
    given = plan.give_all(operands)
    y, last = plan.forward(given)
    return tuple(map(plan.take, (y, *tails(plan.problem, given, last))))


def _raw_adjoint(*arguments: Any) -> tuple[Tensor, ...]:
    operands, signals, (needs, *choices) = Operands(*arguments[:5]), arguments[5:9], arguments[9:]
    plan = _plan(operands, Choices(*choices))
    y, grad_y, grad_inputs, grad_outputs = map(plan.give, signals)
    found = plan.vjp(plan.give_all(operands), y, grad_y, grad_inputs, grad_outputs, Needs(*needs))
    return owned(Gradients(*map(plan.take, found)), operands, signals)


def owned(found: Gradients, operands: Operands, signals: tuple[Any, ...]) -> tuple[Tensor, ...]:
    """Return gradients as an operator must: like its fake says, and sharing no memory with what it took or gives."""
    x: Any = operands.x
    grad_x, *others = found
    results = [x.new_empty(0) if grad_x is None else grad_x]
    taken = [_span(part) for part in (*operands, *signals, *results) if part is not None]
    for grad, part in zip(others, operands[1:], strict=True):
        if grad is None or part is None:
            results.append(x.new_empty(0))
            continue
        grad = grad.to(part.dtype).contiguous()
        start, end = _span(grad)
        if any(start < other_end and other < end for other, other_end in taken):
            grad = grad.clone()
        taken.append(_span(grad))
        results.append(grad)
    return tuple(results)


def _span(tensor: Tensor) -> tuple[int, int]:
    """Return where the memory behind a tensor begins and ends."""
    storage = tensor.untyped_storage()
    start = storage.data_ptr()
    return start, start + storage.nbytes()


def _fake_signal(like: Tensor, shape: tuple[int, ...], layout: Layout, dtype: torch.dtype) -> Tensor:
    batch, channels, time = shape
    stored = like.new_empty(join_shape((batch,), channels, time, layout), dtype=dtype)
    return cast(Tensor, to_channels_time(stored, layout))


def _fake_forward(*arguments: Any) -> tuple[Tensor, ...]:
    x, (layout, reverse, _, compute_dtype) = arguments[0], Choices(*arguments[5:])
    specs = [None if part is None else spec_of(part, "operand") for part in arguments[:3]]
    problem = canonical_problem(cast(Spec, specs[0]), specs[1], specs[2], layout, reverse, compute_dtype)
    batch, channels = problem.batch, problem.channels
    return (
        _fake_signal(x, (batch, channels, problem.length), layout, getattr(torch, problem.y_dtype)),
        _fake_signal(x, (batch, problem.x_channels, problem.input_order), layout, x.dtype),
        _fake_signal(x, (batch, channels, problem.order), layout, getattr(torch, problem.state_dtype)),
    )


def _fake_adjoint(*arguments: Any) -> tuple[Tensor, ...]:
    x, *others = arguments[:5]
    needs, layout = arguments[9], arguments[10]
    small = (
        torch.empty(part.shape, dtype=part.dtype, device=part.device) if part is not None and need else x.new_empty(0)
        for part, need in zip(others, needs[1:], strict=True)
    )
    return (_fake_signal(x, tuple(x.shape), layout, x.dtype) if needs[0] else x.new_empty(0), *small)


for _name, _real, _fake in (("forward", _raw_forward, _fake_forward), ("adjoint", _raw_adjoint, _fake_adjoint)):
    library.impl(_name, _real, "CompositeExplicitAutograd")
    torch.library.register_fake(f"multirec::{_name}", _fake, lib=library)

raw: Any = torch.ops.multirec
"""The registered operators: `raw.forward` and `raw.adjoint`."""
