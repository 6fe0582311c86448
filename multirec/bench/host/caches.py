"""Compiled kernels on disk: whether there are any, and whether a call added some."""

from __future__ import annotations

import os
from pathlib import Path

from multirec._machine.cache import cache_folder


def compiled_files() -> int:
    """Count the files in the cache folders of multirec and CuPy."""
    return sum(1 for folder in _folders() for _, _, files in os.walk(folder) for _ in files)


def _folders() -> set[Path]:
    own = cache_folder("NUMBA_CACHE_DIR", "numba"), cache_folder("CUPY_CACHE_DIR", "cuda")
    home = Path(os.path.expanduser("~"))
    cupy = Path(os.environ.get("CUPY_CACHE_DIR") or home / ".cupy" / "kernel_cache")
    return {cupy, *(folder for folder in own if folder is not None)}
