"""Sequences in one pass: the kernel of a signature, and the ways of its arrays there and back."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._core.axes import cast_to
from .._core.problem import Family
from .._core.state import State
from .._core.validate import Call
from .._engine.launch import described
from .._engine.plan import Plan
from .._engine.target import OutMemory, check_out, is_x, takes_directly
from .._engine.ways import gradients_out, signal_way, taker, viewer, ways_in
from .._memory.allocate import zeros
from .._memory.hand_over import hand_over
from ..backend import Allocate, Gradients, Needs, Operands, SequenceKernel
from .marks import Marks
from .numbers import Sequences, numbers_of, read
from .tail import Places, add_gradient, kept_inputs, places_of

__all__ = ["Launcher", "Placed"]

Array: TypeAlias = Any
Arrays: TypeAlias = tuple[Array | None, ...]


class Placed(NamedTuple):
    """The number of each sample's sequence, and where kept inputs lie, in the kernel's library."""

    numbers: Array
    places: Places | None


class Launcher:
    """Runs the calls on sequences of one signature, and their gradients.

    Attributes
    ----------
    made_for
        Shape, data type and device of each of the arrays, as their library has them.
    """

    def __init__(
        self, call: Call, states: Call, plan: Plan, kernel: SequenceKernel, count: int | None, arrays: Arrays
    ) -> None:
        problem = call.problem
        self.call, self.plan, self._kernel, self._count, self._states = call, plan, kernel, count, states.problem.batch
        self.made_for = tuple(map(described, arrays))
        ways = ways_in(call, plan, (*arrays[:3], None, None))[:3]
        self._ways = *ways, *ways_in(states, plan, arrays)[3:]
        self._signal_way, self._view, self._view_state = signal_way(call, plan), viewer(call), viewer(states)
        self._state_way = signal_way(states, plan)
        self._take_x, self._take_y, self._take_state = (
            taker(plan, dtype) for dtype in (problem.dtype, problem.y_dtype, problem.state_dtype)
        )
        of_block = gradients_out(call, plan, (*arrays[:3], None, None))[:3]
        self._gradients = *of_block, *gradients_out(states, plan, arrays)[3:]

    def place(self, marks: Marks) -> Placed:
        """Return what marks say, for calls and gradients."""
        plan, problem = self.plan, self.plan.problem
        sequences = read(marks, self.call)
        source: Family = "numpy" if problem.device_type == "cpu" else problem.family
        with plan.on_device():
            if source != plan.library:
                parts = (None if part is None else hand_over(part, source, plan.library) for part in sequences)
                sequences = Sequences(*parts)
            numbers = numbers_of(sequences, problem)
            return Placed(numbers, places_of(sequences, numbers, problem) if problem.input_order else None)

    def __call__(self, arrays: Arrays, placed: Placed, out: Array | None = None) -> tuple[Array, State]:
        """Return y, in `out` if that is given, and the state after the block."""
        with self.plan.on_device():
            return self._run(arrays, placed, out)

    def _run(self, arrays: Arrays, placed: Placed, out: Array | None) -> tuple[Array, State]:
        plan, problem = self.plan, self.plan.problem
        if out is not None:
            check_out(self.call, plan, arrays, out)
        operands = self._operands(arrays)
        numbers, places = placed
        # x may be written over
        inputs = kept_inputs(operands.x, operands.inputs, places, problem, self._states)
        y, last = self._into(out, arrays[0], operands, numbers)
        return y, State(*map(self._state_out, (inputs, last), (self._take_x, self._take_state)))

    def _into(self, out: Array | None, x: Array, operands: Operands, numbers: Array) -> tuple[Array, Array]:
        plan = self.plan
        if out is None:
            y, last = self._forward(operands, numbers, plan.allocate)
            y = plan.laid_out(y)
            y = y if self._view is None else self._view(y)
            return (y if self._take_y is None else self._take_y(y)), last
        give, view = self._signal_way
        own = out if give is None else give(out)
        target = own if view is None else view(own)
        allocate: Allocate = plan.allocate
        if len(self.call.batch_shape) <= 1 and takes_directly(plan, target) and not is_x(self.call, x, out):
            allocate = OutMemory(plan, target)
        y, last = self._forward(operands, numbers, allocate)
        if y is not target:
            own[...] = y if self._view is None else self._view(y)
        return out, last

    def _forward(self, operands: Operands, numbers: Array, allocate: Allocate) -> tuple[Array, Array]:
        return self._kernel.forward_sequences(self.plan.problem, operands, numbers, self._count, allocate)

    def vjp(
        self,
        arrays: Arrays,
        placed: Placed,
        y: Array | None,
        grad_y: Array | None,
        grad_inputs: Array | None,
        grad_outputs: Array | None,
        needs: Needs,
    ) -> Gradients:
        """Return the gradients that are needed, in the caller's library, shapes and data types.

        x and y may be None where no gradient looks at them, and so may each given gradient that is zero.
        """
        # sums of infinities, and values that a narrower type has no number for, whatever the caller's np.errstate
        with self.plan.on_device(), np.errstate(all="ignore"):
            return self._vjp(arrays, placed, (y, grad_y), (grad_inputs, grad_outputs), needs)

    def _vjp(self, arrays: Arrays, placed: Placed, signals: Arrays, states: Arrays, needs: Needs) -> Gradients:
        plan, problem = self.plan, self.plan.problem
        operands = self._operands(arrays)
        numbers, places = placed
        y, grad_y = (self._signal(part, self._signal_way) for part in signals)
        grad_inputs, grad_last = (self._signal(part, self._state_way) for part in states)
        if grad_last is not None:
            grad_last = cast_to(grad_last, problem.state_dtype)
        if grad_y is None:
            grad_y = zeros(problem, problem.channels, problem.y_dtype, plan.library)
        found = self._kernel.vjp_sequences(
            problem,
            operands,
            numbers,
            self._count,
            grad_y if y is None else y,
            grad_y,
            grad_last,
            needs,
            plan.allocate,
        )
        if grad_inputs is not None and places is not None:
            add_gradient(found.x, found.inputs, grad_inputs, places)
        if found.x is not None:
            found = found._replace(x=plan.laid_out(found.x))
        return Gradients(
            *[
                None if gradient is None or out is None else out(gradient)
                for gradient, out in zip(found, self._gradients, strict=True)
            ]
        )

    def _operands(self, arrays: Arrays) -> Operands:
        x, *others = [
            None if part is None else self._signal(part, way) for part, way in zip(arrays, self._ways, strict=True)
        ]
        if x is None:
            problem = self.plan.problem
            x = zeros(problem, problem.x_channels, problem.dtype, self.plan.library)
        return Operands(x, *others)

    def _signal(self, array: Array | None, way: Any) -> Array:
        if array is None:
            return None
        give, view = way
        array = array if give is None else give(array)
        return array if view is None else view(array)

    def _state_out(self, part: Array, take: Any) -> Array:
        part = self.plan.laid_out(part)
        part = part if self._view_state is None else self._view_state(part)
        return part if take is None else take(part)
