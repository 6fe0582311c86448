"""Array libraries: telling them apart without importing them, and handing memory from one to another.

Host memory is shared by NumPy, torch (cpu) and JAX (cpu); CUDA memory by torch, CuPy and JAX. A hand-over copies
only what the receiving library cannot take as it is. bfloat16 reaches NumPy kernels as its bits in uint16.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from ._canonical import from_channels_time, to_channels_time
from ._problem import Family, Layout, Problem, Spec, join_shape
from .errors import DtypeError, FamilyError

if TYPE_CHECKING:
    from .backend import Allocate

Array: TypeAlias = Any

_HOST: tuple[Family, ...] = ("numpy", "torch", "jax")
_CUDA: tuple[Family, ...] = ("torch", "cupy", "jax")
_ALIGNMENT = 64
_SMALL = 4096


def family_of(array: object, name: str = "x") -> Family:
    """Return the library an array belongs to, or raise."""
    if type(array) is np.ndarray:
        return "numpy"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return "torch"
    return _find_family(array, name)


def _find_family(array: object, name: str) -> Family:
    if isinstance(array, np.ma.MaskedArray):
        raise FamilyError(f"{name} is a masked array; a recurrence would ignore its mask. Pass {name}.filled(0).")
    if isinstance(array, np.ndarray):
        return "numpy"
    for family, type_name in (("jax", "Array"), ("cupy", "ndarray")):
        module = sys.modules.get(family)
        if module is not None and isinstance(array, getattr(module, type_name)):
            return cast(Family, family)
    what = type(array)
    raise FamilyError(
        f"{name} is a {what.__module__}.{what.__qualname__}, expected an array of NumPy, torch, JAX or CuPy. "
        f"Convert it first, for example numpy.asarray({name}, dtype='float32')."
    )


@lru_cache(maxsize=64)
def _name(value: object) -> str:
    """Name a dtype or a device; remembered, since the libraries compute it slowly."""
    if isinstance(value, np.dtype):
        return str(value.name)
    return str(value).removeprefix("torch.")


def spec_of(array: Array, name: str) -> Spec:
    """Return the metadata that validation looks at."""
    family = family_of(array, name)
    if family == "numpy":
        return Spec(array.shape, _name(array.dtype), "numpy", "cpu")
    if family == "torch":
        _check_dense(array, name)
        return Spec(tuple(array.shape), _name(array.dtype), "torch", _name(array.device))
    if family == "cupy":
        return Spec(array.shape, _name(array.dtype), "cupy", f"cuda:{array.device.id}")
    return Spec(array.shape, _name(array.dtype), "jax", _jax_device(array, name))


def _check_dense(tensor: Array, name: str) -> None:
    torch = sys.modules["torch"]
    if tensor.layout is torch.strided and not tensor.is_nested:
        return
    what = "nested" if tensor.is_nested else f"of layout {tensor.layout}"
    mend = "to_padded_tensor(0.0)" if tensor.is_nested else "to_dense()"
    raise DtypeError(f"{name} is a tensor that is {what}; a recurrence needs a dense one. Pass {name}.{mend}.")


def _jax_device(array: Array, name: str) -> str:
    if isinstance(array, sys.modules["jax"].core.Tracer):
        raise FamilyError(
            f"{name} is traced by JAX (jit, grad, vmap, …) and no backend that JAX can trace is registered. "
            "Call multirec outside of the transformation, or install a backend named 'jax'."
        )
    devices = array.devices()
    if len(devices) != 1:
        raise FamilyError(f"{name} is sharded over {len(devices)} devices; gather it on one first.")
    (device,) = devices
    return (
        "cpu" if device.platform == "cpu" else f"{'cuda' if device.platform == 'gpu' else device.platform}:{device.id}"
    )


def unreachable(problem: Problem, family: Family) -> str | None:
    """Say why arrays of this problem cannot be handed to a backend of `family`; None if they can."""
    if problem.family == family:
        return None
    shared = {"cpu": _HOST, "cuda": _CUDA}.get(problem.device_type, ())
    if family in shared and problem.family in shared:
        return None
    return (
        f"{problem.family} arrays on {problem.device} (it takes {family} arrays, and "
        f"{problem.family} and {family} share no memory there)"
    )


def empty(problem: Problem, channels: int, dtype: str) -> Array:
    """Return an uninitialised (B, channels, T) array of the caller's library, contiguous in the problem's layout."""
    shape = join_shape((problem.batch,), channels, problem.length, problem.layout)
    if problem.family == "torch" and problem.device_type != "cpu":
        torch = sys.modules["torch"]
        tensor = torch.empty(shape, dtype=getattr(torch, dtype), device=problem.device)
        return to_channels_time(tensor, problem.layout)
    if problem.family == "cupy":
        return to_channels_time(sys.modules["cupy"].empty(shape, dtype=dtype), problem.layout)
    stored = _host_bytes(shape, dtype).view(_stored(dtype)).reshape(shape)
    if problem.family == "torch":
        # torch's own allocator gives fresh pages one by one: 78 ms against 16 for 262 MB
        stored = hand_over(stored, "numpy", "torch", bits=dtype == "bfloat16")
    return to_channels_time(stored, problem.layout)


def _stored(dtype: str) -> str:
    return "uint16" if dtype == "bfloat16" else dtype


def _host_bytes(shape: tuple[int, ...], dtype: str) -> Array:
    size = prod(shape) * np.dtype(_stored(dtype)).itemsize
    if size < _SMALL:
        return np.empty(size, np.uint8)
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size]


class Bridge:
    """Hands canonical arrays of one problem to a backend's library, and its results back."""

    __slots__ = ("allocate", "problem", "target")

    def __init__(self, problem: Problem, target: Family) -> None:
        self.problem = problem
        self.target = target
        self.allocate: Allocate = self._allocate

    def give(self, array: Array | None) -> Array | None:
        """Return `array` in the backend's library."""
        if array is None:
            return None
        return hand_over(array, self.problem.family, self.target)

    def take(self, array: Array | None, dtype: str) -> Array | None:
        """Return a backend's result in the caller's library; `dtype` tells bfloat16's bits from integers."""
        if array is None:
            return None
        return hand_over(array, self.target, self.problem.family, bits=dtype == "bfloat16")

    def _allocate(self, channels: int, dtype: str) -> Array:
        bits = dtype == "bfloat16" and self.target == "torch"
        return hand_over(empty(self.problem, channels, dtype), self.problem.family, self.target, bits)


def hand_over(array: Array, source: Family, target: Family, bits: bool = False) -> Array:
    """Return an array of library `source` as one of `target` on the same memory, where that is possible.

    `bits` says that a NumPy array of uint16 holds bfloat16.
    """
    if source == "torch":
        array = array.detach().resolve_conj().resolve_neg()
    if target == "numpy":
        array = _to_numpy(array, source)
        return array.view(sys.modules["ml_dtypes"].bfloat16) if bits else array
    if source == "numpy" and target == "torch":
        return _numpy_to_torch(array, bits)
    if source == target:
        return array
    if target == "torch":
        return sys.modules["torch"].from_dlpack(array)
    if target == "cupy":
        return sys.modules["cupy"].from_dlpack(array)
    return _to_jax(array, source, bits)


def _to_numpy(array: Array, source: Family) -> Array:
    if source == "torch":
        torch = sys.modules["torch"]
        array = (array.view(torch.uint16) if array.dtype is torch.bfloat16 else array).numpy()
    elif source == "jax":
        array = np.asarray(array)
    if array.dtype.name == "bfloat16":
        array = array.view(np.uint16)
    return (
        array if array.flags.aligned and array.dtype.isnative else np.array(array, dtype=array.dtype.newbyteorder("="))
    )


def _numpy_to_torch(array: Array, bits: bool) -> Array:
    torch = sys.modules["torch"]
    if array.dtype.name == "bfloat16":
        array, bits = array.view(np.uint16), True
    if any(stride < 0 or stride % array.itemsize for stride in array.strides) or not array.dtype.isnative:
        array = np.array(array, dtype=array.dtype.newbyteorder("="))
    tensor = torch.from_numpy(array if array.flags.writeable else np.asarray(_Unlocked(array)))
    return tensor.view(torch.bfloat16) if bits else tensor


class _Unlocked:
    """A read-only array's memory without the flag: torch has none, warns of it, and kernels never write to operands."""

    def __init__(self, array: Array) -> None:
        self.owner = array
        interface = dict(array.__array_interface__)
        self.__array_interface__ = interface | {"data": (interface["data"][0], False)}


def _to_jax(array: Array, source: Family, bits: bool) -> Array:
    jax = sys.modules["jax"]
    if source == "numpy":
        return jax.numpy.asarray(array.view(jax.numpy.bfloat16) if bits else array)
    return jax.dlpack.from_dlpack(array)


def as_layout_contiguous(array: Array, layout: Layout, family: Family) -> Array:
    """Return a canonical array whose memory is contiguous in `layout`; the array itself if it is."""
    stored = from_channels_time(array, layout)
    if family == "numpy":
        return to_channels_time(np.ascontiguousarray(stored), layout)
    if family == "torch":
        return to_channels_time(stored.contiguous(), layout)
    if family == "cupy":
        return to_channels_time(sys.modules["cupy"].ascontiguousarray(stored), layout)
    return array
