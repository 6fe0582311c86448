"""The two raw operators that torch sees: y with its tails, and the adjoint; with their fakes.

Tensors are canonical (see `multirec.backend`). Neither knows of derivatives: `_torch_function` adds those.
"""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import torch
from torch import Tensor

from ._arrays import spec_of
from ._canonical import tails, to_channels_time
from ._plan import Plan
from ._problem import Layout, Spec, canonical_problem, join_shape, plan_problem
from ._select import plan_for
from ._validate import as_layout
from .backend import Needs, Operands

_Optional: TypeAlias = Tensor | None

OPERANDS = "Tensor x, Tensor? feedforward, Tensor? feedback, Tensor? inputs, Tensor? outputs"
CHOICES = "str layout, bool reverse, str backend"

library: Any = torch.library.Library("multirec", "DEF")  # type: ignore[no-untyped-call]
library.define(f"forward({OPERANDS}, {CHOICES}) -> (Tensor, Tensor, Tensor)")
library.define(
    f"adjoint({OPERANDS}, Tensor y, Tensor grad_y, Tensor? grad_inputs, Tensor? grad_outputs, bool[] needs, {CHOICES})"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor)"
)


def _plan(x: Tensor, b: _Optional, a: _Optional, layout: str, reverse: bool, backend: str) -> Plan:
    specs = [None if part is None else spec_of(part, "operand") for part in (b, a)]
    return plan_for(plan_problem(spec_of(x, "x"), *specs, as_layout(layout), reverse), backend)


def _raw_forward(
    x: Tensor,
    b: _Optional,
    a: _Optional,
    inputs: _Optional,
    outputs: _Optional,
    layout: str,
    reverse: bool,
    backend: str,
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
    results = [x.new_empty(0) if found.x is None else found.x]
    taken = [part for part in (*operands, y, grad_y, grad_inputs, grad_outputs) if part is not None]
    for grad, part in zip(found[1:], operands[1:], strict=True):
        if grad is None or part is None:
            results.append(x.new_empty(0))
        else:
            # outputs of an operator share no memory, and look as its fake says
            grad = grad.to(part.dtype).contiguous()
            results.append(grad.clone() if any(_overlap(grad, other) for other in (*taken, *results)) else grad)
    return tuple(results)


def _overlap(one: Tensor, other: Tensor) -> bool:
    (start, size), (other_start, other_size) = (
        (storage.data_ptr(), storage.nbytes()) for storage in (one.untyped_storage(), other.untyped_storage())
    )
    return start < other_start + other_size and other_start < start + size


def _fake_signal(like: Tensor, shape: tuple[int, ...], layout: Layout, dtype: torch.dtype) -> Tensor:
    batch, channels, time = shape
    stored = like.new_empty(join_shape((batch,), channels, time, layout), dtype=dtype)
    return cast(Tensor, to_channels_time(stored, layout))


def _fake_forward(
    x: Tensor,
    b: _Optional,
    a: _Optional,
    inputs: _Optional,
    outputs: _Optional,
    layout: str,
    reverse: bool,
    backend: str,
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


for _name, _real, _fake in (("forward", _raw_forward, _fake_forward), ("adjoint", _raw_adjoint, _fake_adjoint)):
    library.impl(_name, _real, "CompositeExplicitAutograd")
    torch.library.register_fake(f"multirec::{_name}", _fake, lib=library)

raw: Any = torch.ops.multirec
"""The registered operators: `raw.forward` and `raw.adjoint`."""
