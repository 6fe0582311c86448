"""From a call's arrays to its plan, and the run of what needs no derivative."""

from __future__ import annotations

from typing import Any, TypeAlias

from .._core.arrays import spec_of
from .._core.axes import operands_in, signal_out, tails
from .._core.state import State
from .._core.validate import Call, Choices, Specs, plan_call
from ..backend import Operands
from ..errors import ArgumentError
from .plan import Plan, bind
from .precision import settled

Array: TypeAlias = Any


def split_state(state: Any) -> tuple[Array | None, Array | None]:
    """Return a state's two parts, or raise."""
    if state is None:
        return None, None
    if not isinstance(state, tuple) or len(state) != 2:
        raise ArgumentError(
            f"state is a multirec.State(inputs, outputs) or None, got {type(state).__name__}. "
            "Pass what the previous call returned, or State(inputs=…, outputs=…)."
        )
    return state


def specs_of(arrays: tuple[Array | None, ...]) -> Specs:
    """Return the metadata of (x, feedforward, feedback, inputs, outputs)."""
    x, feedforward, feedback, inputs, outputs = arrays
    return (
        spec_of(x, "x"),
        None if feedforward is None else spec_of(feedforward, "feedforward"),
        None if feedback is None else spec_of(feedback, "feedback"),
        None if inputs is None else spec_of(inputs, "state.inputs"),
        None if outputs is None else spec_of(outputs, "state.outputs"),
    )


def plan_of(arrays: tuple[Array | None, ...], choices: Choices) -> tuple[Call, Plan]:
    """Validate and plan a call, remembered by its metadata; computed wide where rounding would spoil a filter."""
    specs = specs_of(arrays)
    return bind(*specs, settled(specs, arrays, choices))


def call_of(arrays: tuple[Array | None, ...], choices: Choices) -> Call:
    """Validate a call, remembered by its metadata; computed wide where rounding would spoil a filter."""
    specs = specs_of(arrays)
    return plan_call(*specs, settled(specs, arrays, choices))


def compute(call: Call, plan: Plan, arrays: tuple[Array | None, ...]) -> tuple[Array, State]:
    """Run a planned call on (x, feedforward, feedback, inputs, outputs), of which no derivative is wanted."""
    with plan.on_device():
        operands = operands_in(call, *plan.give_all(Operands(*arrays)))
        y, last = plan.forward(operands)
        inputs, outputs = tails(call.problem, operands, last)
        layout, batch, take = call.problem.layout, call.batch_shape, plan.take
        state = State(take(signal_out(inputs, layout, batch)), take(signal_out(outputs, layout, batch)))
        return take(signal_out(y, layout, batch)), state
