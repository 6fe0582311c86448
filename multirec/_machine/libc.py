"""What the C library can be told about memory.

Pages of 2 MiB are for the asking on Linux alone: Windows gives large pages to accounts with a right that few have, and
macOS has none on its own processors. Memory that is used again needs no fresh pages on any of them.
"""

from __future__ import annotations

import sys
from ctypes import CDLL, c_int, c_size_t, c_void_p
from typing import Any

__all__ = ["give_back", "want_huge_pages"]

_HUGE_PAGE = 1 << 21
_MADV_HUGEPAGE = 14

_libc: Any = CDLL(None) if sys.platform == "linux" else None
if _libc is not None:
    _libc.madvise.argtypes = (c_void_p, c_size_t, c_int)


def want_huge_pages(start: int, size: int) -> None:
    """Ask for pages of 2 MiB in fresh memory; at its ends, which such pages would cross, nothing changes."""
    first = -(-start // _HUGE_PAGE) * _HUGE_PAGE
    whole = (start + size - first) // _HUGE_PAGE * _HUGE_PAGE
    if _libc is not None and whole > 0:
        _libc.madvise(first, whole, _MADV_HUGEPAGE)


def give_back() -> None:
    """Give the system the memory that the allocator keeps of what was freed; musl's has no such call, nor Windows'."""
    if sys.platform == "darwin":
        from . import darwin

        darwin.give_back()
        return
    trim = getattr(_libc, "malloc_trim", None)
    if trim is not None:
        trim(0)
