"""Array libraries: telling them apart, and reading the metadata of their arrays, without importing any."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeAlias, cast

import numpy as np

from ..errors import DtypeError, FamilyError
from .problem import Family, Problem, Spec, Target

Array: TypeAlias = Any
"""What a backend takes: arrays of one library, or whatever lies in CUDA memory."""

_HOST: tuple[Target, ...] = ("numpy", "torch", "jax")
_CUDA: tuple[Target, ...] = ("torch", "cupy", "jax", "cuda")


def family_of(array: object, name: str = "x", dtype: str = "float32") -> Family:
    """Return the library an array belongs to, or raise and say how to make one, of `dtype` for example."""
    if type(array) is np.ndarray:
        return "numpy"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return "torch"
    return _find_family(array, name, dtype)


def _find_family(array: object, name: str, dtype: str) -> Family:
    if isinstance(array, np.ma.MaskedArray):
        raise FamilyError(f"{name} is a masked array; a recurrence would ignore its mask. Pass {name}.filled(0).")
    if isinstance(array, np.ndarray) and not isinstance(array, np.matrix):
        return "numpy"
    for family, type_name in (("jax", "Array"), ("cupy", "ndarray")):
        module = sys.modules.get(family)
        if module is not None and isinstance(array, getattr(module, type_name)):
            return cast(Family, family)
    what = type(array)
    dtype = {"resets": "bool", "lengths": "int64", "cu_seqlens": "int64"}.get(name, dtype)
    raise FamilyError(
        f"{name} is a {what.__module__}.{what.__qualname__}, expected an array of NumPy, torch, JAX or CuPy. "
        f"Convert it first, for example numpy.asarray({name}, dtype='{dtype}')."
    )


def name_of(value: object) -> str:
    """Name a dtype or a device; remembered, since the libraries compute it slowly."""
    # torch's compiler warns of memories
    return _name(value) if is_compiling() else _remembered_name(value)


def _name(value: object) -> str:
    if isinstance(value, np.dtype):
        return str(value.name)
    return str(value).removeprefix("torch.")


_remembered_name = lru_cache(maxsize=64)(_name)


def is_double(array: Array) -> bool:
    """Whether the numbers of an array are of 64 bits, or pairs of them; a compiler may trace this."""
    dtype = array.dtype
    is_complex = dtype.is_complex if hasattr(dtype, "is_complex") else dtype.kind == "c"
    return bool(dtype.itemsize == (16 if is_complex else 8))


def spec_of(array: Array, name: str) -> Spec:
    """Return the metadata that validation looks at."""
    family = family_of(array, name)
    if family == "numpy":
        return Spec(array.shape, name_of(array.dtype), family, "cpu")
    if family == "torch":
        if array.is_nested or array.layout is not sys.modules["torch"].strided:
            raise _not_dense(array, name)
        return Spec(tuple(array.shape), name_of(array.dtype), family, name_of(array.device))
    device = f"cuda:{array.device.id}" if family == "cupy" else _jax_device(array)
    return Spec(array.shape, name_of(array.dtype), family, device)


def _not_dense(tensor: Array, name: str) -> DtypeError:
    what = "nested" if tensor.is_nested else f"of layout {tensor.layout}"
    mend = "to_padded_tensor(0.0)" if tensor.is_nested else "to_dense()"
    return DtypeError(f"{name} is a tensor that is {what}; a recurrence needs a dense one. Pass {name}.{mend}.")


def _jax_device(array: Array) -> str:
    """Name the device of an array, the first of several, or of what is traced."""
    jax = sys.modules["jax"]
    return _first(jax.devices()) if isinstance(array, jax.core.Tracer) else _first_of(array.sharding)


@lru_cache(maxsize=64)
def _first_of(sharding: Any) -> str:
    return _first(sharding.device_set)


def _first(devices: Iterable[Any]) -> str:
    device = min(devices, key=lambda device: device.id)
    platform = "cuda" if device.platform == "gpu" else device.platform
    return str(platform if platform == "cpu" else f"{platform}:{device.id}")


def has_64_bit() -> bool:
    """Whether JAX, which is loaded, has 64-bit types now."""
    return bool(sys.modules["jax"].dtypes.canonicalize_dtype(np.float64) == np.float64)


def is_compiling() -> bool:
    """Whether torch compiles what calls this."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.compiler.is_compiling())


def is_traced(array: Array) -> bool:
    """Whether values cannot be looked at: under a transformation, a compiler, or a mode that runs no kernels."""
    if is_compiling():
        return True
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        inner = torch._C
        return bool(
            inner._functorch.peek_interpreter_stack() is not None
            or inner._len_torch_dispatch_stack()
            or inner._get_tracing_state() is not None
        )
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(array, jax.core.Tracer)


def device_index(problem: Problem) -> int:
    """Return which of the devices of its type a problem is on."""
    return int(problem.device.partition(":")[2] or 0)


severed: dict[tuple[Family, Target], str] = {}
"""Why a bridge, as it found when it was loaded, cannot hand the arrays of one library to kernels of another."""


def unreachable(problem: Problem, family: Target) -> str | None:
    """Say why arrays of this problem cannot be handed to a backend of `family`; None if they can."""
    if problem.family == family:
        return None
    if (problem.family, family) in severed:
        return severed[problem.family, family]
    shared: tuple[Target, ...] = {"cpu": _HOST, "cuda": _CUDA}.get(problem.device_type, ())
    if family in shared and problem.family in shared:
        return None
    return (
        f"{problem.family} arrays on {problem.device} (it takes {family} arrays, and "
        f"{problem.family} and {family} share no memory there)"
    )
