"""Validation: metadata in, a call or an error out. Values are not looked at."""

from __future__ import annotations

from math import prod
from typing import Any

from .._core.activated import ACTIVATIONS, Activated, Activation
from .._core.coefficients import cast_hint
from .._core.problem import (
    HALF_DTYPES,
    LAYOUT_AXES,
    REAL_DTYPES,
    Layout,
    Spec,
    and_wider,
    join_shape,
    real_precision,
    split_shape,
)
from .._core.validate import Choices
from ..errors import ArgumentError, DeviceError, DtypeError, FamilyError, ShapeError, UnsupportedError
from .call import ActivatedCall

__all__ = ["as_activation", "build_envelope", "build_independent", "build_sru"]

_REAL = HALF_DTYPES + REAL_DTYPES
Named = tuple[str, Spec]
"""What an error calls an array, and its metadata."""


def as_activation(activation: object) -> Activation:
    """Return an activation typed, or raise."""
    for name in ACTIVATIONS:
        if activation == name:
            return name
    known = ", ".join(map(repr, ACTIVATIONS))
    raise ArgumentError(f"unknown activation {activation!r}. It is one of {known}: a kernel has it inside its loop.")


def build_independent(
    x: Spec, feedback: Spec, state: Spec | None, activation: Activation, choices: Choices, count: int | None
) -> ActivatedCall:
    """Return the call of `independent`."""
    batch, channels, length = _checked(("x", x), choices.layout)
    _check_coefficients(x, [("feedback", feedback)])
    if len(feedback.shape) != 2 or feedback.shape[0] not in (1, channels) or not feedback.shape[1]:
        raise ShapeError(
            f"feedback has shape {feedback.shape}, expected (channels, order) = ({channels}, 1 or more), or (1, order) "
            f"for all channels of x, of shape {x.shape} in layout {choices.layout!r}."
        )
    order = feedback.shape[1]
    problem = _problem("independent", activation, order, 1.0, (x.dtype,), x, channels, batch, length, choices, count)
    shape = join_shape(_states(batch, count), channels, order, choices.layout)
    _check_state(state, shape, f"the last {order} outputs in layout {choices.layout!r}", x, problem)
    return ActivatedCall(problem, batch)


def build_sru(
    u: Spec,
    highway: Spec | None,
    coefficients: tuple[Spec, Spec],
    state: Spec | None,
    scale: float,
    activation: Activation,
    choices: Choices,
    count: int | None,
) -> ActivatedCall:
    """Return the call of `sru`."""
    layout = choices.layout
    batch, width, length = _checked(("u", u), layout)
    weight, bias = coefficients
    _check_coefficients(u, [("weight", weight), ("bias", bias)])
    for name, spec in (("weight", weight), ("bias", bias)):
        if len(spec.shape) != 2 or spec.shape[0] != 2:
            raise ShapeError(f"{name} has shape {spec.shape}, expected (2, channels): of the gates f and r.")
    channels = weight.shape[1]
    blocks = (3,) if highway is not None else (3, 4)
    if width not in [block * channels for block in blocks]:
        allowed = " or ".join(f"{block} · {channels} = {block * channels}" for block in blocks)
        also = " with a highway of its own" if highway is not None else ""
        raise ShapeError(
            f"u has {width} channels{also} and weight {channels}: u holds ux, uf and ur one after the other along its "
            f"channels, and as a fourth the highway where it is not passed, so it has {allowed} of them."
        )
    if bias.shape != weight.shape:
        raise ShapeError(f"bias has shape {bias.shape} and weight {weight.shape}; both are (2, channels).")
    dtypes = [u.dtype] * (width // channels if channels else 3)
    if highway is not None:
        _check_highway(u, highway, join_shape(batch, channels, length, layout))
        dtypes.append(highway.dtype)
    problem = _problem("sru", activation, 1, scale, tuple(dtypes), u, channels, batch, length, choices, count)
    _check_state(state, (*_states(batch, count), channels), "c without an axis of time", u, problem)
    return ActivatedCall(problem, batch)


def build_envelope(
    x: Spec, coefficients: tuple[Spec, Spec], state: Spec | None, choices: Choices, count: int | None
) -> ActivatedCall:
    """Return the call of `envelope`."""
    batch, channels, length = _checked(("x", x), choices.layout)
    named = list(zip(("attack", "release"), coefficients, strict=True))
    _check_coefficients(x, named)
    rank = len(x.shape)
    full = join_shape(batch, channels, length, choices.layout)
    for name, spec in named:
        by_rank = {0: (), 1: (channels,), rank - 1: (*batch, channels), rank: full}
        whole = by_rank.get(len(spec.shape))
        if whole is None or any(own not in (1, size) for own, size in zip(spec.shape, whole, strict=True)):
            raise ShapeError(
                f"{name} has shape {spec.shape}, which does not fit x of shape {x.shape} (layout {choices.layout!r}, "
                f"{LAYOUT_AXES[choices.layout]}): it is one number, (channels,) = ({channels},), (batch…, channels) = "
                f"{(*batch, channels)}, or has all axes of x, each its size or 1."
            )
    varies = any(len(spec.shape) == rank for spec in coefficients)
    compute = real_precision(x.dtype)
    dtypes = (x.dtype, compute, compute) if varies else (x.dtype,)
    problem = _problem("envelope", "identity", 1, 1.0, dtypes, x, channels, batch, length, choices, count)
    _check_state(state, (*_states(batch, count), channels), "y without an axis of time", x, problem)
    return ActivatedCall(problem, batch, varies)


def _problem(
    kind: Any, activation: Activation, order: int, scale: float, dtypes: tuple[str, ...], x: Spec, channels: int,
    batch: tuple[int, ...], length: int, choices: Choices, count: int | None,
) -> Activated:  # fmt: skip
    return Activated(
        kind, activation, order, scale, x.family, x.device, dtypes, real_precision(x.dtype), choices.layout,
        choices.reverse, prod(batch), channels, length, count=count,
    )  # fmt: skip


def _states(batch: tuple[int, ...], count: int | None) -> tuple[int, ...]:
    return batch if count is None else (count,)


def _checked(signal: Named, layout: Layout) -> tuple[tuple[int, ...], int, int]:
    """Return the batch axes, channels and length of a signal that may be."""
    name, spec = signal
    if spec.family not in ("numpy", "torch", "cupy"):
        raise UnsupportedError(
            f"{name} is a {spec.family} array: recurrences with an activation inside take arrays of NumPy, torch and "
            "CuPy. Convert it, or step with jax.lax.scan."
        )
    if spec.dtype not in _REAL:
        raise DtypeError(
            f"{name} has dtype {spec.dtype}; it is real here, one of {', '.join(_REAL)}. Cast it first, for example "
            f"{cast_hint(name, spec)}."
        )
    if len(spec.shape) < 2:
        raise ShapeError(f"{name} has shape {spec.shape}; layout {layout!r} needs {LAYOUT_AXES[layout]}.")
    return split_shape(spec.shape, layout)


def _check_place(x: Spec, name: str, other: Spec) -> None:
    if other.family != x.family:
        raise FamilyError(f"x is a {x.family} array and {name} is a {other.family} array. Convert one of them.")
    if other.device != x.device:
        raise DeviceError(f"x is on {x.device} and {name} is on {other.device}. Move one of them.")


def _check_coefficients(x: Spec, named: list[Named]) -> None:
    for name, spec in named:
        if spec.family != "numpy":
            _check_place(x, name, spec)
        if spec.dtype not in _REAL:
            raise DtypeError(f"{name} has dtype {spec.dtype}; it is real, one of {', '.join(_REAL)}. Cast it.")


def _check_highway(u: Spec, highway: Spec, shape: tuple[int, ...]) -> None:
    _check_place(u, "highway", highway)
    if highway.shape != shape:
        raise ShapeError(f"highway has shape {highway.shape}, expected {shape}, which h has.")
    allowed = tuple(dict.fromkeys((u.dtype, real_precision(u.dtype))))
    if highway.dtype not in allowed:
        raise DtypeError(f"highway has dtype {highway.dtype}, expected {' or '.join(allowed)}, as u has. Cast it.")


def _check_state(state: Spec | None, shape: tuple[int, ...], what: str, x: Spec, problem: Activated) -> None:
    if state is None:
        return
    _check_place(x, "state", state)
    if state.shape != shape:
        raise ShapeError(
            f"state has shape {state.shape}, expected {shape}: {what}. Pass the state that the previous call returned, "
            "or None for zeros."
        )
    allowed = and_wider(problem.dtype)
    if state.dtype not in allowed:
        raise DtypeError(f"state has dtype {state.dtype}, expected {' or '.join(allowed)}. Cast it.")
