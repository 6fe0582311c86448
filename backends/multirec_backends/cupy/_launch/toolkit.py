"""The NVRTC that fits torch's CUDA, found by looking at files: nothing is imported, and nothing is loaded."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

_SYSTEM = tuple(
    map(Path, ("/usr/local/cuda/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"))
)
"""Where toolkits of the system lie, if nothing says where."""


class Toolkit(NamedTuple):
    """What compiles for torch.

    Attributes
    ----------
    path
        NVRTC's library, of torch's major version of CUDA.
    version
        Of CUDA, as the names of the files say: (13, 0), or only (13,).
    owner
        Whose it is: torch's, if it came with torch or lies among the packages next to it.
    bindings
        The version of cuda-bindings, if that is installed for the same major version of CUDA; else nothing.
    """

    path: Path
    version: tuple[int, ...]
    owner: str
    bindings: str

    def __str__(self) -> str:
        through = "cuda-bindings" if self.bindings else "ctypes"
        return f"{self.owner} NVRTC {dotted(self.version)} through {through}"

    def key(self) -> tuple[object, ...]:
        """Return what tells it from others without loading it: versions differ in their names, builds in their size."""
        return self.path.name, self.version, self.path.stat().st_size


def dotted(version: tuple[int, ...]) -> str:
    """Write a version."""
    return ".".join(map(str, version))


def find() -> Toolkit | None:
    """Return the NVRTC that torch would load, else another of the same major version; None where torch has no CUDA."""
    major = torch_cuda().partition(".")[0]
    if not major:
        return None
    for folder, owner in _folders():
        library = _library(folder, major)
        if library is not None:
            return Toolkit(library, _version(library, int(major)), owner, _bindings(major))
    return None


def torch_cuda() -> str:
    """Return the version of CUDA that torch was built with, or nothing."""
    loaded = getattr(sys.modules.get("torch"), "version", None)
    if loaded is not None:
        return str(getattr(loaded, "cuda", None) or "")
    with suppress(OSError, UnicodeDecodeError):
        for folder in _packages("torch"):
            text = (folder / "version.py").read_text("utf-8")
            said = re.search(r"^cuda\b[^=\n]*=\s*['\"]([\d.]+)", text, re.MULTILINE)
            return said[1] if said else ""
    return ""


def _folders() -> Iterator[tuple[Path, str]]:
    """Yield the folders where NVRTC may lie, best first, and whose it is there."""
    torch = _packages("torch")
    beside = {folder.parent for folder in torch}
    for nvidia in sorted(_packages("nvidia"), key=lambda folder: folder.parent not in beside):
        owner = "torch's" if nvidia.parent in beside else "the system's"
        for pattern in ("*/lib", "*/bin/x86_64", "*/bin"):
            yield from ((folder, owner) for folder in sorted(nvidia.glob(pattern)))
    yield from ((folder / "lib", "torch's") for folder in torch)
    roots = [sys.prefix, f"{sys.prefix}/Library", *map(os.environ.get, ("CUDA_HOME", "CUDA_PATH"))]
    searched = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    folders = [Path(root) / part for root in filter(None, roots) for part in ("lib64", "lib", "bin/x64", "bin")]
    yield from ((folder, "the system's") for folder in (*folders, *map(Path, filter(None, searched)), *_SYSTEM))


def _library(folder: Path, major: str) -> Path | None:
    if sys.platform == "win32":
        patterns = [f"nvrtc64_{major}*_0.dll"]
    else:
        # wheels of torch that hold CUDA add a hash to the name
        patterns = [f"libnvrtc.so.{major}*", f"libnvrtc-*.so.{major}*"]
    with suppress(OSError):
        for pattern in patterns:
            for library in sorted(folder.glob(pattern)):
                if "builtins" not in library.name:
                    return library
    return None


def builtins_of(library: Path) -> list[Path]:
    """Return what NVRTC loads by itself, whose names have a version: libnvrtc-builtins.so.13.0."""
    found = library.parent.glob("*nvrtc-builtins*")
    # beside the shared ones of the system lies one for linkers, which does not load
    return sorted(path for path in found if ".alt." not in path.name and path.suffix != ".a")


def _version(library: Path, major: int) -> tuple[int, ...]:
    for path in builtins_of(library):
        said = re.search(r"\.so\.(\d+)\.(\d+)|64_(\d+)(\d)\.dll", path.name)
        numbers = [int(number) for number in said.groups() if number] if said else []
        if numbers and numbers[0] == major:
            return tuple(numbers)
    return (major,)


def _packages(name: str) -> list[Path]:
    """Return the folders of a package, or of all parts of a namespace, without importing it."""
    with suppress(ImportError, ValueError, AttributeError):
        found = find_spec(name)
        return [Path(folder) for folder in (found and found.submodule_search_locations) or ()]
    return []


def _bindings(major: str) -> str:
    try:
        found = version("cuda-bindings") or ""
    except PackageNotFoundError:
        return ""
    return found if found.partition(".")[0] == major else ""
