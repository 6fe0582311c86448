"""Validation of calls: metadata in, a canonical problem or an error out.

Only shapes, dtypes, libraries and devices are looked at here. Nothing is computed or copied.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from math import prod
from typing import NamedTuple, TypeAlias, cast

from ..errors import ArgumentError, DeviceError, DtypeError, FamilyError, ShapeError
from .coefficients import canonical_taps, cast_hint, check_coefficient_dtypes, common_channels, view_taps
from .problem import (
    COMPLEX_DTYPES,
    FLOATING_DTYPES,
    LAYOUT_AXES,
    REAL_DTYPES,
    ComputeDtype,
    Layout,
    Problem,
    Spec,
    canonical_problem,
    join_shape,
    real_precision,
    split_shape,
)

Specs: TypeAlias = tuple[Spec, Spec | None, Spec | None, Spec | None, Spec | None]
"""Of x, feedforward, feedback, and the state's inputs and outputs."""
NAMES = "x", "feedforward", "feedback", "state.inputs", "state.outputs"
"""What errors call them."""


class Choices(NamedTuple):
    """What a call says besides its arrays; a `compute_dtype` of None is the signal's own precision."""

    layout: Layout = "BCT"
    reverse: bool = False
    backend: str = "auto"
    compute_dtype: ComputeDtype | None = None


class Call(NamedTuple):
    """A validated call: the canonical problem, and the user's own shapes."""

    problem: Problem
    batch_shape: tuple[int, ...]
    y_shape: tuple[int, ...]


def as_layout(layout: object) -> Layout:
    """Return `layout` typed; raise unless it is one of the three."""
    if not isinstance(layout, str) or layout not in LAYOUT_AXES:
        known = ", ".join(f"{name!r} {axes}" for name, axes in LAYOUT_AXES.items())
        raise ArgumentError(f"unknown layout {layout!r}. The layouts are {known}.{_if_traced(layout)}")
    return cast(Layout, layout)


def as_choices(layout: object, reverse: object, backend: object, compute_dtype: object) -> Choices:
    """Return choices typed; raise unless they are what choices are."""
    if type(reverse) is bool and type(backend) is str and compute_dtype is None and type(layout) is str:
        return Choices(as_layout(layout), reverse, backend)
    if not isinstance(reverse, bool):
        raise ArgumentError(f"reverse is True or False, got {reverse!r}.{_if_traced(reverse)}")
    if not isinstance(backend, str):
        raise ArgumentError(f"backend is a name such as 'auto' or 'numba', got {backend!r}.{_if_traced(backend)}")
    if compute_dtype is not None and not (isinstance(compute_dtype, str) and compute_dtype in REAL_DTYPES):
        raise ArgumentError(
            f"compute_dtype is 'float32' or 'float64', or None for the signal's own precision, got {compute_dtype!r}."
            f"{_if_dtype(compute_dtype)}{_if_traced(compute_dtype)}"
        )
    return Choices(as_layout(layout), reverse, backend, cast(ComputeDtype | None, compute_dtype))


def _if_dtype(choice: object) -> str:
    """Return what helps where a library's data type was given for its name; else nothing."""
    name = getattr(choice, "__name__", str(choice)).removeprefix("torch.")
    return f" Pass the string {name!r}." if name in REAL_DTYPES else ""


def _if_traced(choice: object) -> str:
    """Return what helps where a choice was an argument of a function that JAX compiles; else nothing."""
    jax = sys.modules.get("jax")
    traced = jax is not None and isinstance(choice, jax.core.Tracer)
    return " This one is traced by JAX: name the argument in static_argnames of jax.jit." if traced else ""


def build_call(
    x: Spec,
    feedforward: Spec | None,
    feedback: Spec | None,
    inputs: Spec | None,
    outputs: Spec | None,
    choices: Choices,
) -> Call:
    """Validate the arguments of a recurrence and return its canonical problem."""
    layout, reverse, _, compute_dtype = choices
    _check_x(x, layout)
    _check_precision(x, compute_dtype)
    if feedforward is None and feedback is None:
        raise ArgumentError(
            "feedforward and feedback are both None, so there is nothing to compute. "
            "Pass feedforward (an FIR filter), feedback (a recurrence), or both."
        )
    _check_places(x, feedforward, feedback, inputs, outputs)
    check_coefficient_dtypes(x, feedforward, feedback)
    batch, x_channels, length = split_shape(x.shape, layout)
    views = {
        name: view_taps(name, spec, x, layout)
        for name, spec in (("feedforward", feedforward), ("feedback", feedback))
        if spec is not None
    }
    channels = common_channels(x, x_channels, views, layout)
    taps = {name: canonical_taps(name, view, batch, length, layout, x) for name, view in views.items()}
    one_batch = x._replace(shape=(prod(batch), x_channels, length))
    problem = canonical_problem(
        one_batch, taps.get("feedforward"), taps.get("feedback"), layout, reverse, compute_dtype
    )
    past_x, past_y = (
        join_shape(batch, count, order, layout)
        for count, order in ((x_channels, problem.input_order), (channels, problem.order))
    )
    check_state("inputs", inputs, past_x, (x.dtype,), layout)
    check_state("outputs", outputs, past_y, problem.past_dtypes, layout)
    return Call(problem, batch, join_shape(batch, channels, length, layout))


plan_call = lru_cache(maxsize=1024)(build_call)
"""`build_call`, remembered: the hot path looks a call up by its metadata."""


def _check_x(x: Spec, layout: Layout) -> None:
    if x.dtype not in FLOATING_DTYPES:
        raise DtypeError(
            f"x has dtype {x.dtype}; a recurrence is defined for {', '.join(FLOATING_DTYPES)}. "
            f"Cast it first, for example {cast_hint('x', x)}."
        )
    if len(x.shape) < 2:
        one_channel = f"Pass {'x[None]' if layout == 'BCT' else 'x[:, None]'} for one channel"
        hint = one_channel if len(x.shape) == 1 else "Pass an array with a time axis and a channel axis"
        raise ShapeError(f"x has shape {x.shape}; layout {layout!r} needs {LAYOUT_AXES[layout]}. {hint}.")


def _check_precision(x: Spec, compute_dtype: ComputeDtype | None) -> None:
    if compute_dtype == "float32" and real_precision(x.dtype) == "float64":
        raise ArgumentError(
            f"compute_dtype is float32 and x is {x.dtype}: y would have digits that were never computed. Leave "
            f"compute_dtype out, or cast x to {'complex64' if x.dtype in COMPLEX_DTYPES else 'float32'}."
        )


def _check_places(x: Spec, *others: Spec | None) -> None:
    for name, other in zip(NAMES[1:], others, strict=True):
        if other is None:
            continue
        is_coefficient = not name.startswith("state")
        if is_coefficient and other.family == "numpy":
            continue
        if other.family != x.family:
            allowed = f"{x.family} or numpy" if is_coefficient and x.family != "numpy" else x.family
            raise FamilyError(
                f"x is a {x.family} array and {name} is a {other.family} array; with such an x it must be {allowed}. "
                f"Convert one of them."
            )
        if other.device != x.device:
            raise DeviceError(f"x is on {x.device} and {name} is on {other.device}. Move one of them.")


def check_state(part: str, got: Spec | None, shape: tuple[int, ...], dtypes: tuple[str, ...], layout: Layout) -> None:
    """Raise unless a part of a state has this shape, but perhaps 1 along batch axes, and one of these types."""
    if got is None:
        return
    source = "x" if part == "inputs" else "y"
    count = "q (feedforward taps less one)" if part == "inputs" else "p (feedback taps)"
    if not _serves(got.shape, shape, layout):
        raise ShapeError(
            f"state.{part} has shape {got.shape}, expected {shape}: the last {count} samples of {source} in layout "
            f"{layout!r}, {LAYOUT_AXES[layout]}; batch axes may be 1. Pass the state that the previous call returned, "
            "or None for zeros."
        )
    check_state_dtype(part, got.dtype, dtypes)


def check_state_dtype(part: str, dtype: str, dtypes: tuple[str, ...]) -> None:
    """Raise unless a state's inputs or outputs are of one of these types, of which the first is the signal's."""
    if dtype not in dtypes:
        own, *wider = dtypes
        others = f", or wider: {' or '.join(wider)}" if wider else ""
        source = "x" if part == "inputs" else "y"
        raise DtypeError(f"state.{part} has dtype {dtype}, expected {own}, which is {source}'s{others}. Cast it.")


def _serves(shape: tuple[int, ...], full: tuple[int, ...], layout: Layout) -> bool:
    """Whether a state's part has its shape, but perhaps one entry for all examples."""
    if shape == full:
        return True
    if len(shape) != len(full):
        return False
    (own, *rest), (batch, *others) = (split_shape(which, layout) for which in (shape, full))
    return rest == others and all(size in (1, whole) for size, whole in zip(own, batch, strict=True))


def check_signal(name: str, got: Spec, expected: Spec) -> None:
    """Raise unless an array is what is expected, to the letter."""
    if got.family != expected.family:
        raise FamilyError(f"{name} is a {got.family} array, expected {expected.family}, as x is. Convert it.")
    if got.device != expected.device:
        raise DeviceError(f"x is on {expected.device} and {name} is on {got.device}. Move one of them.")
    if got.shape != expected.shape:
        raise ShapeError(f"{name} has shape {got.shape}, expected {expected.shape}.")
    if got.dtype != expected.dtype:
        raise DtypeError(f"{name} has dtype {got.dtype}, expected {expected.dtype}. Pass one of that data type.")
