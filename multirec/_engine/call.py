"""From a call's arrays to its launcher: one look at their signature, and at values where those decide the precision."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeAlias

import numpy as np

from .._core.arrays import spec_of
from .._core.state import State
from .._core.validate import Call, Choices, Specs, build_call, plan_call
from .._registry.choice import chosen
from ..errors import ArgumentError, UnsupportedError
from .direct import launcher_for
from .launch import Arrays, Launcher
from .plan import Plan, plan_for
from .precision import decided_by_values, settled
from .table import Table

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


def specs_of(arrays: Arrays) -> Specs:
    """Return the metadata of (x, feedforward, feedback, inputs, outputs)."""
    x, feedforward, feedback, inputs, outputs = arrays
    return (
        spec_of(x, "x"),
        None if feedforward is None else spec_of(feedforward, "feedforward"),
        None if feedback is None else spec_of(feedback, "feedback"),
        None if inputs is None else spec_of(inputs, "state.inputs"),
        None if outputs is None else spec_of(outputs, "state.outputs"),
    )


def launcher_of(arrays: Arrays, choices: Choices, *, remember: bool = True) -> Launcher:
    """Return what runs a call; in float64 where rounding would spoil a filter.

    What is only traced is not to be remembered: its sizes may be tensors.
    """
    bind = bound if remember else _prepared
    launcher = bind(arrays, choices)
    if not launcher.judges:
        return launcher
    own = settled(launcher.call, arrays, choices)
    return launcher if own is choices else bind(arrays, own)


_launchers: Table[Launcher] = Table()


def bound(arrays: Arrays, choices: Choices) -> Launcher:
    """Return what runs a call as its choices say, whatever the values; remembered by its signature."""
    try:
        signature: Hashable = (choices, *map(signed, arrays))
        launcher = _launchers.get(signature)
    except (AttributeError, TypeError, RuntimeError):
        # no arrays of ours, which validation says better
        return _prepared(arrays, choices)
    return launcher or _launchers.find(signature, lambda: _prepared(arrays, choices))


def signed(array: Array | None) -> Hashable:
    """Return all that validation, planning and conversions look at."""
    if array is None:
        return None
    kind = type(array)
    if kind is np.ndarray:
        return array.shape, array.dtype, array.flags.aligned
    if issubclass(kind, np.ndarray):
        return kind, array.shape, array.dtype, array.flags.aligned
    # CuPy's arrays have a layout of none
    return kind, array.shape, array.dtype, array.device, getattr(array, "layout", None)


def _prepared(arrays: Arrays, choices: Choices) -> Launcher:
    specs = specs_of(arrays)
    call = build_call(*specs, choices)
    try:
        plan = plan_for(call.problem, choices.backend)
    except UnsupportedError:
        chosen(call.problem, choices.backend, specs[0].shape)
        raise
    return launcher_for(call, plan, arrays, decided_by_values(specs, choices))


def call_of(arrays: Arrays, choices: Choices) -> Call:
    """Validate a call, remembered by its metadata; computed wide where rounding would spoil a filter."""
    specs = specs_of(arrays)
    call = plan_call(*specs, choices)
    if not decided_by_values(specs, choices):
        return call
    own = settled(call, arrays, choices)
    return call if own is choices else plan_call(*specs, own)


def compute(call: Call, plan: Plan, arrays: Arrays) -> tuple[Array, State]:
    """Run a planned call on (x, feedforward, feedback, inputs, outputs), of which no derivative is wanted."""
    return Launcher(call, plan, arrays)(arrays)
