"""Sequences inside of torch.compile and export, and on device meta: one opaque operator.

Its autograd kernel is a function of two others, which know of no derivative.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from .._core.axes import operands_in
from .._core.state import State, state_kinds
from .._core.validate import Choices
from .._engine.precision import tell_once
from .._registry.choice import check_name
from .._sequences.bind import bound, calls_of
from .._sequences.marks import Marks
from .._sequences.plain import compose, vjp
from ..backend import Needs, Operands
from ..errors import UnsupportedError
from .door import recurrence as plain
from .function import like, transformed
from .operators import CHOICES, OPERANDS, library, owned
from .pieces import Given, by_recurrences

__all__ = ["opaque"]

Arrays: TypeAlias = tuple[Any, ...]

_MARKS = "Tensor? resets, Tensor? lengths, Tensor? cu_seqlens"


def opaque(arrays: Arrays, choices: Choices, marks: Marks) -> tuple[Tensor, State]:
    """Call the operator."""
    if forward_ad._current_level >= 0:
        raise UnsupportedError(
            "forward-mode derivatives inside torch.compile, or of tensors on device meta, are not supported: the "
            "operator used there loses them. Take them of the function before it is compiled."
        )
    x, *others = arrays
    parts = (torch.as_tensor(p, device=x.device) if isinstance(p, np.ndarray) else p for p in (*others, *marks))
    y, *state = torch.ops.multirec.sequences(x, *parts, *choices)
    return y, State(*state)


def _raw_sequences(*arguments: Any) -> tuple[Tensor, ...]:
    arrays, marks, choices = _parted(arguments)
    found = bound(arrays, marks, choices)
    if found.judges:
        x, feedforward, feedback, *_ = arrays
        tell_once(operands_in(found.call, x, feedforward, feedback, None, None), choices)
    if found.launcher is None:
        y, state = compose(plain, arrays, found, marks, choices)
    else:
        y, state = found.launcher(arrays, found.launcher.place(marks))
    return (y, *state)


def _fake_sequences(*arguments: Any) -> tuple[Tensor, ...]:
    arrays, marks, choices = _parted(arguments)
    check_name(choices.backend)
    call, states = calls_of(arrays, marks, choices)
    kinds = (call.y_shape, call.problem.y_dtype), *state_kinds(call.problem, states.batch_shape)
    return tuple(arrays[0].new_empty(shape, dtype=getattr(torch, dtype)) for shape, dtype in kinds)


def _raw_adjoint(*arguments: Any) -> tuple[Tensor, ...]:
    signals, needs, rest = arguments[8:12], arguments[12], arguments[13:]
    arrays, marks, choices = _parted((*arguments[:8], *rest))
    found = bound(arrays, marks, choices)
    y, grad_y, *grad_state = signals
    gradients = vjp(arrays, found, marks, choices, grad_y, (grad_state[0], grad_state[1]), y, Needs(*needs))
    return owned(gradients, Operands(*arrays), signals)


def _fake_adjoint(*arguments: Any) -> tuple[Tensor, ...]:
    x, needs = arguments[0], arguments[12]
    return tuple(
        part.new_empty(part.shape) if part is not None and need else x.new_empty(0)
        for part, need in zip(arguments[:5], needs, strict=True)
    )


def _parted(arguments: Arrays) -> tuple[Arrays, Marks, Choices]:
    return arguments[:5], Marks(*arguments[5:8]), Choices(*arguments[8:])


class _Opaque(torch.autograd.Function):
    """What the operator does where a derivative is wanted: two others, which know of none."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
        y, *state = torch.ops.multirec.sequences_forward(*arguments)
        _, of_feedforward, of_feedback, *_ = ctx.needs_input_grad
        x, *others = arguments[:8]
        ctx.save_for_backward(x if of_feedforward else None, *others, y if of_feedback else None)
        ctx.like = like(x), like(y)
        ctx.choices = Choices(*arguments[8:])
        ctx.set_materialize_grads(False)
        return y, *state

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if grads == (None, None, None):
            return (None,) * 12
        x, *others, y = ctx.saved_tensors
        grad_y, *of_state = grads
        arrays, marks, needs = [x, *others[:4]], others[4:], ctx.needs_input_grad[:5]
        arrays[0] = ctx.like[0].zeros() if x is None else x
        grad_y = ctx.like[1].zeros() if grad_y is None else grad_y
        if torch.is_grad_enabled() or transformed():
            given = Given(bound(tuple(arrays), Marks(*marks), ctx.choices), Marks(*marks), ctx.choices)
            found = by_recurrences(given, arrays, (grad_y, *of_state), Needs(*needs))
        else:
            found = torch.ops.multirec.sequences_adjoint(
                *arrays, *marks, grad_y if y is None else y, grad_y, *of_state, list(needs), *ctx.choices
            )
        return *(grad if need else None for grad, need in zip(found, needs, strict=True)), *[None] * 7


def _autograd_sequences(*arguments: Any) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = _Opaque.apply(*arguments)  # type: ignore[no-untyped-call]
    return found


for _name in ("sequences", "sequences_forward"):
    library.define(f"{_name}({OPERANDS}, {_MARKS}, {CHOICES}) -> (Tensor, Tensor, Tensor)")
    library.impl(_name, _raw_sequences, "CompositeExplicitAutograd")
    torch.library.register_fake(f"multirec::{_name}", _fake_sequences, lib=library)
library.impl("sequences", _autograd_sequences, "Autograd")
library.define(
    f"sequences_adjoint({OPERANDS}, {_MARKS}, Tensor y, Tensor grad_y, Tensor? grad_inputs, Tensor? grad_outputs, "
    f"bool[] needs, {CHOICES}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)"
)
library.impl("sequences_adjoint", _raw_adjoint, "CompositeExplicitAutograd")
torch.library.register_fake("multirec::sequences_adjoint", _fake_adjoint, lib=library)
