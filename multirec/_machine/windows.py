"""What Windows says of processors and memory, by kernel32."""

from __future__ import annotations

import ctypes
import struct
from ctypes import byref, c_size_t, c_ulong, c_void_p, create_string_buffer
from typing import Any

__all__ = ["memory", "processors"]

# SYSTEM_CPU_SET_INFORMATION: size, type, id, group, index in it, core, cache, node, efficiency class; more follows
_SET = struct.Struct("<IIIHBBBBB")
# MEMORYSTATUSEX: size, load, then total and available bytes: physical, with the page file, addresses; and one more
_STATUS = struct.Struct("<II7Q")


def _kernel() -> Any:
    # only there on Windows
    library: Any = ctypes
    kernel = library.WinDLL("kernel32")
    kernel.GetCurrentProcess.restype = c_void_p
    kernel.GetProcessAffinityMask.argtypes = (c_void_p, c_void_p, c_void_p)
    kernel.GetSystemCpuSetInformation.argtypes = (c_void_p, c_ulong, c_void_p, c_void_p, c_ulong)
    kernel.GlobalMemoryStatusEx.argtypes = (c_void_p,)
    return kernel


def processors() -> int | None:
    """Return how many processors this process may run on, of the fastest kind where there are several."""
    kernel = _kernel()
    process = kernel.GetCurrentProcess()
    sets = _sets(kernel, process)
    own, system = c_size_t(), c_size_t()
    # the masks are of one group of 64 processors: without a limit, all groups count
    if kernel.GetProcessAffinityMask(process, byref(own), byref(system)) and own.value != system.value:
        sets = [(index, kind) for index, kind in sets if own.value >> index & 1][: own.value.bit_count()]
    fastest = max((kind for _, kind in sets), default=0)
    return sum(kind == fastest for _, kind in sets) or own.value.bit_count() or None


def _sets(kernel: Any, process: Any) -> list[tuple[int, int]]:
    """Return the index in its group, and the efficiency class, of every processor: the faster, the higher."""
    size = c_ulong()
    kernel.GetSystemCpuSetInformation(None, 0, byref(size), process, 0)
    buffer = create_string_buffer(size.value)
    if not kernel.GetSystemCpuSetInformation(buffer, size, byref(size), process, 0):
        return []
    found, at = [], 0
    while at + _SET.size <= size.value:
        length, kind, _, _, index, _, _, _, efficiency = _SET.unpack_from(buffer, at)
        if kind == 0:
            found.append((index, efficiency))
        at += length
    return found


def memory() -> tuple[int | None, int | None]:
    """Return the bytes of the machine's memory, and those of it that a process may still take."""
    status = create_string_buffer(_STATUS.pack(_STATUS.size, *[0] * 8), _STATUS.size)
    if not _kernel().GlobalMemoryStatusEx(status):
        return None, None
    _, _, total, available, _, with_file, *_ = _STATUS.unpack(status.raw)
    # what is allocated must have its place in the page file too
    return total, min(available, with_file)
