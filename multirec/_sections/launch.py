"""Sections in one pass: the kernel of a signature, and the ways of its arrays there and back."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._core.arrays import name_of, spec_of
from .._core.cascade import cascade_of
from .._core.problem import LAYOUT_AXES, Spec, Taps, join_shape, split_shape
from .._core.validate import Call, Choices, build_call
from .._engine.call import signed
from .._engine.plan import Plan, plan_for
from .._engine.table import Table
from .._engine.target import OutMemory, check_out, takes_directly
from .._engine.ways import giver, gradient_out, gradients_out, signal_way, taker, viewer, ways_in
from .._memory.allocate import zeros
from ..backend import Allocate, Cascade, CascadeGradients, CascadeKernel, CascadeNeeds, CascadeOperands
from ..errors import DtypeError, FamilyError, ShapeError

Array: TypeAlias = Any
Arrays: TypeAlias = tuple[Array, Array, Array | None]
"""x, taps (…, C, S, 5) and memory (…, C, S, 2), as the caller has them."""

__all__ = ["Arrays", "Bound", "Launcher", "bound", "call_of"]


class Bound(NamedTuple):
    """A validated call of one section, and what runs all of them in one pass, if there is such a kernel.

    Arrays of JAX are run by its programs, and by no launcher.
    """

    call: Call
    launcher: Launcher | None


_bound: Table[Bound] = Table()


def bound(arrays: Arrays, choices: Choices) -> Bound:
    """Return what runs sections, remembered by the signature of the arrays."""
    try:
        signature: Hashable = (choices, *map(signed, arrays))
        found = _bound.get(signature)
    except (AttributeError, TypeError, RuntimeError):
        # no arrays of ours, which validation says better
        return _prepared(arrays, choices)
    return found or _bound.find(signature, lambda: _prepared(arrays, choices))


def call_of(arrays: Arrays, choices: Choices) -> Call:
    """Validate x and the taps of one section."""
    x, taps, memory = arrays
    signal, rows = spec_of(x, "x"), spec_of(taps, "taps")
    layout = choices.layout
    if len(signal.shape) < 2:
        # it says what is missing
        return build_call(signal, rows, None, None, None, choices)
    batch, x_channels, _ = split_shape(signal.shape, layout)
    *lead, channels, _, _ = rows.shape
    lead = lead or [1] * len(batch)
    if len(lead) != len(batch) or any(own not in (1, size) for own, size in zip(lead, batch, strict=True)):
        raise _misfit(signal, rows, choices, f"their batch axes {tuple(lead)} are not those of x, {batch}, or 1")
    if 1 not in (channels, x_channels) and channels != x_channels:
        raise _misfit(signal, rows, choices, f"they have {channels} channels and x has {x_channels}; one may be 1")
    # with an axis of time nothing else has this rank
    b, a = (rows._replace(shape=(*join_shape(tuple(lead), channels, 1, layout), count)) for count in (3, 2))
    call = build_call(signal, b, a, None, None, choices)
    if memory is not None:
        _check_memory(memory, (*batch, call.problem.channels, rows.shape[-2], 2), call)
    return call


def _misfit(x: Spec, taps: Spec, choices: Choices, why: str) -> ShapeError:
    return ShapeError(
        f"sections of shape {taps.shape[:-1]} do not fit x of shape {x.shape} (layout {choices.layout!r}, "
        f"{LAYOUT_AXES[choices.layout]}): {why}. They are (channels, sections) or (batch…, channels, sections)."
    )


def _check_memory(memory: Array, shape: tuple[int, ...], call: Call) -> None:
    got, problem = spec_of(memory, "memory"), call.problem
    if got.shape != shape:
        raise ShapeError(f"the memory has shape {got.shape}, expected (batch…, channels, sections, 2) = {shape}.")
    if got.dtype not in problem.past_dtypes:
        raise DtypeError(f"the memory has dtype {got.dtype}, expected {' or '.join(problem.past_dtypes)}. Cast it.")
    if got.family != problem.family or got.device != problem.device:
        raise FamilyError(
            f"x is a {problem.family} array on {problem.device} and the memory a {got.family} array on {got.device}. "
            "Convert it."
        )


def _prepared(arrays: Arrays, choices: Choices) -> Bound:
    call = call_of(arrays, choices)
    if call.problem.family == "jax":
        return Bound(call, None)
    plan = plan_for(call.problem, choices.backend)
    kernel, (_, taps, _), own = plan.kernel, arrays, call.problem.feedforward
    assert own is not None
    mixed = taps.ndim > 3 and own.batch > 1 and tuple(taps.shape[:-3]) != call.batch_shape
    if mixed or not isinstance(kernel, CascadeKernel) or plan.library != plan.info.family:
        return Bound(call, None)
    cascade = cascade_of(call.problem, int(taps.shape[-2]))
    return Bound(call, Launcher(call, plan, kernel, cascade, arrays) if kernel.cascades(cascade) else None)


class Launcher:
    """Runs the cascades of one signature, and their gradients.

    Attributes
    ----------
    made_for
        Shape, data type and device of x, taps and memory, as their library has them.
    """

    def __init__(self, call: Call, plan: Plan, kernel: CascadeKernel, cascade: Cascade, arrays: Arrays) -> None:
        problem, (x, taps, memory) = call.problem, arrays
        self.call, self.plan, self._kernel, self._cascade = call, plan, kernel, cascade
        self.made_for = tuple(
            None if part is None else (part.shape, part.dtype, getattr(part, "device", None)) for part in arrays
        )
        self._x_way = ways_in(call, plan, (x, None, None, None, None))[0]
        self._signal_way, self._view = signal_way(call, plan), viewer(call)
        self._taps_shape = (cascade.taps_batch, cascade.taps_channels, cascade.sections, 5)
        self._memory_shape = (cascade.batch, cascade.channels, cascade.sections, 2)
        self._own_memory = (*call.batch_shape, *self._memory_shape[1:])
        self._give_taps = giver(
            plan, taps, cascade.taps_dtype, partial(plan.give_taps, taps=Taps(1, 1, 1, 5, cascade.taps_dtype))
        )
        state = cascade.state_dtype
        self._give_memory = None if memory is None else giver(plan, memory, state, plan.give_outputs)
        self._take_y, self._take_memory = taker(plan, problem.y_dtype), taker(plan, state)
        self._gradients = (
            gradients_out(call, plan, (x, None, None, None, None))[0],
            gradient_out(plan, name_of(taps.dtype), _reshaped(tuple(taps.shape))),
            None if memory is None else gradient_out(plan, name_of(memory.dtype), _reshaped(tuple(memory.shape))),
        )

    def __call__(self, arrays: Arrays, out: Array | None = None) -> tuple[Array, Array, Array]:
        """Return y, in `out` if that is given, the memory after the block and the ends."""
        operands, plan = self._operands(arrays), self.plan
        if out is None:
            y, memory, ends = self._kernel.cascade(self._cascade, operands, plan.allocate)
            y = plan.laid_out(y)
            y = y if self._view is None else self._view(y)
            y = y if self._take_y is None else self._take_y(y)
        else:
            y, memory, ends = self._run_into(out, operands, arrays[0])
        return y, self._memory_out(memory), self._memory_out(ends)

    def _run_into(self, out: Array, operands: CascadeOperands, x: Array) -> tuple[Array, Array, Array]:
        plan, (give, view) = self.plan, self._signal_way
        check_out(self.call, plan, (x, None, None, None, None), out)
        own = out if give is None else give(out)
        target = own if view is None else view(own)
        allocate: Allocate = plan.allocate
        if len(self.call.batch_shape) <= 1 and takes_directly(plan, target):
            allocate = OutMemory(plan, target)
        y, memory, ends = self._kernel.cascade(self._cascade, operands, allocate)
        if y is not target:
            own[...] = y if self._view is None else self._view(y)
        return out, memory, ends

    def vjp(
        self, arrays: Arrays, grad_y: Array | None, grad_memory: Array | None, grad_ends: Array | None,
        needs: CascadeNeeds,
    ) -> tuple[Array | None, Array | None, Array | None]:  # fmt: skip
        """Return the gradients of x, taps and memory that are needed, like them; x may be None where taps need none."""
        problem, plan = self.call.problem, self.plan
        give, view = self._signal_way
        if grad_y is None:
            grad = zeros(problem, problem.channels, problem.y_dtype, plan.library)
        else:
            grad = grad_y if give is None else give(grad_y)
            grad = grad if view is None else view(grad)
        of_memory, of_ends = (self._grad_in(part) for part in (grad_memory, grad_ends))
        found = self._kernel.cascade_vjp(
            self._cascade, self._operands(arrays), grad, of_memory, of_ends, needs, plan.allocate
        )
        if found.x is not None:
            found = found._replace(x=plan.laid_out(found.x))
        # a value that a narrower type has no number for becomes infinite, whatever the caller's np.errstate
        with np.errstate(all="ignore"):
            grads = [
                None if gradient is None or take is None else take(gradient)
                for gradient, take in zip(found, self._gradients, strict=True)
            ]
        return CascadeGradients(*grads)

    def _operands(self, arrays: Arrays) -> CascadeOperands:
        x, taps, memory = arrays
        give, view = self._x_way
        if x is None:
            problem = self.call.problem
            x = zeros(problem, problem.x_channels, problem.dtype, self.plan.library)
        else:
            x = x if give is None else give(x)
            x = x if view is None else view(x)
        taps = (taps if self._give_taps is None else self._give_taps(taps)).reshape(self._taps_shape)
        if memory is not None:
            memory = memory if self._give_memory is None else self._give_memory(memory)
            memory = memory.reshape(self._memory_shape)
        return CascadeOperands(x, taps, memory)

    def _grad_in(self, gradient: Array | None) -> Array | None:
        return None if gradient is None else self.plan.give_outputs(gradient).reshape(self._memory_shape)

    def _memory_out(self, memory: Array) -> Array:
        memory = memory.reshape(self._own_memory)
        return memory if self._take_memory is None else self._take_memory(memory)


def _reshaped(shape: tuple[int, ...]) -> Callable[[Array], Array]:
    return lambda gradient: gradient.reshape(shape)
