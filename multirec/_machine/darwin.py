"""What macOS says of processors and memory, by its C library."""

from __future__ import annotations

import os
from ctypes import CDLL, byref, c_char_p, c_int, c_int64, c_size_t, c_uint, c_uint32, c_void_p
from typing import Any

__all__ = ["available_bytes", "give_back", "processors"]

# vm_statistics64, in words of 32 bits: pages that are free, in use, and not used for a while
_HOST_VM_INFO64, _WORDS, _FREE, _INACTIVE = 4, 38, 0, 2


def _library() -> Any:
    library = CDLL(None)
    library.sysctlbyname.argtypes = (c_char_p, c_void_p, c_void_p, c_void_p, c_size_t)
    return library


def processors() -> int | None:
    """Return the number of fast processors; None where all are of one kind."""
    value, size = c_int64(), c_size_t(8)
    failed = _library().sysctlbyname(b"hw.perflevel0.logicalcpu", byref(value), byref(size), None, 0)
    return None if failed or value.value < 1 else value.value


def available_bytes() -> int | None:
    """Return the memory that is free or would be given back on demand."""
    library = _library()
    library.mach_host_self.restype = c_uint
    library.host_statistics64.argtypes = (c_uint, c_int, c_void_p, c_void_p)
    pages, count = (c_uint32 * _WORDS)(), c_uint(_WORDS)
    if library.host_statistics64(library.mach_host_self(), _HOST_VM_INFO64, pages, byref(count)):
        return None
    return (pages[_FREE] + pages[_INACTIVE]) * os.sysconf("SC_PAGE_SIZE")


def give_back() -> None:
    """Have the allocator give the system what it keeps of what was freed."""
    relieve = _library().malloc_zone_pressure_relief
    relieve.argtypes, relieve.restype = (c_void_p, c_size_t), c_size_t
    relieve(None, 0)
