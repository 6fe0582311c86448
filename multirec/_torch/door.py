"""The torch side of `recurrence`: three ways to one recurrence.

* Plain tensors: the launcher, outside of the dispatcher; where a derivative is wanted, the autograd function of `eager`
  around it.
* Transforms (vmap, jvp, grad of `torch.func`), subclasses, tracers and dispatch modes: the autograd function of
  `function`, on canonical tensors (see `multirec.backend`).
* torch.compile and export, and device meta: one opaque operator, whose autograd kernel calls that function.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.graph import increment_version
from torch.nn import Parameter

from .._core.axes import in_computed_types, operands_in, signal_out
from .._core.problem import join_shape
from .._core.state import State
from .._core.validate import Call, Choices, build_call
from .._engine.call import bound, launcher_of, specs_of
from .._engine.launch import Launcher
from .._engine.precision import decided_by_values, settled, tell_once
from .._memory.hand_over import placed
from .._registry.choice import check_name
from ..backend import Operands
from ..errors import ArgumentError, UnsupportedError
from . import eager
from .function import apply
from .operators import CHOICES, OPERANDS, library


def recurrence(arrays: tuple[Any, ...], choices: Choices, out: Any = None) -> tuple[Tensor, State]:
    """`multirec.recurrence` for torch tensors: (x, feedforward, feedback, inputs, outputs)."""
    x = arrays[0]
    if torch.compiler.is_compiling() or x.is_meta:
        if out is not None:
            raise UnsupportedError("out is given inside torch.compile or on device meta, where y is new. Leave it out.")
        return _opaque(arrays, choices)
    wanted = wanted_of(arrays)
    launcher = launcher_of(arrays, choices, remember=not _traced())
    if wanted == NOTHING and (out is None or not (torch.is_grad_enabled() and out.requires_grad)):
        found = launcher(arrays, out)
        if out is not None:
            # so that a backward pass that needs what was there before says so
            increment_version(out)
        return found
    if out is not None:
        raise ArgumentError(
            "out is given, and a gradient or a transform is wanted of x, a coefficient, the state or out: y needs "
            "memory of its own. Leave out out, or call inside torch.no_grad()."
        )
    if True in [isinstance(part, np.ndarray) for part in arrays]:
        # copied, since backward reads them and could not know that they changed
        problem = launcher.call.problem
        arrays = tuple(placed(np.array(part), problem) if isinstance(part, np.ndarray) else part for part in arrays)
        launcher = launcher_of(arrays, _as_planned(choices, launcher), remember=not _traced())
    if wanted == GRADIENT:
        return eager.recurrence(launcher, arrays)
    if True in map(is_dtensor, arrays):
        raise UnsupportedError(
            "x, a coefficient or the state is a DTensor, of which this process has a part. Pass it to "
            "multirec.distributed.recurrence, or what to_local() returns to this."
        )
    return _differentiable(launcher.call, _as_planned(choices, launcher), Operands(*arrays))


def _as_planned(choices: Choices, launcher: Launcher) -> Choices:
    """Return choices that leave nothing open."""
    return choices._replace(backend=launcher.plan.info.name, compute_dtype=launcher.call.problem.compute_dtype)


def _opaque(arrays: tuple[Any, ...], choices: Choices) -> tuple[Tensor, State]:
    x, *others = arrays
    if forward_ad._current_level >= 0:
        raise UnsupportedError(
            "forward-mode derivatives inside torch.compile, or of tensors on device meta, are not supported: the "
            "operator used there loses them. Take them of the function before it is compiled."
        )
    if not torch.compiler.is_compiling():
        specs = specs_of(arrays)
        if decided_by_values(specs, choices):
            choices = settled(_call(arrays, choices), arrays, choices)
    others = [torch.as_tensor(c, device=x.device) if isinstance(c, np.ndarray) else c for c in others]
    y, *parts = torch.ops.multirec.recurrence(x, *others, *choices)
    return y, State(*parts)


def _traced() -> bool:
    """Whether `torch.jit.trace` records this, for which sizes are tensors."""
    return torch._C._get_tracing_state() is not None


def observed() -> bool:
    """Whether a transform, a dispatch mode or a tracer is to see what torch computes."""
    return (
        forward_ad._current_level >= 0
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._get_tracing_state() is not None
    )


def is_dtensor(array: Any) -> bool:
    """Whether an array is a part of a tensor that several processes have."""
    return type(array).__module__.startswith("torch.distributed.tensor")


NOTHING, GRADIENT, ANYTHING = range(3)


def wanted_of(arrays: tuple[Any, ...]) -> int:
    """Say what is wanted of tensors besides values: a gradient, or whatever transforms, modes and subclasses want."""
    if observed():
        return ANYTHING
    wanted, grad = NOTHING, torch.is_grad_enabled()
    for part in arrays:
        if part is None:
            continue
        kind = type(part)
        if kind is Tensor or kind is Parameter:
            if grad and part.requires_grad:
                wanted = GRADIENT
        elif not isinstance(part, np.ndarray):
            return ANYTHING
    return wanted


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
    launcher = bound(arrays, choices)
    if launcher.judges:
        tell_once(operands_in(launcher.call, *arrays), choices)
    y, state = launcher(arrays)
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
