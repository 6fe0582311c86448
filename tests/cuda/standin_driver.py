"""A driver and an NVRTC that are none, as cuda-bindings has them, for the stand-in: images are names of kernels."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

Launch = Callable[[str, int, int, int, bytes], None]


def kernel_of(source: str) -> str:
    """Return the kernel that a source ends with."""
    return source.rsplit("{ ", 1)[1].split("(p)", 1)[0]


def fake_driver(launch: Launch) -> None:
    """Put them in the place of those that are not here, and keep nothing on disk; kernels go to `launch`."""
    from multirec_backends.cupy._launch import cubins, driver, nvrtc, toolkit

    found = toolkit.Toolkit(Path(__file__), (13, 0), "torch's", "")
    toolkit.find = lambda: found
    driver.CDLL = nvrtc.CDLL = lambda path: None
    driver.calls = nvrtc.calls = lambda module, library, bindings: functions(launch)
    cubins.folder = lambda: None


def functions(launch: Launch) -> SimpleNamespace:
    """Return what the launcher calls."""

    def launched(name: str, blocks: int, y: int, z: int, threads: int, *further: int) -> tuple[int]:
        _, _, shared, _, argument, _ = further
        launch(name, blocks, threads, shared, bytes_at(ctypes.c_void_p.from_address(argument).value or 0))
        return (0,)

    def copied(program: bytes, image: bytearray) -> tuple[int]:
        image[:] = program
        return (0,)

    def well(*found: Any) -> Callable[..., Any]:
        return lambda *arguments: (0, *found)

    return SimpleNamespace(
        CUdevice_attribute=int,
        cuDriverGetVersion=well(13000),
        cuInit=well(),
        cuDeviceGetCount=well(2),
        cuDeviceGetAttribute=lambda attribute, device: (0, 9 if attribute == 75 else 0),
        cuDevicePrimaryCtxRetain=well(None),
        cuCtxSetCurrent=well(),
        cuCtxPushCurrent=well(),
        cuCtxPopCurrent=well(None),
        cuModuleLoadData=lambda image: (0, image.decode()),
        cuModuleGetFunction=lambda module, entry: (0, module),
        cuLaunchKernel=launched,
        nvrtcVersion=well(13, 0),
        nvrtcGetSupportedArchs=well([75, 90]),
        nvrtcCreateProgram=lambda source, *_: (0, kernel_of(source.decode()).encode()),
        nvrtcCompileProgram=well(),
        nvrtcGetCUBINSize=lambda program: (0, len(program)),
        nvrtcGetCUBIN=copied,
        nvrtcDestroyProgram=well(),
    )


def bytes_at(address: int) -> bytes:
    """Return the content of a bytes object; its size lies before it."""
    header = bytes.__basicsize__ - 1
    size = ctypes.c_ssize_t.from_address(address - header + 2 * ctypes.sizeof(ctypes.c_void_p)).value
    return ctypes.string_at(address, size)
