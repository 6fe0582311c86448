"""Array libraries: telling them apart without importing them, and handing memory from one to another.

Host memory is shared by NumPy, torch (cpu) and JAX (cpu); CUDA memory by torch, CuPy and JAX. A backend of family
"cuda" takes torch tensors and CuPy arrays as they come, and JAX's arrays as CuPy's. A hand-over copies
only what the receiving library cannot take as it is. bfloat16 reaches NumPy kernels as its bits in uint16.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from ._canonical import from_channels_time, to_channels_time
from ._problem import Family, Layout, Problem, Spec, Target, join_shape
from .errors import DtypeError, FamilyError

if TYPE_CHECKING:
    from .backend import Allocate

Array: TypeAlias = Any
"""What a backend takes: arrays of one library, or whatever lies in CUDA memory."""

_HOST: tuple[Target, ...] = ("numpy", "torch", "jax")
_CUDA: tuple[Target, ...] = ("torch", "cupy", "jax", "cuda")
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
    if isinstance(array, np.ndarray) and not isinstance(array, np.matrix):
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
    return Spec(array.shape, _name(array.dtype), "jax", _jax_device(array))


def _check_dense(tensor: Array, name: str) -> None:
    torch = sys.modules["torch"]
    if tensor.layout is torch.strided and not tensor.is_nested:
        return
    what = "nested" if tensor.is_nested else f"of layout {tensor.layout}"
    mend = "to_padded_tensor(0.0)" if tensor.is_nested else "to_dense()"
    raise DtypeError(f"{name} is a tensor that is {what}; a recurrence needs a dense one. Pass {name}.{mend}.")


def _jax_device(array: Array) -> str:
    """Name the device of an array, the first of several, or of what is traced."""
    jax = sys.modules["jax"]
    devices = jax.devices() if isinstance(array, jax.core.Tracer) else array.devices()
    device = min(devices, key=lambda device: device.id)
    platform = "cuda" if device.platform == "gpu" else device.platform
    return platform if platform == "cpu" else f"{platform}:{device.id}"


def unreachable(problem: Problem, family: Target) -> str | None:
    """Say why arrays of this problem cannot be handed to a backend of `family`; None if they can."""
    if problem.family == family:
        return None
    shared: tuple[Target, ...] = {"cpu": _HOST, "cuda": _CUDA}.get(problem.device_type, ())
    if family in shared and problem.family in shared:
        return None
    return (
        f"{problem.family} arrays on {problem.device} (it takes {family} arrays, and "
        f"{problem.family} and {family} share no memory there)"
    )


def empty(problem: Problem, channels: int, dtype: str, target: Target) -> Array:
    """Return an uninitialised (B, channels, T) array in the caller's memory, contiguous in the problem's layout.

    It is an array of library `target`, or of the caller's own for one that works on raw CUDA memory.
    """
    shape = join_shape((problem.batch,), channels, problem.length, problem.layout)
    if problem.family == "torch" and problem.device_type != "cpu":
        torch = sys.modules["torch"]
        tensor = torch.empty(shape, dtype=getattr(torch, dtype), device=problem.device)
        return hand_over(to_channels_time(tensor, problem.layout), "torch", target)
    if problem.device_type == "cuda":
        cupy = sys.modules["cupy"]
        with cupy.cuda.Device(device_index(problem)):
            return hand_over(to_channels_time(cupy.empty(shape, dtype=dtype), problem.layout), "cupy", target)
    # for torch too: its own allocator gives fresh pages one by one, 78 ms against 16 for 262 MB
    stored = to_channels_time(_host_bytes(shape, dtype).view(_stored(dtype)).reshape(shape), problem.layout)
    return _numpy_to_torch(stored, bits=dtype == "bfloat16") if target == "torch" else stored


def device_index(problem: Problem) -> int:
    """Return which of the devices of its type a problem is on."""
    return int(problem.device.partition(":")[2] or 0)


def _stored(dtype: str) -> str:
    return "uint16" if dtype == "bfloat16" else dtype


def _host_bytes(shape: tuple[int, ...], dtype: str) -> Array:
    size = prod(shape) * np.dtype(_stored(dtype)).itemsize
    if size < _SMALL:
        return np.empty(size, np.uint8)
    try:
        raw = np.empty(size + _ALIGNMENT, np.uint8)
    except MemoryError:
        raise MemoryError(
            f"no memory for an output of shape {shape}, {dtype}: {size / 2**30:.1f} GiB. Filter fewer examples, "
            "channels or samples at a time; the returned state continues a block."
        ) from None
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size]


class Bridge:
    """Hands canonical arrays of one problem to a backend's library, and its results back."""

    __slots__ = ("allocate", "problem", "target")

    def __init__(self, problem: Problem, target: Target) -> None:
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
        given = hand_over(array, self.target, self.problem.family, bits=dtype == "bfloat16")
        if self.target == "jax" and self.problem.family == "numpy":
            # JAX calls its arrays read-only, but nobody else has this one
            return _unlocked(given)
        return given

    def _allocate(self, channels: int, dtype: str) -> Array:
        return empty(self.problem, channels, dtype, self.target)


def hand_over(array: Array, source: Target, target: Target, bits: bool = False) -> Array:
    """Return an array of library `source` as one of `target` on the same memory, where that is possible.

    `bits` says that a NumPy array of uint16 holds bfloat16.
    """
    if source == "torch":
        array = _settled(array)
    if "cuda" in (source, target):
        return _in_cuda(array, source, target)
    if target == "numpy":
        array = _to_numpy(array, source)
        return array.view(sys.modules["ml_dtypes"].bfloat16) if bits else array
    if source == "numpy" and target == "torch":
        return _numpy_to_torch(array, bits)
    if source == target:
        return array
    if target == "torch":
        if source == "jax":
            array.block_until_ready()
        return sys.modules["torch"].from_dlpack(array)
    if target == "cupy":
        return sys.modules["cupy"].from_dlpack(array)
    return _to_jax(array, source, bits)


def _settled(tensor: Array) -> Array:
    """Return a tensor without graph and without lazy bits; itself where it has none."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    if tensor.is_conj():
        tensor = tensor.resolve_conj()
    return tensor.resolve_neg() if tensor.is_neg() else tensor


def _in_cuda(array: Array, source: Target, target: Target) -> Array:
    if source == "jax":
        return sys.modules["cupy"].from_dlpack(array)
    if target == "jax":
        return _to_jax(array, "cupy", bits=False)
    if source == "cupy" and array.data.ptr % array.real.itemsize:
        return array.copy()
    return array


def _to_numpy(array: Array, source: Target) -> Array:
    if source == "torch":
        torch = sys.modules["torch"]
        array = (array.view(torch.uint16) if array.dtype is torch.bfloat16 else array).numpy()
    elif source == "jax":
        array = np.asarray(array)
    if _is_bfloat16(array.dtype):
        array = array.view(np.uint16)
    return (
        array if array.flags.aligned and array.dtype.isnative else np.array(array, dtype=array.dtype.newbyteorder("="))
    )


def _is_bfloat16(dtype: np.dtype[Any]) -> bool:
    # numpy works a dtype's name out anew each time
    return dtype.kind == "V" and dtype.name == "bfloat16"


def _numpy_to_torch(array: Array, bits: bool) -> Array:
    torch = sys.modules["torch"]
    if _is_bfloat16(array.dtype):
        array, bits = array.view(np.uint16), True
    if any(stride < 0 or stride % array.itemsize for stride in array.strides) or not array.dtype.isnative:
        array = np.array(array, dtype=array.dtype.newbyteorder("="))
    tensor = torch.from_numpy(_unlocked(array))
    return tensor.view(torch.bfloat16) if bits else tensor


def _unlocked(array: Array) -> Array:
    return array if array.flags.writeable else np.asarray(_Unlocked(array)).view(array.dtype)


class _Unlocked:
    """A read-only array's memory without the flag: torch has none, warns of it, and kernels never write to operands."""

    def __init__(self, array: Array) -> None:
        self.owner = array
        # the interface has no name for bfloat16
        bits = array.view(np.uint16) if array.dtype.name == "bfloat16" else array
        interface = dict(bits.__array_interface__)
        self.__array_interface__ = interface | {"data": (interface["data"][0], False)}


def _to_jax(array: Array, source: Target, bits: bool) -> Array:
    jax = sys.modules["jax"]
    # JAX would round 64-bit types where the user has not enabled them
    with jax.enable_x64(True):
        if source == "cupy":
            return jax.dlpack.from_dlpack(sys.modules["cupy"].ascontiguousarray(array))
        if source == "torch" and array.device.type != "cpu":
            return jax.dlpack.from_dlpack(array.contiguous())
        bits = bits or (source == "torch" and array.dtype is sys.modules["torch"].bfloat16)
        array = _to_numpy(array, source) if source == "torch" else array
        array = array.view(jax.numpy.bfloat16) if bits else array
        return jax.device_put(array, jax.devices("cpu")[0], may_alias=True)


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
