"""What users pass, as arrays: lists become NumPy's, and NumPy's become arrays of x's library where they meet them."""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .._core.arrays import family_of, has_64_bit, is_compiling, is_traced
from .._core.axes import namespace
from ..errors import FamilyError, ShapeError

__all__ = ["Array", "as_array", "check_family", "host_values", "like", "reference_of"]

Array: TypeAlias = Any


def as_array(values: Any, name: str) -> Array:
    """Return an array as it is, and lists, numbers and what says to be an array of NumPy, as NumPy's."""
    if isinstance(values, list | tuple | range | int | float | complex | np.generic):
        try:
            values = np.asarray(values)
        except ValueError as error:
            raise ShapeError(f"{name} is no array: its rows differ in length.") from error
        except (RuntimeError, TypeError) as error:
            raise FamilyError(
                f"{name} is a list of arrays whose values cannot be looked at: they are differentiated, traced or on a "
                "device. Make it one array of theirs: torch.stack, or jax.numpy.stack."
            ) from error
    try:
        family_of(values, name)
    except FamilyError:
        # pandas' series and others that are none of our libraries'; a masked array and a matrix are NumPy's own
        if isinstance(values, np.ndarray) or not hasattr(type(values), "__array__"):
            raise
        values = np.asarray(values)
    return values


def check_family(x: Array, /, **others: Array | None) -> None:
    """Raise unless other arrays are of x's library or, with an x of another one, NumPy's."""
    family = family_of(x)
    for name, other in others.items():
        if other is not None and family_of(other, name) not in (family, "numpy"):
            allowed = "numpy" if family == "numpy" else f"{family} or numpy"
            raise FamilyError(
                f"{name} is a {family_of(other, name)} array, expected {allowed}, as the signal is of {family}. "
                "Convert one of them."
            )


def reference_of(**parts: Array | None) -> Array:
    """Return the part whose library the others follow: the first that is not NumPy's, if there is one."""
    given = [part for part in parts.values() if part is not None]
    found = next((part for part in given if family_of(part) != "numpy"), given[0])
    check_family(found, **parts)
    return found


def like(array: Array, reference: Array) -> Array:
    """Return an array in the library and on the device of another, in its own precision where that has it."""
    if not isinstance(array, np.ndarray) or isinstance(reference, np.ndarray):
        return array
    library = namespace(reference)
    if is_compiling():
        return library.as_tensor(array, device=reference.device)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if library.__name__ == "torch":
        if reference.device.type == "mps" and array.dtype.itemsize == 8:
            array = array.astype(np.float32)
        # a copy, since torch warns of what may not be written to
        return library.as_tensor(np.array(array), device=reference.device)
    if library.__name__ == "cupy":
        with reference.device:
            return library.asarray(array)
    if not has_64_bit():
        array = array.astype({"d": np.float32, "D": np.complex64}.get(array.dtype.char, array.dtype))
    return library.asarray(array)


def host_values(array: Array) -> npt.NDArray[Any] | None:
    """Return the values of an array that is on the host and that nothing differentiates or traces."""
    if is_traced(array):
        return None
    if isinstance(array, np.ndarray):
        return array
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        if type(array) not in (torch.Tensor, torch.nn.Parameter) or array.requires_grad or array.device.type != "cpu":
            return None
        return array.detach().resolve_conj().resolve_neg().numpy() if array.dtype != torch.bfloat16 else None
    if family_of(array) == "jax":
        return np.asarray(array) if {device.platform for device in array.devices()} == {"cpu"} else None
    return None
