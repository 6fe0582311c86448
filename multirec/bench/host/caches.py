"""Compiled kernels on disk: whether there are any, and whether a call added some."""

from __future__ import annotations

import os
from pathlib import Path


def compiled_files() -> int:
    """Count the files in the cache folders of multirec and CuPy."""
    return sum(1 for folder in _folders() for _, _, files in os.walk(folder) for _ in files)


def _folders() -> list[Path]:
    home = Path(os.path.expanduser("~"))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    numba = os.environ.get("NUMBA_CACHE_DIR")
    cupy = Path(os.environ.get("CUPY_CACHE_DIR") or home / ".cupy" / "kernel_cache")
    return [Path(numba) / "multirec" if numba else cache / "multirec", cupy]
