"""Recurrences with an activation inside, of tensors: the kernel's pass and gradient, or sample by sample.

* Plain tensors: the launcher; where a derivative is wanted, an autograd function of raw operators.
* Transforms, forward derivatives, subclasses, modes, and derivatives of derivatives: step by step, by operations that
  torch knows.
* torch.compile and export, and device meta: one opaque operator, whose autograd kernel calls that function.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from .._activated.bound import call_of
from .._activated.call import ActivatedCall, Given, marks_in, of_canonical, operands_in, results_out, split
from .._activated.launch import launcher_for
from .._activated.marked import mark
from .._core.activated import Activation, Recurrence
from .._core.axes import cast_to
from .._core.problem import Layout
from .._core.stepping import step_through
from .._core.validate import Choices
from .._sequences.marks import Marks
from ..backend import CHECKPOINT, ActivatedOperands
from ..errors import UnsupportedError
from .door import ANYTHING, NOTHING, wanted_of
from .eager import is_batched
from .function import transformed
from .operators import _fake_signal, library

__all__ = ["run"]

Results: TypeAlias = tuple[Tensor, Tensor]


class Kind(NamedTuple):
    """What is computed, but for sizes: what operators take after their tensors."""

    kind: Recurrence
    activation: Activation
    scale: float
    layout: Layout
    reverse: bool
    backend: str


def run(
    kind: Recurrence, given: Given, activation: Activation, scale: float, choices: Choices, marks: Marks | None
) -> Results:
    """Return y and the state of tensors, with their graph."""
    x = given.signals[0]
    own = Kind(kind, activation, scale, choices.layout, choices.reverse, choices.backend)
    marks = None if marks is None else Marks(*(_tensor(part, x) for part in marks))
    if torch.compiler.is_compiling() or x.is_meta:
        return _opaque(given, marks, own)
    call = call_of(kind, given, activation, scale, choices, marks)
    wanted = wanted_of((*given.arrays, *(marks or ())))
    if wanted == NOTHING:
        found = launcher_for(call, choices.backend).forward(operands_in(call, given), marks_in(call, marks))
        return results_out(call, *found[:2])
    if wanted == ANYTHING:
        return results_out(call, *_stepped(call, operands_in(call, given), marks_in(call, marks)))
    return _differentiable(call, given, marks, own)


def _tensor(part: Any, x: Tensor) -> Any:
    """Return a mark as a tensor; a copy of NumPy's, since backward reads it and could not know that it changed."""
    return torch.tensor(part, device=x.device) if isinstance(part, np.ndarray) else part


def _opaque(given: Given, marks: Marks | None, own: Kind) -> Results:
    if forward_ad._current_level >= 0:
        raise UnsupportedError(
            "forward-mode derivatives inside torch.compile, or of tensors on device meta, are not supported: the "
            "operator used there loses them. Take them of the function before it is compiled."
        )
    x = given.signals[0]
    coefficients = [
        torch.as_tensor(part, device=x.device) if isinstance(part, np.ndarray) else part for part in given.coefficients
    ]
    found: Results = torch.ops.multirec.activated(
        list(given.signals), coefficients, given.state, *(marks or (None,) * 3), *own
    )
    return found


def _differentiable(call: ActivatedCall, given: Given, marks: Marks | None, own: Kind) -> Results:
    signals, parameters, state, _ = operands_in(call, given)
    canonical = marks_in(call, marks) or (None,) * 3
    y, after, _ = _Activated.apply(  # type: ignore[no-untyped-call]
        own, len(signals), len(parameters), *signals, *parameters, state, *canonical
    )
    return results_out(call, y, after)


class _Activated(torch.autograd.Function):
    """y, the state after the block and the states in between, as a function of canonical tensors and marks."""

    @staticmethod
    def forward(ctx: Any, own: Kind, signals: int, parameters: int, *tensors: Any) -> tuple[Tensor, ...]:
        ctx.own, ctx.signals, ctx.parameters = own, signals, parameters
        y, after, starts = torch.ops.multirec.activated_forward(*_parted(ctx, tensors), True, *own)
        ctx.save_for_backward(*tensors, starts)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(starts)
        return y, after, starts

    @staticmethod
    def backward(ctx: Any, grad_y: Any, grad_state: Any, _: Any) -> Any:
        *tensors, starts = ctx.saved_tensors
        needs = list(ctx.needs_input_grad[3:-3])
        grads = grad_y, grad_state
        if grads == (None, None):
            return (None,) * (len(tensors) + 3)
        parted = _parted(ctx, tuple(tensors))
        if torch.is_grad_enabled() or transformed() or any(grad is not None and is_batched(grad) for grad in grads):
            found = _by_steps(ctx.own, parted, grads, needs)
        else:
            found = torch.ops.multirec.activated_adjoint(*parted, starts, *grads, needs, *ctx.own)
        own = (grad if need else None for grad, need in zip(found, needs, strict=True))
        return (None, None, None, *own, None, None, None)


def _parted(ctx: Any, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return signals, parameters, the state and marks, as operators take them."""
    first, count = ctx.signals, ctx.signals + ctx.parameters
    return list(tensors[:first]), list(tensors[first:count]), *tensors[count:]


def _by_steps(own: Kind, parted: Any, grads: Any, needs: list[bool]) -> list[Any]:
    """Return the gradients by operations that torch knows, so that they can be differentiated or mapped."""
    signals, parameters, state, *marks = parted
    tensors = [*signals, *parameters, state]
    with torch.enable_grad():
        # each a node of its own: one may have been made of another
        copies = [None if part is None else part.view_as(part) for part in tensors]
        given = ActivatedOperands(tuple(copies[: len(signals)]), tuple(copies[len(signals) : -1]), copies[-1], None)
        results = _stepped(_call(own, given, marks[2]), given, _marks(marks))
    pairs = [(result, grad) for result, grad in zip(results, grads, strict=True) if grad is not None]
    outputs, weights = zip(*pairs, strict=True)
    wanted = [part for part, need in zip(copies, needs, strict=True) if need and part is not None]
    graph = torch.is_grad_enabled()
    found = iter(torch.autograd.grad(outputs, wanted, weights, create_graph=graph, allow_unused=True))
    return [next(found) if need else None for need in needs]


def _stepped(call: ActivatedCall, operands: ActivatedOperands, marks: Marks | None) -> Results:
    """Return y and the state of canonical tensors, sample by sample."""
    marked = mark(call, marks)
    signals, parameters, state, _ = operands
    x = signals[0]
    numbers = marked.numbers
    if isinstance(numbers, np.ndarray):
        numbers = torch.from_numpy(np.array(numbers)).to(x.device)
    whole = ActivatedOperands(split(call.problem, signals), parameters, marked.state_in(state), numbers)
    y, after = step_through(marked.problem, whole)
    return cast_to(y, call.problem.dtype), marked.state_out(after)


def _marks(parts: Any) -> Marks | None:
    return None if all(part is None for part in parts) else Marks(*parts)


def _call(own: Kind, operands: ActivatedOperands, cu_seqlens: Tensor | None) -> ActivatedCall:
    count = None if cu_seqlens is None else cu_seqlens.shape[0] - 1
    return of_canonical(*own[:5], operands, count)


def _raw_forward(
    signals: list[Tensor], parameters: list[Tensor], state: Any, *arguments: Any
) -> tuple[Tensor, Tensor, Tensor]:
    marks, keep, own = arguments[:3], arguments[3], Kind(*arguments[4:])
    operands = ActivatedOperands(tuple(signals), tuple(parameters), state, None)
    launcher = launcher_for(_call(own, operands, marks[2]), own.backend)
    y, after, starts = launcher.forward(operands, _marks(marks), keep=keep)
    return y, after.contiguous(), starts


def _raw_adjoint(signals: list[Tensor], parameters: list[Tensor], state: Any, *arguments: Any) -> list[Tensor]:
    marks, (starts, grad_y, grad_state, needs), own = arguments[:3], arguments[3:7], Kind(*arguments[7:])
    operands = ActivatedOperands(tuple(signals), tuple(parameters), state, None)
    launcher = launcher_for(_call(own, operands, marks[2]), own.backend)
    count = len(signals)
    found = launcher.vjp(operands, _marks(marks), starts, grad_y, grad_state, tuple(needs))
    nothing = signals[0].new_empty
    return [
        nothing(0) if part is None else part if index < count else part.contiguous() for index, part in enumerate(found)
    ]


def _fake_forward(
    signals: list[Tensor], parameters: list[Tensor], state: Any, *arguments: Any
) -> tuple[Tensor, Tensor, Tensor]:
    marks, keep, own = arguments[:3], arguments[3], Kind(*arguments[4:])
    call = _call(own, ActivatedOperands(tuple(signals), tuple(parameters), state, None), marks[2])
    problem, x = call.problem, signals[0]
    compute = getattr(torch, problem.compute_dtype)
    y = _fake_signal(x, (problem.batch, problem.channels, problem.length), problem.layout, x.dtype)
    pieces = -(-problem.length // CHECKPOINT) if keep else 0
    return (
        y,
        x.new_empty((problem.states, problem.channels, problem.order), dtype=compute),
        x.new_empty((pieces, problem.order, problem.batch, problem.channels), dtype=compute),
    )


def _fake_adjoint(signals: list[Tensor], parameters: list[Tensor], state: Any, *arguments: Any) -> list[Tensor]:
    needs, own = arguments[6], Kind(*arguments[7:])
    count, x = len(signals), signals[0]
    found = []
    for index, (part, need) in enumerate(zip([*signals, *parameters, state], needs, strict=True)):
        if part is None or not need:
            found.append(x.new_empty(0))
        elif index < count:
            found.append(_fake_signal(part, tuple(part.shape), own.layout, part.dtype))
        else:
            found.append(torch.empty(part.shape, dtype=part.dtype, device=part.device))
    return found


def _raw(signals: list[Tensor], coefficients: list[Tensor], state: Any, *arguments: Any) -> Results:
    call, given, marks, own = _outer(signals, coefficients, state, arguments)
    launcher = launcher_for(call, own.backend)
    y, after, _ = launcher.forward(operands_in(call, given), marks_in(call, marks))
    y, after = results_out(call, y, after)
    return y, after.contiguous()


def _autograd(signals: list[Tensor], coefficients: list[Tensor], state: Any, *arguments: Any) -> Results:
    call, given, marks, own = _outer(signals, coefficients, state, arguments)
    y, after = _differentiable(call, given, marks, own)
    return y, after.contiguous()


def _fake(signals: list[Tensor], coefficients: list[Tensor], state: Any, *arguments: Any) -> Results:
    call, *_ = _outer(signals, coefficients, state, arguments)
    x, problem = signals[0], call.problem
    return x.new_empty(call.y_shape), x.new_empty(call.state_shape, dtype=getattr(torch, problem.compute_dtype))


def _outer(
    signals: list[Tensor], coefficients: list[Tensor], state: Any, arguments: Any
) -> tuple[ActivatedCall, Given, Marks | None, Kind]:
    marks, own = _marks(arguments[:3]), Kind(*arguments[3:])
    given = Given(tuple(signals), tuple(coefficients), state)
    choices = Choices(own.layout, own.reverse, own.backend)
    return call_of(own.kind, given, own.activation, own.scale, choices, marks), given, marks, own


_TENSORS = "Tensor[] signals, Tensor[] coefficients, Tensor? state, Tensor? resets, Tensor? lengths, Tensor? cu_seqlens"
_KIND = "str kind, str activation, float scale, str layout, bool reverse, str backend"
library.define(f"activated({_TENSORS}, {_KIND}) -> (Tensor, Tensor)")
library.define(f"activated_forward({_TENSORS}, bool keep, {_KIND}) -> (Tensor, Tensor, Tensor)")
library.define(
    f"activated_adjoint({_TENSORS}, Tensor starts, Tensor? grad_y, Tensor? grad_state, bool[] needs, {_KIND})"
    " -> Tensor[]"
)
library.impl("activated", _autograd, "Autograd")
for _name, _real, _like in (
    ("activated", _raw, _fake),
    ("activated_forward", _raw_forward, _fake_forward),
    ("activated_adjoint", _raw_adjoint, _fake_adjoint),
):
    library.impl(_name, _real, "CompositeExplicitAutograd")
    torch.library.register_fake(f"multirec::{_name}", _like, lib=library)
