"""Compiled kernels on disk.

A cache that cannot be read or written, or whose files are damaged, costs the time of compiling again and nothing else.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from multirec.backend import cache_folder

_DIGEST = 32


def folder() -> Path | None:
    """Return where they are kept: in CUPY_CACHE_DIR, beside CuPy's own, else where the system keeps caches."""
    return cache_folder("CUPY_CACHE_DIR", "cuda")


def path_of(*parts: object) -> Path | None:
    """Return the file of what these parts determine."""
    kept = folder()
    return kept and kept / f"{hashlib.sha256(repr(parts).encode()).hexdigest()[:40]}.cubin"


def read(path: Path | None) -> bytes | None:
    """Return what was kept, or None where that is not as it was written."""
    if path is None:
        return None
    with suppress(OSError):
        content = path.read_bytes()
        if hashlib.sha256(content[_DIGEST:]).digest() == content[:_DIGEST]:
            return content[_DIGEST:]
    return None


def write(path: Path | None, image: bytes) -> None:
    """Keep a compiled kernel, if that is possible."""
    if path is None:
        return
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # written aside and renamed, so that no other process ever reads half a file
        handle, aside = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(image).digest() + image)
            Path(aside).replace(path)
        except BaseException:  # an interrupt too leaves nothing behind
            Path(aside).unlink(missing_ok=True)
            raise
