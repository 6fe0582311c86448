"""What steps of episodes are: arrays of one shape with an axis of time anywhere, and flags where episodes end."""

from __future__ import annotations

import operator
from typing import Any, TypeAlias

import numpy as np

from .._core.arrays import family_of, name_of
from .._core.axes import cast_to, namespace
from .._core.problem import FLOATING_DTYPES, HALF_DTYPES
from .._core.time_axis import TimeAxis
from .._memory.allocate import on_host
from ..errors import ArgumentError, AxisError, DtypeError, FamilyError, ShapeError

Array: TypeAlias = Any


def time_of(rewards: Array, time_dim: int | None) -> TimeAxis:
    """Return which axis of rewards is time; raise where none is named and there are several."""
    rank = rewards.ndim
    if rank == 0:
        raise ShapeError("rewards is one number, and returns run along time. Pass an array with an axis of time.")
    if time_dim is None:
        if rank > 1:
            raise ArgumentError(
                f"rewards has shape {tuple(rewards.shape)}, and time_dim does not say which axis is time. Pass "
                "time_dim=-1 for (envs, time), 0 for (time, envs), or -2 for (envs, time, 1)."
            )
        return TimeAxis(0, 1)
    axis = operator.index(time_dim)
    if not -rank <= axis < rank:
        raise AxisError(f"time_dim is {axis}, and rewards of shape {tuple(rewards.shape)} has {rank} axes.")
    return TimeAxis(axis % rank, rank)


def check_rewards(rewards: Array) -> None:
    """Raise unless rewards are real numbers of floating point."""
    family_of(rewards, "rewards")
    dtype = name_of(rewards.dtype)
    if dtype not in FLOATING_DTYPES or dtype.startswith("complex"):
        cast = "rewards.float()" if hasattr(rewards, "float") else "rewards.astype('float32')"
        raise DtypeError(f"rewards has dtype {dtype}; returns are sums of floating-point numbers. Pass {cast}.")


def check_family(name: str, array: Array, rewards: Array, dtype: str = "float32") -> None:
    """Raise unless an array is of rewards' library; `dtype` is what it may be made in."""
    own, other = family_of(array, name, dtype), family_of(rewards, "rewards")
    if own != other:
        raise FamilyError(f"{name} is a {own} array and rewards is a {other} array. Convert one of them.")


def check_like(name: str, array: Array, rewards: Array) -> None:
    """Raise unless an array is of rewards' library, shape and data type."""
    check_family(name, array, rewards)
    if tuple(array.shape) != tuple(rewards.shape):
        raise ShapeError(f"{name} has shape {tuple(array.shape)}, expected that of rewards, {tuple(rewards.shape)}.")
    if array.dtype != rewards.dtype:
        own, other = name_of(array.dtype), name_of(rewards.dtype)
        raise DtypeError(f"{name} has dtype {own} and rewards has {other}. Cast one of them, so that they are alike.")


def check_flags(name: str, flags: Array, rewards: Array) -> None:
    """Raise unless flags are booleans with rewards' axes, each full or 1."""
    check_family(name, flags, rewards, "bool")
    if name_of(flags.dtype) != "bool":
        raise DtypeError(
            f"{name} has dtype {name_of(flags.dtype)}, expected bool: where episodes end. Pass {name} != 0, or, of a "
            f"mask that says where they go on, {name} == 0."
        )
    _check_axes(name, flags, rewards)


def factor(name: str, number: Array, rewards: Array) -> Array:
    """Return gamma or lam as a number, or in the precision that returns are computed in."""
    found = number_of(name, number, rewards)
    if not isinstance(found, float) and found.ndim:
        _check_axes(name, found, rewards)
    return found


def number_of(name: str, number: Array, rewards: Array) -> Array:
    """Return a number, or an array of real ones in the precision that returns are computed in."""
    if isinstance(number, (int, float, np.integer, np.floating)):
        return float(number)
    check_family(name, number, rewards)
    dtype = name_of(number.dtype)
    if dtype.startswith("complex") or not (dtype in FLOATING_DTYPES or dtype.startswith(("int", "uint"))):
        raise DtypeError(f"{name} has dtype {dtype}, and rewards are real numbers. Pass real numbers.")
    return cast_to(number, precision_of(rewards))


def precision_of(rewards: Array) -> str:
    """Return the data type that returns of rewards are computed in."""
    dtype = name_of(rewards.dtype)
    return "float32" if dtype in HALF_DTYPES else dtype


def unless(flags: Array, number: Array, rewards: Array, plain: bool = False) -> Array:
    """Return a number, or numbers, and 0 where flags are set; `plain` says that nobody wants a derivative."""
    library, dtype = namespace(rewards), precision_of(rewards)
    if library.__name__ == "torch":
        zero = rewards.new_zeros((), dtype=getattr(library, dtype))
        number = number if isinstance(number, library.Tensor) else zero + number
        if plain and rewards.device.type == "cpu":
            # torch's own memory takes longer to come than the values take to compute
            shape = library.broadcast_shapes(flags.shape, number.shape)
            out = library.from_numpy(on_host(tuple(shape), np.dtype(dtype)))
            return library.where(flags, zero, number, out=out)
    else:
        zero = library.zeros((), dtype)
        number = library.asarray(number, dtype)
    return library.where(flags, zero, number)


def _check_axes(name: str, array: Array, rewards: Array) -> None:
    own, full = tuple(array.shape), tuple(rewards.shape)
    if len(own) != len(full) or any(size not in (1, whole) for size, whole in zip(own, full, strict=True)):
        raise ShapeError(f"{name} has shape {own}, and rewards has {full}: expected the same axes, each full or 1.")
