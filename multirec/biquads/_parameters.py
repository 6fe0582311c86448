"""Frequency, Q and gain: made arrays of one library, checked where they are plain numbers, and limited where not."""

from __future__ import annotations

import math
import sys
from typing import Any, TypeAlias

import numpy as np

from .._core.arrays import family_of, has_64_bit
from .._core.axes import namespace
from ..errors import ArgumentError, DtypeError, FamilyError, ShapeError

__all__ = ["check_frequency", "dtype_name", "joined", "limited", "together"]

Array: TypeAlias = Any

_HUGE = 1e30
_WIDE = {"float64", np.dtype(np.longdouble).name}


def together(sample_rate: float, given: dict[str, Any]) -> list[Array]:
    """Return parameters as arrays of one library, precision and device; raise where plain values make no sense.

    `given` has some of frequency, q, gain and bandwidth. Numbers, lists and NumPy's arrays join the arrays of any other
    library. Floating-point arrays say the precision, those of the other library first; numbers and integers follow.
    """
    parts = {name: _checked(name, value, sample_rate) for name, value in given.items()}
    arrays = {name: part for name, part in parts.items() if not isinstance(part, float)}
    _check_shapes(arrays)
    families = {name: family_of(array) for name, array in arrays.items()}
    others = sorted(set(families.values()) - {"numpy"})
    if len(others) > 1:
        told = ", ".join(f"{name} is a {family} array" for name, family in families.items())
        raise FamilyError(f"{told}. Convert them to one library.")
    family = others[0] if others else "numpy"
    own = [array for name, array in arrays.items() if families[name] == family]
    typed = {dtype for dtype in map(dtype_name, own) if "float" in dtype}
    wide = not typed or not typed.isdisjoint(_WIDE)
    dtype = "float64" if wide and (family != "jax" or has_64_bit()) else "float32"
    return [joined(part, own[0] if own else np.empty(0), dtype) for part in parts.values()]


def joined(part: Array | float, like: Array, dtype: str) -> Array:
    """Return a number or an array, of NumPy or of `like`'s library, in that library and of a dtype."""
    library = namespace(like)
    if library.__name__ != "torch":
        return library.asarray(part, dtype=dtype)
    device = like.device if isinstance(part, np.ndarray | float) else part.device
    if isinstance(part, np.ndarray):
        # torch takes no negative strides, no memory that is read only and no long doubles
        part = np.array(part, dtype=dtype)
    return library.as_tensor(part, dtype=getattr(library, dtype), device=device)


def dtype_name(array: Array) -> str:
    # not `name_of`, whose memory torch's compiler warns of
    return getattr(array.dtype, "name", "") or str(array.dtype).removeprefix("torch.")


def _checked(name: str, value: Any, sample_rate: float) -> Array | float:
    """Return a parameter as a float, which torch's compiler can look at, or as an array; raise unless it may be one."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        _check(name, number, sample_rate)
        return number
    if isinstance(value, list | tuple | bool | np.generic):
        try:
            value = np.asarray(value)
        except ValueError:
            raise ShapeError(f"{name} is no array: its rows differ in length.") from None
    family, dtype = family_of(value, name), dtype_name(value)
    if not dtype.startswith(("float", "bfloat", "int", "uint")):
        raise DtypeError(f"{name} has dtype {dtype}; it is real numbers. Cast it to float32 or float64.")
    if family == "numpy":
        _check(name, value, sample_rate)
    return value


def _check_shapes(arrays: dict[str, Array]) -> None:
    shapes = {name: tuple(array.shape) for name, array in arrays.items()}
    try:
        np.broadcast_shapes(*shapes.values())
    except ValueError:
        told = ", ".join(f"{name} has shape {shape}" for name, shape in shapes.items())
        raise ShapeError(f"{told}; they cannot be broadcast together. Pass arrays of one shape, or numbers.") from None


def _check(name: str, values: Array | float, sample_rate: float) -> None:
    """Raise where values of a parameter, a number or NumPy's array, are no filter."""
    if name == "frequency":
        check_frequency(name, values, sample_rate)
    elif name == "gain":
        _require(name, values, abs(values) < math.inf, "finite, in dB")
    else:
        unit = ", in octaves" if name == "bandwidth" else ""
        _require(name, values, (values > 0) & (values < math.inf), f"above 0 and finite{unit}")


def check_frequency(name: str, values: Array | float, sample_rate: float) -> None:
    """Raise unless frequencies in Hz are between 0 and half the sample rate."""
    half = sample_rate / 2
    says = f"above 0 Hz and below half the sample rate, {half:g} Hz"
    _require(name, values, (values > 0) & (values < half), says, " Check sample_rate.")


def _require(name: str, values: Any, good: Any, says: str, hint: str = "") -> None:
    is_number = isinstance(good, bool)
    if not (good if is_number else good.all()):
        wrong = values if is_number else values[~good].flat[0]
        raise ArgumentError(f"{name} is {says}, got {float(wrong):.15g}.{hint}")


def limited(values: Array, low: float, high: float) -> Array:
    """Return values brought into [low, high], with the gradient of values that need not be."""
    library = namespace(values)
    if library.__name__ not in ("torch", "jax.numpy"):
        return library.clip(values, low, high)
    # infinity less itself would be no number
    values = library.clip(values, -_HUGE, _HUGE)
    still = values.detach() if library.__name__ == "torch" else sys.modules["jax"].lax.stop_gradient(values)
    return library.clip(still, low, high) + (values - still)
