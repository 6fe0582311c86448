"""A driver and an NVRTC that are none, as libraries that ctypes and cuda-bindings load, and a torch on two GPUs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from ctypes import CDLL, Structure, byref, c_char, c_int, c_longlong, c_uint, c_ulonglong, c_void_p
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from multirec_backends.cupy._launch.toolkit import Toolkit, torch_cuda
from multirec_backends.cupy._plan.parts import TYPES

NEEDS = [
    pytest.mark.skipif(sys.platform != "linux", reason="the stand-ins for CUDA's libraries are built for Linux"),
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed, so they cannot be built"),
]
WITHOUT_BINDINGS = ""
"""Why nothing is tried through cuda-bindings."""
if not (find_spec("cuda") and find_spec("cuda.bindings")):
    WITHOUT_BINDINGS = "cuda-bindings is not installed"
elif torch_cuda():
    WITHOUT_BINDINGS = "cuda-bindings would take the driver that is here"

SOURCE = Path(__file__).with_name("fake_cuda.cpp")
SONAMES = {"driver": "libcuda.so.1", "nvrtc": "libnvrtc.so.13"}
USUAL = {
    "driver_version": 13000,
    "device_count": 2,
    "major_capability": 9,
    "nvrtc_major": 13,
    **dict.fromkeys(("init_status", "load_status", "launch_status", "compile_status"), 0),
    **dict.fromkeys(("minor_capability", "nvrtc_minor", "begun", "entered", "compiled", "loaded", "launched"), 0),
}


class Launch(Structure):
    _fields_ = (
        ("device", c_int),
        ("blocks", c_uint),
        ("threads", c_uint),
        ("shared", c_uint),
        ("stream", c_ulonglong),
        ("first", c_longlong),
        ("text", c_char * 256),
    )


def build(folder: Path) -> dict[str, Path]:
    """Build both libraries; their names and what the linker knows them by are CUDA's."""
    for name in SONAMES.values():
        command = ["g++", "-std=c++17", "-O1", "-shared", "-fPIC", str(SOURCE), f"-Wl,-soname,{name}", "-ldl"]
        subprocess.run([*command, "-o", str(folder / name)], check=True)
    return {part: folder / name for part, name in SONAMES.items()}


class FakeCuda:
    """What the libraries say, and what they were told: `fake.driver_version = 12040`, `fake.launched`."""

    def __init__(self, paths: dict[str, Path], bindings: str = "") -> None:
        libraries = {part: CDLL(str(path)) for part, path in paths.items()}
        vars(self).update(paths=paths, libraries=libraries, toolkit=toolkit(paths["nvrtc"], bindings))
        os.environ["FAKE_CUDA"] = str(paths["driver"])
        for name, value in USUAL.items():
            setattr(self, name, value)

    def _owner(self, name: str) -> Any:
        return self.libraries["nvrtc" if name.startswith(("nvrtc", "compile")) else "driver"]

    def __getattr__(self, name: str) -> int:
        return c_int.in_dll(self._owner(name), name).value

    def __setattr__(self, name: str, value: int) -> None:
        c_int.in_dll(self._owner(name), name).value = value

    @property
    def last(self) -> Launch:
        return Launch.in_dll(self.libraries["driver"], "last")

    def enter(self, device: int) -> None:
        """Make a device's context current in this thread, as torch does."""
        context = c_void_p()
        self.libraries["driver"].cuDevicePrimaryCtxRetain(byref(context), device)
        self.libraries["driver"].cuCtxPushCurrent_v2(context)

    def leave(self) -> None:
        self.libraries["driver"].cuCtxPopCurrent_v2(byref(c_void_p()))


def toolkit(path: Path, bindings: str = "") -> Toolkit:
    return Toolkit(path, (13,), "torch's", bindings)


def fake_torch(current: Callable[[], int] = lambda: 0) -> SimpleNamespace:
    """Return a torch whose streams are 1000 and 1001, one on each device."""
    import torch

    inner = SimpleNamespace(_cuda_getCurrentRawStream=lambda index: 1000 + index, _cuda_getDevice=current)
    names = ("Tensor", "device", "cuda", "empty", "int64", *TYPES)
    return SimpleNamespace(_C=inner, **{name: getattr(torch, name) for name in names})
