"""Frames in a kernel: the launcher of a signature, if its backend takes frames as they are."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._calculus.derived import add_last
from .._core.axes import signal_out, split_tail_gradient
from .._core.framed import Framed
from .._core.problem import Layout, split_shape
from .._core.state import State
from .._core.validate import Call, Choices
from .._engine.call import signed, specs_of
from .._engine.launch import Arrays, Launcher
from .._engine.plan import Plan, plan_for
from .._engine.table import Table
from .._memory.allocate import zeros
from ..backend import FramesKernel, Gradients, Needs
from .framing import Framing, call_of

Array: TypeAlias = Any

__all__ = ["Bound", "FramesLauncher", "bound"]


class Bound(NamedTuple):
    """A validated call, and what runs it on frames as they are, if there is such a kernel."""

    call: Call
    launcher: FramesLauncher | None


_bound: Table[Bound] = Table()


def bound(arrays: Arrays, framing: Framing, choices: Choices) -> Bound:
    """Return what runs a call, remembered by the signature of its arrays."""
    try:
        signature: Hashable = (framing, choices, *map(signed, arrays))
        found = _bound.get(signature)
    except (AttributeError, TypeError, RuntimeError):
        # no arrays of ours, which validation says better
        return _prepared(arrays, framing, choices)
    return found or _bound.find(signature, lambda: _prepared(arrays, framing, choices))


def _prepared(arrays: Arrays, framing: Framing, choices: Choices) -> Bound:
    call = call_of(specs_of(arrays), framing, choices)
    if call.problem.family == "jax":
        return Bound(call, None)
    plan = plan_for(call.problem, choices.backend)
    kernel = plan.kernel
    if not isinstance(kernel, FramesKernel) or plan.info.family not in (plan.library, "cuda"):
        return Bound(call, None)
    b, a = (
        None
        if taps is None or part is None
        else replace(taps, time=split_shape(tuple(part.shape[:-1]), choices.layout)[2])
        for taps, part in zip((call.problem.feedforward, call.problem.feedback), arrays[1:3], strict=True)
    )
    framed = Framed(replace(call.problem, feedforward=b, feedback=a), framing.hop, framing.linear)
    if not kernel.frames(framed):
        return Bound(call, None)
    return Bound(call, FramesLauncher(call, plan, kernel, framed, framing.offset, arrays))


def _frames_of(taps: Array, layout: Layout) -> int:
    return split_shape(tuple(taps.shape[:-1]), layout)[2]


class FramesLauncher(Launcher):
    """Runs the recurrences of one signature, and their gradients, without expanding frames."""

    def __init__(
        self, call: Call, plan: Plan, kernel: FramesKernel, framed: Framed, offset: int, arrays: Arrays
    ) -> None:
        # frames reach the kernel as coefficients of so many samples would
        super().__init__(call._replace(problem=framed.problem), plan, arrays)
        self._kernel, self._framed, self._offset = kernel, framed, offset

    def _run(self, arrays: Arrays, out: Array | None) -> tuple[Array, State]:
        plan, problem = self.plan, self.plan.problem
        _, operands = self._operands(arrays)
        y, last = self._kernel.forward_frames(self._framed, operands, self._offset, plan.allocate)
        y = plan.laid_out(y)
        y = y if self._view is None else self._view(y)
        inputs = self._tail(operands.x, operands.inputs, problem.input_order)
        outputs = signal_out(last, problem.layout, self.call.batch_shape)
        return (
            y if self._take_y is None else self._take_y(y),
            State(
                inputs if self._take_x is None else self._take_x(inputs),
                outputs if self._take_state is None else self._take_state(outputs),
            ),
        )

    def _vjp(self, arrays: Arrays, signals: Arrays, needs: Needs) -> Gradients:
        plan, problem = self.plan, self.plan.problem
        _, operands = self._operands(arrays)
        y, grad_y, grad_inputs, grad_outputs = [None if part is None else self._signal(part) for part in signals]
        if grad_y is None:
            grad_y = zeros(problem, problem.channels, problem.y_dtype, plan.library)
        found = self._kernel.vjp_frames(
            self._framed, operands, self._offset, grad_y if y is None else y, grad_y, grad_outputs, needs, plan.allocate
        )
        if found.x is not None:
            found = found._replace(x=plan.laid_out(found.x))
        past, block = split_tail_gradient(grad_inputs, problem.length, reverse=False)
        for whole, part in ((found.x, block), (found.inputs, past)):
            if whole is not None and part is not None:
                add_last(whole, part, reverse=False)
        # a value that a narrower type has no number for becomes infinite, whatever the caller's np.errstate
        with np.errstate(all="ignore"):
            return Gradients(
                *[
                    None if gradient is None or take is None else take(gradient)
                    for gradient, take in zip(found, self._gradients, strict=True)
                ]
            )
