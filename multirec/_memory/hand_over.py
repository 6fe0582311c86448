"""Handing memory from one array library to another.

Host memory is shared by NumPy, torch (cpu) and JAX (cpu); CUDA memory by torch, CuPy and JAX. A backend of family
"cuda" takes torch tensors and CuPy arrays as they come, and JAX's arrays as CuPy's. A hand-over copies
only what the receiving library cannot take as it is (`misfit`). bfloat16 reaches NumPy as its bits in uint16.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from math import gcd
from typing import Any

import numpy as np

from .._core.arrays import Array, device_index, family_of
from .._core.axes import from_channels_time, to_channels_time
from .._core.problem import Family, Layout, Problem, Target
from .._machine.address import address

ALIGNMENT = 64


def library_of(problem: Problem, target: Target) -> Family:
    """Return whose arrays operands are to be for a backend of `target`.

    In host memory NumPy's views are cheapest; on a device JAX's arrays, which nothing can be added to, are handed over.
    """
    if problem.family == target:
        return problem.family
    if problem.device_type == "cpu":
        return "numpy"
    if problem.family == "jax":
        return "cupy" if target == "cuda" else target
    return problem.family


def misfit(array: Array, target: Target) -> str | None:
    """Say why a library cannot take an array's memory as it is, so that it is copied; None if it can."""
    if isinstance(array, np.ndarray):
        if not array.dtype.isnative:
            return "has its bytes in another order than this machine's"
        if not array.flags.aligned:
            return "does not begin at a multiple of its item size"
        if target == "torch" and (min(array.strides, default=0) < 0 or gcd(*array.strides) % array.itemsize):
            return "has strides that torch does not know, negative ones or pieces of an item"
    elif hasattr(array, "is_conj") and (array.is_conj() or array.is_neg()):
        return "has its conjugate or negative bit set"
    elif target == "cuda" and family_of(array) == "cupy" and array.data.ptr % array.real.itemsize:
        return "does not begin at a multiple of its item size"
    if target == "jax" and family_of(array) != "jax":
        return _misfit_of_jax(array)
    return None


def _misfit_of_jax(array: Array) -> str | None:
    is_numpy = isinstance(array, np.ndarray)
    if not (array.flags.c_contiguous if is_numpy else array.is_contiguous()):
        return "is not contiguous in (batch…, channels, time), which JAX needs"
    at = address(array) if is_numpy else array.data_ptr()
    return f"does not begin on {ALIGNMENT} bytes, which JAX needs" if at % ALIGNMENT else None


def hand_over(array: Array, source: Target, target: Target) -> Array:
    """Return an array of library `source` as one of `target` on the same memory, where that is possible."""
    if target == "numpy":
        return _to_numpy(array, source)
    if source == "torch":
        array = settled(array)
    if "cuda" in (source, target):
        return _in_cuda(array, source, target)
    if source == "numpy" and target == "torch":
        return _numpy_to_torch(array)
    if source == target:
        return array
    if target == "torch":
        if source == "jax":
            array.block_until_ready()
        return sys.modules["torch"].from_dlpack(array)
    if target == "cupy":
        return sys.modules["cupy"].from_dlpack(array)
    return _to_jax(array, source)


def settled(tensor: Array) -> Array:
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
        return _to_jax(array, "cupy")
    return array.copy() if source == "cupy" and misfit(array, "cuda") else array


def _to_numpy(array: Array, source: Target) -> Array:
    if source == "torch":
        array = _torch_to_numpy(array)
    elif source == "jax":
        array = np.asarray(array)
    if _is_bfloat16(array.dtype):
        array = array.view(np.uint16)
    return _native(array) if misfit(array, "numpy") else array


def _torch_to_numpy(tensor: Array) -> Array:
    torch = sys.modules["torch"]
    # lazy bits are resolved by NumPy: torch would do it on threads, which a forked child waits for without end
    if tensor.is_conj():
        return np.conj(_torch_to_numpy(tensor.conj()))
    if tensor.is_neg():
        return np.negative(_torch_to_numpy(tensor._neg_view()))
    tensor = tensor.view(torch.uint16) if tensor.dtype is torch.bfloat16 else tensor
    return _of_weight(tensor) if "Parameter" in map(_name, (tensor, tensor._base)) else tensor.detach().numpy()


def _name(tensor: Array) -> str:
    return type(tensor).__name__


def _of_weight(tensor: Array) -> Array:
    # after `numpy()` torch could not free the memory of sharded weights between their uses
    return np.from_dlpack(tensor.detach())


def host_view(tensor: Array) -> Array:
    """Return a tensor on the host, of a data type that NumPy has, as NumPy's array: `hand_over`, only shorter."""
    try:
        if tensor.requires_grad:
            # asked here, not in a function: this is in the way of every call
            weight = "Parameter" in (type(tensor).__name__, type(tensor._base).__name__)
            array = _of_weight(tensor) if weight else tensor.detach().numpy()
        else:
            array = tensor.numpy()
    except (RuntimeError, BufferError):  # lazy bits
        return _to_numpy(tensor, "torch")
    return array if array.flags.aligned else _native(array)


def _is_bfloat16(dtype: np.dtype[Any]) -> bool:
    # numpy works a dtype's name out anew each time
    return dtype.kind == "V" and dtype.name == "bfloat16"


def _native(array: Array) -> Array:
    return np.array(array, dtype=array.dtype.newbyteorder("="))


def _numpy_to_torch(array: Array) -> Array:
    torch = sys.modules["torch"]
    is_half = array.dtype.kind == "u" or _is_bfloat16(array.dtype)
    array = unlocked(array.view(np.uint16) if is_half else array)
    # torch takes addresses between two items, and some of its kernels crash there
    array = array if array.flags.aligned else _native(array)
    try:
        tensor = torch.from_numpy(array)
    except ValueError:  # a misfit
        tensor = torch.from_numpy(_native(array))
    return tensor.view(torch.bfloat16) if is_half else tensor


def unlocked(array: Array) -> Array:
    """Return an array on the same memory that may be written to."""
    return array if array.flags.writeable else np.asarray(_Unlocked(array)).view(array.dtype)


class _Unlocked:
    """A read-only array's memory without the flag: torch has none, warns of it, and kernels never write to operands."""

    def __init__(self, array: Array) -> None:
        self.owner = array
        # the interface has no name for bfloat16
        bits = array.view(np.uint16) if array.dtype.name == "bfloat16" else array
        interface = dict(bits.__array_interface__)
        self.__array_interface__ = interface | {"data": (interface["data"][0], False)}


def _to_jax(array: Array, source: Target) -> Array:
    jax = sys.modules["jax"]
    # JAX would round 64-bit types where the user has not enabled them
    with jax.enable_x64(True):
        # JAX may give an operand's memory away as soon as nobody holds it, so the kernel must have read it
        if source == "cupy":
            cupy = sys.modules["cupy"]
            cupy.cuda.get_current_stream(array.device.id).synchronize()
            return jax.dlpack.from_dlpack(cupy.ascontiguousarray(array))
        if source == "torch" and array.device.type != "cpu":
            sys.modules["torch"].cuda.current_stream(array.device).synchronize()
            return jax.dlpack.from_dlpack(array.contiguous())
        array = _to_numpy(array, source)
        array = array.view(jax.numpy.bfloat16) if array.dtype.kind == "u" else array
        return jax.device_put(array, jax.devices("cpu")[0], may_alias=True)


def restored(array: Array) -> Array:
    """Return bits of bfloat16 as what a NumPy user takes for it."""
    return array.view(sys.modules["ml_dtypes"].bfloat16) if array.dtype.kind == "u" else array


def device(problem: Problem) -> AbstractContextManager[Any]:
    """Return CuPy's context of a problem's device, in which it is current."""
    found: AbstractContextManager[Any] = sys.modules["cupy"].cuda.Device(device_index(problem))
    return found


def placed(array: Array, problem: Problem) -> Array:
    """Return a NumPy array in the library and on the device of a problem."""
    if problem.family == "torch":
        return _numpy_to_torch(array).to(problem.device)
    if problem.family == "cupy":
        with device(problem):
            return sys.modules["cupy"].asarray(array)
    if problem.device_type == "cpu":
        return _to_jax(array, "numpy")
    jax = sys.modules["jax"]
    with jax.enable_x64(True):
        return jax.device_put(array, jax.devices(problem.device_type)[device_index(problem)])


def as_layout_contiguous(array: Array, layout: Layout, family: Family) -> Array:
    """Return a canonical array whose memory is contiguous in `layout`; the array itself if it is."""
    if family == "numpy" and layout == "BCT":
        return np.ascontiguousarray(array)
    stored = from_channels_time(array, layout)
    if family == "numpy":
        return to_channels_time(np.ascontiguousarray(stored), layout)
    if family == "torch":
        return to_channels_time(stored.contiguous(), layout)
    if family == "cupy":
        return to_channels_time(sys.modules["cupy"].ascontiguousarray(stored), layout)
    return array
