"""Sequences of tensors: the kernel's pass where plain tensors meet one, else recurrences of pieces."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from .._core.arrays import spec_of
from .._core.axes import contiguous
from .._core.state import State
from .._core.validate import NAMES, Choices, check_signal
from .._memory.hand_over import placed
from .._sequences.bind import Bound, bound, settled_bound
from .._sequences.marks import Marks
from .._sequences.plain import compose
from ..backend import Needs
from ..errors import ArgumentError, UnsupportedError
from .door import ANYTHING, GRADIENT, wanted_of
from .door import recurrence as plain
from .eager import changed, is_batched
from .function import transformed
from .opaque_sequences import opaque
from .pieces import Given, by_recurrences

__all__ = ["recurrence"]

Arrays: TypeAlias = tuple[Any, ...]


def recurrence(arrays: Arrays, choices: Choices, out: Tensor | None, marks: Marks) -> tuple[Tensor, State]:
    """`multirec.recurrence` on sequences: (x, feedforward, feedback, inputs, outputs) of torch."""
    x = arrays[0]
    if torch.compiler.is_compiling() or x.is_meta:
        if out is not None:
            raise UnsupportedError("out is given inside torch.compile or on device meta, where y is new. Leave it out.")
        return opaque(arrays, choices, marks)
    if torch._C._get_tracing_state() is not None:
        raise UnsupportedError(
            "torch.jit.trace keeps the values that it was traced with, so a trace would hold these resets, lengths or "
            "cu_seqlens. Use torch.compile or torch.export."
        )
    if torch._C._len_torch_dispatch_stack() and not transformed() and out is None:
        # what traces operators is not to trace values
        return opaque(arrays, choices, marks)
    wanted = wanted_of(arrays)
    differentiated = wanted == GRADIENT or (out is not None and torch.is_grad_enabled() and out.requires_grad)
    if out is not None and (differentiated or wanted == ANYTHING):
        raise ArgumentError(
            "out is given, and a gradient or a transform is wanted of x, a coefficient, the state or out: y needs "
            "memory of its own. Leave out out, or call inside torch.no_grad()."
        )
    found = settled_bound(arrays, marks, choices)
    if found.launcher is None or wanted == ANYTHING:
        y, state = compose(plain, arrays, found, marks, choices)
        return (y, state) if out is None else (_written(y, out, found, x), state)
    if wanted != GRADIENT:
        y, state = found.launcher(arrays, found.launcher.place(marks), out)
        if out is not None:
            increment_version(out)
        return y, state
    # what backward reads and could not know that it changed is copied
    marks = Marks(*(part if part is None else contiguous(part) for part in marks))
    if any(isinstance(part, np.ndarray) for part in arrays):
        problem = found.call.problem
        arrays = tuple(placed(np.array(part), problem) if isinstance(part, np.ndarray) else part for part in arrays)
        choices = choices._replace(compute_dtype=problem.compute_dtype)
        found = bound(arrays, marks, choices)
    y, *parts = _Sequences.apply(Given(found, marks, choices), *arrays)  # type: ignore[no-untyped-call]
    return y, State(*parts)


def _written(y: Tensor, out: Tensor, found: Bound, x: Tensor) -> Tensor:
    expected = spec_of(x, "x")._replace(shape=found.call.y_shape, dtype=found.call.problem.y_dtype)
    check_signal("out", spec_of(out, "out"), expected)
    return out.copy_(y)


class _Sequences(torch.autograd.Function):
    """y and the two parts of the state, as a function of the caller's tensors."""

    @staticmethod
    def forward(ctx: Any, given: Given, *tensors: Any) -> tuple[Tensor, Tensor, Tensor]:
        x, *others = tensors
        launcher: Any = given.found.launcher
        placed = launcher.place(given.marks)
        y, state = launcher(tensors, placed)
        # x and y are for the gradients of coefficients: without those the caller may drop or change them
        _, _, of_feedforward, of_feedback, *_ = ctx.needs_input_grad
        ctx.save_for_backward(x if of_feedforward else None, *others, y if of_feedback else None)
        ctx.given, ctx.placed = given, placed
        ctx.set_materialize_grads(False)
        return y, *state

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if grads == (None, None, None):
            return (None,) * 6
        *tensors, y = ctx.saved_tensors
        launcher = ctx.given.found.launcher
        for name, tensor, made_for in zip(NAMES, tensors, launcher.made_for, strict=True):
            if tensor is not None and (tensor.shape, tensor.dtype, tensor.device) != made_for:
                raise changed(name, made_for, tensor)
        needs = Needs(*ctx.needs_input_grad[1:])
        if torch.is_grad_enabled() or transformed() or any(grad is not None and is_batched(grad) for grad in grads):
            return None, *by_recurrences(ctx.given, tensors, grads, needs)
        return None, *launcher.vjp(tuple(tensors), ctx.placed, y, *grads, needs)
