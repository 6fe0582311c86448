"""The kernels on a CPU: built with g++ and sanitizers, run by fibers, and driven by the backend's own planning."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from multirec.backend import Problem
from multirec_backends.cupy._pack import View
from multirec_backends.cupy._source import library_source

HERE = Path(__file__).parent
FLAGS = ("-std=c++17", "-O1", "-g0", "-shared", "-fPIC", "-fno-strict-aliasing", "-ffp-contract=off", "-Wno-attributes", "-w")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")


def translation_unit(names: Iterable[str]) -> str:
    """The source with instantiations of these kernels behind one door."""
    entries = []
    for name in names:
        params = "Fold" if name.startswith("fold") else "Problem"
        entries.append(f'{{"{name}", [](const void* params) {{ {name}(*(const {params}*)params); }}}},')
    listed = "\n".join(entries)
    return f"""#include "emulated.h"
{library_source(device=False)}
#include "emulated_launch.h"
const emulated::Kernel emulated::kernels[] = {{
{listed}
}};
const int emulated::kernel_count = sizeof(emulated::kernels) / sizeof(emulated::kernels[0]);
"""


def build(names: Iterable[str], sanitize: bool) -> Path:
    """Build a library of these kernels; one that is there already is taken."""
    source = translation_unit(names)
    flags = (*FLAGS, *(SANITIZE if sanitize else ()))
    headers = "".join((HERE / name).read_text() for name in ("emulated.h", "emulated_launch.h"))
    key = hashlib.sha256(repr((source, headers, flags)).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / "multirec-emulated"
    folder.mkdir(exist_ok=True)
    library = folder / f"{key}.so"
    if not library.exists():
        unit = folder / f"{key}.cpp"
        unit.write_text(source)
        subprocess.run(["g++", *flags, f"-I{HERE}", str(unit), "-o", f"{library}.part"], check=True)
        Path(f"{library}.part").rename(library)
    return library


class EmulatedDevice:
    """A device whose queue launches the kernels of a library that `build` made."""

    def __init__(self, library: Path, names: Iterable[str], seed: int = 0) -> None:
        self.names = frozenset(names)
        self.seed = seed
        self.launched: list[str] = []
        self._launch = ctypes.CDLL(str(library)).launch
        self._launch.argtypes = [
            ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p
        ]  # fmt: skip
        self.has = cache(lambda arguments: f"forward<{arguments}>" in self.names)

    def queue(self, problem: Problem) -> EmulatedDevice:
        return self

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        array = np.empty(shape, dtype)
        array.fill(np.nan)
        return array

    def view(self, array: Any) -> View:
        size = array.dtype.itemsize
        strides = tuple(stride // size for stride in array.strides)
        return View(array.__array_interface__["data"][0], array.shape, strides, size)

    def launch(self, name: str, blocks: int, threads: int, shared: int, params: bytes) -> None:
        self.launched.append(name)
        code = self._launch(name.encode(), blocks, threads, shared, self.seed, params)
        if code:
            raise RuntimeError(f"{name}: {'not built' if code == 1 else 'deadlock: some threads miss a barrier'}")
