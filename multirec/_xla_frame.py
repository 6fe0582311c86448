"""The call frame in which XLA hands its buffers to a foreign function: as much of its C interface as is needed here.

The names are those of `xla/ffi/api/c_api.h`, which JAX installs in `jax.ffi.include_dir()`. Within major version 0
fields are only added, at the end of structures, and each structure says its size.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_void_p, sizeof
from typing import Any

import numpy as np

from ._canonical import to_channels_time
from ._problem import Layout, Spec, join_shape

__all__ = ["Frame", "answer", "attribute", "buffers", "error"]

_METADATA = 1
_DTYPES = {10: "float16", 11: "float32", 12: "float64", 15: "complex64", 16: "bfloat16", 18: "complex128"}
_RESOURCE_EXHAUSTED, _INTERNAL = 8, 13


def _struct(name: str, *fields: tuple[str, Any]) -> Any:
    """Declare a structure that begins with its own size and a list of extensions."""
    head = [("struct_size", c_size_t), ("extension_start", c_void_p)]
    return type(name, (Structure,), {"_fields_": [*head, *fields]})


_Version = _struct("_Version", ("major_version", c_int), ("minor_version", c_int))
_Api = _struct("_Api", ("api_version", _Version), ("internal_api", c_void_p), ("error_create", c_void_p))
_Buffers = _struct("_Buffers", ("size", c_int64), ("types", c_void_p), ("items", POINTER(c_void_p)))
_Attributes = _struct(
    "_Attributes", ("size", c_int64), ("types", c_void_p), ("names", c_void_p), ("items", POINTER(c_void_p))
)
_Buffer = _struct("_Buffer", ("dtype", c_int), ("data", c_void_p), ("rank", c_int64), ("dims", POINTER(c_int64)))
_NewError = _struct("_NewError", ("message", c_char_p), ("code", c_int))
Frame = _struct(
    "Frame",
    ("api", POINTER(_Api)),
    ("context", c_void_p),
    ("stage", c_int),
    ("arguments", _Buffers),
    ("results", _Buffers),
    ("attributes", _Attributes),
)
"""What XLA calls with, read from an address by `Frame.from_address`."""


class _Text(Structure):
    _fields_ = (("data", c_void_p), ("size", c_size_t))


class _Metadata(Structure):
    _fields_ = (("struct_size", c_size_t), ("api_version", _Version), ("traits", c_uint32))


class _Extension(Structure):
    _fields_ = (
        ("struct_size", c_size_t),
        ("type", c_int),
        ("next", c_void_p),
        ("metadata", POINTER(_Metadata)),
    )


def answer(frame: Any) -> str | None:
    """Answer XLA's question for the version a function was made for; return why it cannot be called, or None.

    The answer is XLA's own version: with any that it does not take, it would give up all CPU devices.
    """
    extension = _Extension.from_address(frame.extension_start)
    if extension.type != _METADATA:
        return f"XLA asks for an extension of type {extension.type}"
    version, own = frame.api.contents.api_version, extension.metadata.contents.api_version
    own.major_version, own.minor_version = version.major_version, version.minor_version
    parts = ((frame.arguments, _Buffers), (frame.results, _Buffers), (frame.attributes, _Attributes))
    fits = all(part.struct_size == sizeof(known) for part, known in parts)
    if version.major_version != 0 or frame.struct_size < sizeof(Frame) or not fits:
        return f"XLA calls foreign functions by version {version.major_version}.{version.minor_version}"
    return None


def attribute(frame: Any) -> bytes:
    """Return the one attribute of a call, a string."""
    text = _Text.from_address(frame.attributes.items[0])
    return ctypes.string_at(text.data, text.size)


def buffers(part: Any, layout: Layout, *, written: bool = False) -> tuple[list[Spec], list[np.ndarray[Any, Any]]]:
    """Return the metadata of a frame's arguments or results, and canonical views of them; signals lie in `layout`."""
    found = [_Buffer.from_address(part.items[i]) for i in range(part.size)]
    specs = [Spec(tuple(one.dims[: one.rank]), _DTYPES[one.dtype], "numpy", "cpu") for one in found]
    return specs, [_view(one.data or 0, spec, layout, written) for one, spec in zip(found, specs, strict=True)]


class _Memory:
    def __init__(self, data: int, shape: tuple[int, ...], kind: str, written: bool) -> None:
        self.__array_interface__ = {"version": 3, "shape": shape, "typestr": kind, "data": (data, not written)}


def _view(data: int, spec: Spec, layout: Layout, written: bool) -> np.ndarray[Any, Any]:
    is_signal = len(spec.shape) == 3
    kind = np.dtype("uint16" if spec.dtype == "bfloat16" else spec.dtype).str
    shape = join_shape(spec.shape[:1], *spec.shape[1:], layout) if is_signal else spec.shape
    array = np.asarray(_Memory(data, shape, kind, written))
    return to_channels_time(array, layout) if is_signal else array


def error(frame: Any, cause: BaseException) -> int:
    """Return an error of XLA's, which becomes its, with the text of an exception."""
    create = ctypes.CFUNCTYPE(c_void_p, c_void_p)(frame.api.contents.error_create)
    message = f"multirec: {type(cause).__name__}: {cause}".encode()
    code = _RESOURCE_EXHAUSTED if isinstance(cause, MemoryError) else _INTERNAL
    made: int = create(ctypes.addressof(_NewError(sizeof(_NewError), None, message, code)))
    return made
