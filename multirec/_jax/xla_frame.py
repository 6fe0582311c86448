"""The call frame in which XLA hands its buffers to a foreign function: as much of its C interface as is needed here.

The names are those of `xla/ffi/api/c_api.h`, which JAX installs in `jax.ffi.include_dir()`. Within major version 0
fields are only added, at the end of structures, and each structure says its size.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_void_p, sizeof
from typing import Any

__all__ = ["CREATE_ERROR", "Frame", "addresses", "answer", "attribute", "error", "new_error"]

_METADATA = 1
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
_Buffer = _struct("_Buffer", ("dtype", c_int), ("data", c_void_p))
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
CREATE_ERROR = Frame.api.offset, _Api.error_create.offset
"""Where a frame holds its interface, and that the function that makes errors."""


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


def addresses(part: Any) -> list[int]:
    """Return where a frame's arguments or results are; 0 for one without elements."""
    items = part.items
    return [c_void_p.from_address(items[index] + _Buffer.data.offset).value or 0 for index in range(part.size)]


def error(frame: Any, cause: BaseException) -> int:
    """Return an error of XLA's, which becomes its, with the text of an exception."""
    create = ctypes.CFUNCTYPE(c_void_p, c_void_p)(frame.api.contents.error_create)
    code = _RESOURCE_EXHAUSTED if isinstance(cause, MemoryError) else _INTERNAL
    new = new_error(f"{type(cause).__name__}: {cause}", code)
    made: int = create(ctypes.addressof(new))
    return made


def new_error(why: str, code: int = _INTERNAL) -> Any:
    """Return what XLA makes an error of."""
    return _NewError(sizeof(_NewError), None, f"multirec: {why}".encode(), code)
