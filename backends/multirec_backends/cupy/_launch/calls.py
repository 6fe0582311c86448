"""CUDA's C functions by ctypes, called as cuda-bindings calls them, so that all else is written once.

A function takes what the C function reads and returns a tuple: the status, and what the C function writes. Handles are
for passing on; a list is an array of strings, and a bytearray is filled.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from ctypes import CDLL, addressof, byref, c_char, c_char_p, c_int, c_size_t, c_uint, c_void_p
from typing import Any, NamedTuple, TypeAlias

from multirec.errors import BackendBrokenError

Calls: TypeAlias = Any
"""A module of cuda-bindings, or `ByCtypes`."""
Launch: TypeAlias = Callable[[Any, int, int, int, int, c_char_p], Any]
"""Takes a kernel, blocks, threads, bytes of shared memory, a stream and the kernel's argument; returns the status."""


class _Out(NamedTuple):
    kind: Any


class _By(NamedTuple):
    kind: Any


_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "nvrtcVersion": (_Out(c_int), _Out(c_int)),
    "nvrtcCreateProgram": (_Out(c_void_p), c_char_p, c_char_p, c_int, c_void_p, c_void_p),
    "nvrtcCompileProgram": (c_void_p, c_int, c_void_p),
    "nvrtcGetCUBINSize": (c_void_p, _Out(c_size_t)),
    "nvrtcGetCUBIN": (c_void_p, c_void_p),
    "nvrtcGetPTXSize": (c_void_p, _Out(c_size_t)),
    "nvrtcGetPTX": (c_void_p, c_void_p),
    "nvrtcGetProgramLogSize": (c_void_p, _Out(c_size_t)),
    "nvrtcGetProgramLog": (c_void_p, c_void_p),
    "nvrtcDestroyProgram": (_By(c_void_p),),
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (_Out(c_int),),
    "cuDeviceGetCount": (_Out(c_int),),
    "cuDeviceGetAttribute": (_Out(c_int), c_int, c_int),
    "cuDevicePrimaryCtxRetain": (_Out(c_void_p), c_int),
    "cuCtxSetCurrent": (c_void_p,),
    "cuCtxPushCurrent": (c_void_p,),
    "cuCtxPopCurrent": (_Out(c_void_p),),
    "cuModuleLoadData": (_Out(c_void_p), c_char_p),
    "cuModuleGetFunction": (_Out(c_void_p), c_void_p, c_char_p),
    "cuGetErrorName": (c_int, _Out(c_char_p)),
    "cuGetErrorString": (c_int, _Out(c_char_p)),
}
_SYMBOLS = {"cuCtxPushCurrent": "cuCtxPushCurrent_v2", "cuCtxPopCurrent": "cuCtxPopCurrent_v2"}


class ByCtypes:
    """The functions of one library."""

    CUdevice_attribute = int

    def __init__(self, library: CDLL) -> None:
        self._library = library

    def __getattr__(self, name: str) -> Any:
        return _function(self._library[_SYMBOLS.get(name, name)], _SIGNATURES[name])

    def launcher(self) -> Launch:
        """Return what `launcher` does; without types of arguments, whose conversion costs more than all of the call."""
        call = self._library["cuLaunchKernel"]

        def launch(function: Any, blocks: int, threads: int, shared: int, stream: int, structure: c_char_p) -> Any:
            return call(function, blocks, 1, 1, threads, 1, 1, shared, c_void_p(stream), byref(structure), None)

        return launch

    def nvrtcGetSupportedArchs(self) -> tuple[int, list[int]]:
        count = c_int()
        status = self._library.nvrtcGetNumSupportedArchs(byref(count))
        found = (c_int * count.value)()
        return status or self._library.nvrtcGetSupportedArchs(found), list(found)


def _function(own: Any, signature: tuple[Any, ...]) -> Callable[..., tuple[Any, ...]]:
    own.argtypes = [c_void_p if isinstance(kind, _Out | _By) else kind for kind in signature]

    def call(*given: Any) -> tuple[Any, ...]:
        outs, left = [], iter(given)
        arguments = []
        for kind in signature:
            if isinstance(kind, _Out):
                outs.append(kind.kind())
                arguments.append(byref(outs[-1]))
            elif isinstance(kind, _By):
                arguments.append(byref(kind.kind(next(left))))
            else:
                arguments.append(_for_c(next(left)))
        return own(*arguments), *(out.value for out in outs)

    return call


def _for_c(value: Any) -> Any:
    if isinstance(value, list):
        return (c_char_p * len(value))(*value)
    return (c_char * len(value)).from_buffer(value) if isinstance(value, bytearray) else value


def calls(module: str, library: CDLL, bindings: str) -> Calls:
    """Return the functions of a library that is loaded, "driver" or "nvrtc", through cuda-bindings of that version."""
    if not bindings:
        return ByCtypes(library)
    try:
        return importlib.import_module(f"cuda.bindings.{module}")
    except ImportError as error:
        raise BackendBrokenError(
            f"backend 'cupy': cuda-bindings {bindings} is installed but fails to load: {error}. "
            "Install it again, or uninstall it: ctypes then does the same."
        ) from error


def launcher(calls: Calls) -> Launch:
    """Return ``cuLaunchKernel`` for kernels that take one structure by value, as cheap as it can be."""
    if isinstance(calls, ByCtypes):
        return calls.launcher()
    call = calls.cuLaunchKernel

    def launch(function: Any, blocks: int, threads: int, shared: int, stream: int, structure: c_char_p) -> Any:
        return call(function, blocks, 1, 1, threads, 1, 1, shared, stream, addressof(structure), 0)[0]

    return launch


def handle(value: Any) -> Any:
    """Return a handle as a launch takes it."""
    return c_void_p(value) if isinstance(value, int) else value
