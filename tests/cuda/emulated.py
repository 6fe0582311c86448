"""The kernels on a CPU: built with g++, run by fibers, and driven by the backend's own planning."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from cases import BUILT
from multirec_backends.cupy._pack import WORD, View, body, head
from multirec_backends.cupy._plan.bounds import BOUNDS, kind_of, most_threads
from multirec_backends.cupy._plan.parts import Grid
from multirec_backends.cupy._source import library_source, params

from multirec.backend import Activated, Problem

HERE = Path(__file__).parent
FLAGS = ("-std=c++17", "-O1", "-shared", "-fPIC", "-fno-strict-aliasing", "-ffp-contract=off", "-Wno-attributes")
WATCH = ("--param", "asan-instrumentation-with-call-threshold=0", "-Wl,-Bsymbolic")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", *WATCH)


@lru_cache
def _most_threads(name: str) -> int:
    """Return how many threads of a block a kernel is compiled for; one of a test's own has what CUDA allows."""
    return most_threads(name) if kind_of(name) in BOUNDS else 1024


class RecordingDevice:
    """A device that launches nothing, and keeps the names of the kernels that it was asked for."""

    def __init__(self, seed: int = 0) -> None:
        self.launched: list[str] = []
        self.seed = seed

    def has(self, kernel: str) -> bool:
        return kernel in BUILT

    def queue(self, problem: Problem | Activated) -> RecordingDevice:
        return self

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        return np.full(shape, np.nan, dtype)

    def view(self, array: Any) -> View:
        size = array.dtype.itemsize
        strides = tuple(stride // size for stride in array.strides)
        return View(self.address(array), array.shape, strides, size)

    def address(self, array: Any) -> int:
        return int(array.__array_interface__["data"][0])

    def strides(self, array: Any) -> Any:
        return array.strides

    def launch(self, name: str, blocks: int, threads: int, shared: int, params: bytes) -> None:
        # what CUDA refuses
        assert 0 < blocks < 1 << 31, f"{name}: {blocks} blocks"
        most = _most_threads(name)
        assert 0 < threads <= most, f"{name}: {threads} threads, and it is compiled for {most}"
        assert shared <= 48 << 10, f"{name}: {shared} bytes of shared memory"
        assert len(params) <= 4096, f"{name}: {len(params)} bytes of parameters"
        self.launched.append(name)


class EmulatedDevice(RecordingDevice):
    """A device that launches the kernels of a library that `build` made; `seed` is the order of its threads."""

    def __init__(self, library: Path, seed: int = 0) -> None:
        super().__init__(seed)
        self._launch = ctypes.CDLL(str(library)).launch
        self._launch.restype = ctypes.c_char_p
        self._launch.argtypes = (ctypes.c_char_p, ctypes.c_long, *[ctypes.c_int] * 2, ctypes.c_uint, ctypes.c_char_p)

    def launch(self, name: str, blocks: int, threads: int, shared: int, params: bytes) -> None:
        super().launch(name, blocks, threads, shared, params)
        fault = self._launch(name.encode(), blocks, threads, shared, self.seed, params)
        if fault:
            raise RuntimeError(f"{name}: {fault.decode()}")


def params_of(problem: Problem, items: int, views: dict[str, View], scratch: dict[str, Any] | None = None) -> bytes:
    """Return the arguments of one kernel, for arrays by their names in the CUDA source."""
    template = body(problem, views, dict.fromkeys(scratch or {}, 0))
    words = bytearray(template.words)
    for name, place, more in template.addresses:
        if name == "scratch":
            (array,) = (scratch or {}).values()
            address = array.__array_interface__["data"][0]
        else:
            address = views[name].address
        words[place : place + WORD] = (address + more).to_bytes(WORD, sys.byteorder)
    return head(problem, Grid(items=items), 0, last=0, wants=0, across=template.across) + words


def translation_unit(names: Iterable[str], further: str) -> str:
    """Return the source, and `further` source, with these kernels behind one door."""
    entries = (
        f'{{"{name}", [](const void* params) {{ {name}(*(const {params(name)}*)params); }}}},' for name in sorted(names)
    )
    listed = "\n".join(entries)
    return f"""#include "emulated.h"
{library_source(device=False)}
{further}
#include "emulated_launch.h"
const emulated::Kernel emulated::kernels[] = {{
{listed}
}};
const int emulated::kernel_count = sizeof(emulated::kernels) / sizeof(emulated::kernels[0]);
"""


def build(names: Iterable[str], flags: tuple[str, ...] = SANITIZERS, further: str = "") -> Path:
    """Build a library of these kernels, or take the one that an earlier run built from the same source."""
    source = translation_unit(names, further)
    headers = "".join((HERE / name).read_text() for name in ("emulated.h", "watch.h", "emulated_launch.h"))
    key = hashlib.sha256(repr((source, headers, FLAGS, flags)).encode()).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "multirec" / "emulated"
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / f"{key}.so"
    if not library.exists():
        unit, part = folder / f"{key}-{os.getpid()}.cpp", folder / f"{key}-{os.getpid()}.part"
        unit.write_text(source)
        subprocess.run(["g++", *FLAGS, *flags, f"-I{HERE}", str(unit), "-o", str(part)], check=True)
        part.rename(library)
        unit.unlink()
    return library
