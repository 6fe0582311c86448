"""What a signature comes to: validated, planned, every conversion of arrays chosen; and the calls that follow it.

A launcher holds no array. A call is short and straight: arrays into the kernel's library and axes, the kernel, the
state cut off, results back.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import numpy as np

from .._core.axes import contiguous, last_of, namespace, signal_out, tail
from .._core.state import State
from .._core.validate import Call
from .._memory.allocate import zeros
from ..backend import Allocate, Gradients, Needs, Operands
from .plan import Plan
from .target import OutMemory, check_out, is_x, takes_directly
from .ways import gradients_out, signal_way, taker, viewer, ways_in

__all__ = ["Arrays", "Launcher", "described"]

Array: TypeAlias = Any
Arrays: TypeAlias = tuple[Array | None, ...]
"""x, feedforward, feedback, and the state's inputs and outputs, as the caller has them."""


def described(array: Array | None) -> tuple[Any, ...] | None:
    """Return an array's shape, data type and device."""
    return None if array is None else (array.shape, array.dtype, getattr(array, "device", None))


class Launcher:
    """Runs the calls of one signature.

    Attributes
    ----------
    call, plan
        What the signature was validated and planned as.
    made_for
        Shape, data type and device of each of the arrays and of y, as their library has them.
    judges
        Whether the values of coefficients decide the precision, so that each call is to look at them.
    """

    def __init__(self, call: Call, plan: Plan, arrays: Arrays, judges: bool = False) -> None:
        problem = call.problem
        self.call, self.plan, self.judges = call, plan, judges
        x: Array = arrays[0]
        dtype = x.dtype if problem.y_dtype == problem.dtype else getattr(namespace(x), problem.y_dtype)
        self.made_for = (*map(described, arrays), (call.y_shape, dtype, getattr(x, "device", None)))
        self._on_device: Callable[[], AbstractContextManager[Any]] | None = (
            plan.on_device if plan.library == "cupy" else None
        )
        self._ways = ways_in(call, plan, arrays)
        self._signal_way, self._view = signal_way(call, plan), viewer(call)
        self._take_x, self._take_y, self._take_state = (
            taker(plan, dtype) for dtype in (problem.dtype, problem.y_dtype, problem.state_dtype)
        )
        self._gradients = gradients_out(call, plan, arrays)
        self._owned: Callable[[Array], Array] = np.ndarray.copy if plan.library == "numpy" else contiguous
        self._ends = tuple(
            last_of(count, problem.length, problem.layout, problem.reverse)
            for count in (problem.input_order, problem.order)
        )

    def __call__(self, arrays: Arrays, out: Array | None = None) -> tuple[Array, State]:
        """Return y, in `out` if that is given, and the state after the block."""
        if out is not None:
            check_out(self.call, self.plan, arrays, out)
        if self._on_device is None:
            return self._run(arrays, out)
        with self._on_device():
            return self._run(arrays, out)

    def _run(self, arrays: Arrays, out: Array | None) -> tuple[Array, State]:
        plan, (of_x, of_y) = self.plan, self._ends
        own_x, operands = self._operands(arrays)
        if of_x is None:
            inputs = self._tail(operands.x, operands.inputs, plan.problem.input_order)
        else:
            inputs = self._owned(own_x[of_x])
        if out is None:
            y, last = plan.run(operands, plan.allocate)
            y = plan.laid_out(y)
            own_y = y if self._view is None else self._view(y)
        else:
            y, own_y, last = self._run_into(out, operands, arrays[0])
        if of_y is None or last is not None:
            outputs = self._tail(y if last is None else last, operands.outputs, plan.problem.order)
        else:
            outputs = self._owned(own_y[of_y])
        if out is None:
            out = own_y if self._take_y is None else self._take_y(own_y)
        return (
            out,
            State(
                inputs if self._take_x is None else self._take_x(inputs),
                outputs if self._take_state is None else self._take_state(outputs),
            ),
        )

    def _run_into(self, out: Array, operands: Operands, x: Array) -> tuple[Array, Array, Array | None]:
        """Return canonical y, y with the caller's axes, both in the memory of `out`, and the last outputs."""
        plan, (give, view) = self.plan, self._signal_way
        own = out if give is None else give(out)
        target = own if view is None else view(own)
        is_view = len(self.call.batch_shape) <= 1
        in_place = is_x(self.call, x, out)
        allocate: Allocate = plan.allocate
        if is_view and takes_directly(plan, target) and (not in_place or plan.takes_x()):
            allocate = OutMemory(plan, target)
        y, last = plan.run(operands, allocate)
        if y is not target:
            own[...] = y if self._view is None else self._view(y)
        return y, own, last

    def vjp(
        self,
        arrays: Arrays,
        y: Array | None,
        grad_y: Array | None,
        grad_inputs: Array | None,
        grad_outputs: Array | None,
        needs: Needs,
    ) -> Gradients:
        """Return the gradients that are needed, in the caller's library, shapes and data types.

        x and y may be None where no gradient looks at them, and so may each given gradient that is zero.
        """
        signals = y, grad_y, grad_inputs, grad_outputs
        if self._on_device is None:
            return self._vjp(arrays, signals, needs)
        with self._on_device():
            return self._vjp(arrays, signals, needs)

    def _vjp(self, arrays: Arrays, signals: Arrays, needs: Needs) -> Gradients:
        plan, problem = self.plan, self.plan.problem
        _, operands = self._operands(arrays)
        y, grad_y, grad_inputs, grad_outputs = [None if part is None else self._signal(part) for part in signals]
        if grad_y is None:
            grad_y = zeros(problem, problem.channels, problem.y_dtype, plan.library)
        # sums of infinities, and values that a narrower type has no number for, whatever the caller's np.errstate
        with np.errstate(all="ignore"):
            found = plan.vjp(operands, grad_y if y is None else y, grad_y, grad_inputs, grad_outputs, needs)
            return Gradients(
                *[
                    None if gradient is None or out is None else out(gradient)
                    for gradient, out in zip(found, self._gradients, strict=True)
                ]
            )

    def _operands(self, arrays: Arrays) -> tuple[Array, Operands]:
        """Return x in the kernel's library, with the caller's axes, and the canonical operands."""
        x, feedforward, feedback, inputs, outputs = arrays
        (give_x, view_x), (give_b, view_b), (give_a, view_a), (give_i, view_i), (give_o, view_o) = self._ways
        if x is None:
            problem = self.plan.problem
            canonical = zeros(problem, problem.x_channels, problem.dtype, self.plan.library)
        else:
            x = x if give_x is None else give_x(x)
            canonical = x if view_x is None else view_x(x)
        if feedforward is not None:
            feedforward = feedforward if give_b is None else give_b(feedforward)
            feedforward = feedforward if view_b is None else view_b(feedforward)
        if feedback is not None:
            feedback = feedback if give_a is None else give_a(feedback)
            feedback = feedback if view_a is None else view_a(feedback)
        if inputs is not None:
            inputs = inputs if give_i is None else give_i(inputs)
            inputs = inputs if view_i is None else view_i(inputs)
        if outputs is not None:
            outputs = outputs if give_o is None else give_o(outputs)
            outputs = outputs if view_o is None else view_o(outputs)
        return x, Operands(canonical, feedforward, feedback, inputs, outputs)

    def _signal(self, array: Array) -> Array:
        give, view = self._signal_way
        array = array if give is None else give(array)
        return array if view is None else view(array)

    def _tail(self, signal: Array, past: Array | None, count: int) -> Array:
        problem = self.plan.problem
        part = tail(signal, past, count, problem.layout, problem.reverse)
        return signal_out(part, problem.layout, self.call.batch_shape)
