"""`recurrence`, the one operation, for every array library."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, TypeAlias

from . import _select
from ._arrays import family_of, spec_of
from ._canonical import operands_in, signal_out, tails
from ._copies import copies
from ._plan import Plan
from ._precision import SPOILED, can_widen, remedy, settled, spoiled
from ._problem import ComputeDtype, Layout
from ._registry import registry
from ._state import State
from ._validate import Call, Choices, Specs, as_choices, plan_call
from .backend import Operands
from .errors import ArgumentError, UnsupportedError

Array: TypeAlias = Any


def recurrence(
    x: Array,
    *,
    feedforward: Array | None = None,
    feedback: Array | None = None,
    state: State | tuple[Array | None, Array | None] | None = None,
    layout: Layout = "BCT",
    reverse: bool = False,
    backend: str = "auto",
    compute_dtype: ComputeDtype | None = None,
) -> tuple[Array, State]:
    """Compute y[t] = Σ_j feedforward[j] · x[t−j] + Σ_k feedback[k−1] · y[t−k] for every example and channel.

    Parameters
    ----------
    x
        Array of NumPy, torch, JAX or CuPy in `layout`, with C channels, or 1 that serves all C.
    feedforward, feedback
        Coefficients: (C, taps) for all examples, (batch…, C, taps) for each, or time-varying with the axes of y, each
        full or 1, and taps last. C may be 1. `feedforward` None means 1; `feedback` None means none (FIR). In SciPy's
        convention feedforward = b / a[0] and feedback = −a[1:] / a[0].
    state
        What the previous call returned; None, whole or in part, means zeros.
    layout
        ``"BCT"`` (batch…, channels, time), ``"BTC"`` or ``"TBC"``, of x and y.
    reverse
        Run time backwards: y[t] depends on later samples, and the state's samples follow the block.
    backend
        A name of `multirec.backends()`, or ``"auto"``, which `multirec.explain` explains.
    compute_dtype
        ``"float32"`` or ``"float64"``: the precision of coefficients, of past outputs and of everything between x and
        y, not below x's. None is x's own, and float32 for half types; but float64 where that would spoil a filter whose
        coefficients are float64, of NumPy or torch, on the host and without a gradient. "Spoiled" is unstable by
        rounding, or 1 % of the largest response off; where no float64 is to be had it is a `RoundingWarning`.

    Returns
    -------
    y
        In x's library, device and precision, contiguous in `layout`; complex if x or a coefficient is.
    state
        `State` of the last inputs, and of the last outputs in the precision they were computed in; they own their
        memory.

    Raises
    ------
    MultirecError
        Shapes, dtypes, devices or libraries that do not fit together, or a backend that cannot compute this; each
        error is also the built-in it refines (ValueError, TypeError, ImportError, NotImplementedError).

    Example
    -------
    >>> import numpy as np, multirec as mr
    >>> y, state = mr.recurrence(np.ones((1, 1, 4)), feedback=np.array([[0.5]]))
    >>> y
    array([[[1.   , 1.5  , 1.75 , 1.875]]])
    >>> state.outputs
    array([[[1.875]]])
    """
    return run((x, feedforward, feedback, *split_state(state)), as_choices(layout, reverse, backend, compute_dtype))


def run(arrays: tuple[Array | None, ...], choices: Choices) -> tuple[Array, State]:
    """Compute a recurrence of (x, feedforward, feedback, inputs, outputs)."""
    family = family_of(arrays[0])
    # plain imports, which dynamo traces, and only once an array shows that the caller has the library
    if family == "torch":
        from ._torch import recurrence as torch_recurrence

        return torch_recurrence(arrays, choices)
    if family == "jax":
        from ._jax import recurrence as jax_recurrence

        return jax_recurrence(arrays, choices)
    torch = sys.modules.get("torch")
    if torch is not None and torch.compiler.is_compiling():
        raise UnsupportedError(
            "a NumPy array reached multirec inside torch.compile, which would trace into the kernels. "
            "Pass a tensor, or call it outside of the compiled function."
        )
    return compute(*plan_of(arrays, choices), arrays)


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
    return _select.bind(*specs, settled(specs, arrays, choices))


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


def explain(
    x: Array,
    *,
    feedforward: Array | None = None,
    feedback: Array | None = None,
    state: State | None = None,
    layout: Layout = "BCT",
    reverse: bool = False,
    backend: str = "auto",
    compute_dtype: ComputeDtype | None = None,
) -> _select.Explanation:
    """Say which backend computes this call, why each other one does not, what is copied for it, and what is rounded.

    Takes the arguments of `recurrence`; computes nothing. With a `backend`, it is about that one instead of about the
    one that ``"auto"`` picks.

    Example
    -------
    >>> import numpy as np, multirec as mr
    >>> mr.explain(np.ones((1, 4)), feedback=np.array([[0.5]])).candidates["reference"].ok
    True
    >>> print(mr.explain(np.ones((1, 4), ">f8"), feedback=np.array([[0.5]])).notes[0])
    x has its bytes in another order than this machine's: it is copied once
    """
    arrays = (x, feedforward, feedback, *split_state(state))
    choices = as_choices(layout, reverse, backend, compute_dtype)
    specs = specs_of(arrays)
    found = spoiled(specs, arrays, choices)
    if found:
        wide = can_widen(x, backend)
        choices = choices._replace(compute_dtype="float64" if wide else "float32")
        found = f"{SPOILED} {found}. {'It is computed in float64.' if wide else remedy(backend)}"
    call = plan_call(*specs, choices)
    if call.problem.family == "jax":
        from ._jax import check_64_bit

        check_64_bit(call)
    explanation = _select.explain_problem(call.problem, backend)
    if explanation.chosen is None:
        return explanation
    notes = copies(call, arrays, registry.info(explanation.chosen).family)
    return replace(explanation, notes=(*([found] if found else []), *notes))
