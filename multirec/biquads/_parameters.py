"""Frequency, Q and gain: made arrays of one library, checked where they are plain numbers, and limited where not."""

from __future__ import annotations

import math
import sys
from typing import Any, TypeAlias

import numpy as np

from .._core.arrays import family_of, has_64_bit
from .._core.axes import namespace
from ..errors import ArgumentError, DtypeError, FamilyError

__all__ = ["check_frequency", "check_sample_rate", "dtype_name", "joined", "limited", "together"]

Array: TypeAlias = Any

_HUGE = 1e30


def check_sample_rate(sample_rate: float) -> float:
    """Return the sample rate as a float; raise unless it is one."""
    try:
        found = float(sample_rate)
    except (TypeError, ValueError):
        found = math.nan
    if not 0 < found < math.inf:
        raise ArgumentError(f"sample_rate is above 0 Hz, got {sample_rate!r}.")
    return found


def together(sample_rate: float, given: dict[str, Any]) -> list[Array]:
    """Return parameters as arrays of one library, precision and device; raise where plain values make no sense.

    `given` has some of frequency, q, gain and bandwidth. Numbers, lists and NumPy's arrays join the arrays of any other
    library. Floating-point arrays say the precision, those of the other library first; numbers and integers follow.
    """
    arrays: dict[str, Array] = {}
    typed: dict[str, list[str]] = {}
    for name, value in given.items():
        plain = isinstance(value, list | tuple | int | float | np.generic)
        arrays[name] = array = np.asarray(value) if plain else value
        family = family_of(array, name)
        dtype = dtype_name(array)
        if not dtype.startswith(("float", "bfloat", "int", "uint")):
            raise DtypeError(f"{name} has dtype {dtype}; it is real numbers. Cast it to float32 or float64.")
        if family == "numpy":
            _check(name, array, sample_rate)
        if dtype.startswith(("float", "bfloat")) and not isinstance(value, int | float):
            typed.setdefault(family, []).append(dtype)
    families = {name: family_of(array) for name, array in arrays.items()}
    others = sorted(set(families.values()) - {"numpy"})
    if len(others) > 1:
        told = ", ".join(f"{name} is a {family} array" for name, family in families.items())
        raise FamilyError(f"{told}. Convert them to one library.")
    family = others[0] if others else "numpy"
    like = next(array for name, array in arrays.items() if families[name] == family)
    narrow = "float64" not in typed.get(family, ["float64"]) or (family == "jax" and not has_64_bit())
    return [joined(array, like, "float32" if narrow else "float64") for array in arrays.values()]


def joined(array: Array, like: Array, dtype: str) -> Array:
    """Return an array, of NumPy or of `like`'s library, in that library and of a dtype."""
    library = namespace(like)
    if library.__name__ != "torch":
        return library.asarray(array, dtype=dtype)
    device = like.device if isinstance(array, np.ndarray) else array.device
    return library.as_tensor(array, dtype=getattr(library, dtype), device=device)


def dtype_name(array: Array) -> str:
    # not `name_of`, whose memory torch's compiler warns of
    return str(array.dtype).removeprefix("torch.")


def _check(name: str, values: Array, sample_rate: float) -> None:
    """Raise where values of a parameter are no filter."""
    if name == "frequency":
        check_frequency(name, values, sample_rate)
    elif name == "gain":
        _require(name, values, np.isfinite(values), "finite, in dB")
    else:
        unit = ", in octaves" if name == "bandwidth" else ""
        _require(name, values, (values > 0) & (values < math.inf), f"above 0 and finite{unit}")


def check_frequency(name: str, values: Array, sample_rate: float) -> None:
    """Raise unless NumPy's frequencies in Hz are between 0 and half the sample rate."""
    half = sample_rate / 2
    says = f"above 0 Hz and below half the sample rate, {half:g} Hz"
    _require(name, values, (values > 0) & (values < half), says, " Check sample_rate.")


def _require(name: str, values: Array, good: Array, says: str, hint: str = "") -> None:
    if not good.all():
        raise ArgumentError(f"{name} is {says}, got {values[~good].flat[0]}.{hint}")


def limited(values: Array, low: float, high: float) -> Array:
    """Return values brought into [low, high], with the gradient of values that need not be."""
    library = namespace(values)
    if library.__name__ not in ("torch", "jax.numpy"):
        return library.clip(values, low, high)
    # infinity less itself would be no number
    values = library.clip(values, -_HUGE, _HUGE)
    still = values.detach() if library.__name__ == "torch" else sys.modules["jax"].lax.stop_gradient(values)
    return library.clip(still, low, high) + (values - still)
