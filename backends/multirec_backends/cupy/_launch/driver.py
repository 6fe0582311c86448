"""The driver: devices, their contexts, modules, and the call that launches a kernel."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CDLL
from typing import Any

from multirec.backend import no_fork
from multirec.errors import BackendBrokenError

from .calls import calls, handle, launcher

_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_NOT_INITIALIZED, _NO_DEVICE, _INVALID_CONTEXT, _INVALID_HANDLE = 3, 100, 201, 400
_MAJOR, _MINOR = 75, 76
"""Attributes of a device: its compute capability."""
_ADVICE = {
    2: "torch.cuda.empty_cache() gives back what torch keeps",
    _NOT_INITIALIZED: "a process that was forked after CUDA began cannot use it; start it by 'spawn'",
    222: "the driver is older than NVRTC",
}


class CudaError(RuntimeError):
    """What the driver says of a call that failed."""

    def __init__(self, what: str, status: int) -> None:
        super().__init__(what)
        self.status = status


class NoDriverError(BackendBrokenError):
    """There is no driver, or none that can be used."""

    def __init__(self, why: object) -> None:
        super().__init__(f"no usable CUDA driver: {why}")


class Driver:
    """The driver of this machine, begun.

    Attributes
    ----------
    version
        The newest CUDA that it supports, as (13, 0).
    count
        How many devices there are.
    launch
        Launches a kernel and returns the status, as `launcher` says.
    """

    def __init__(self, bindings: str) -> None:
        try:
            library = CDLL(_LIBRARY)
        except OSError as error:
            raise NoDriverError(error) from error
        self._calls = calls("driver", library, bindings)
        try:
            number: int = self._call("cuDriverGetVersion")[0]
            self.version = number // 1000, number % 1000 // 10
            self._call("cuInit", 0)
            self.count: int = self._call("cuDeviceGetCount")[0]
        except CudaError as error:
            if error.status != _NO_DEVICE:
                raise NoDriverError(error) from error
            self.count = 0
        self.launch = launcher(self._calls)
        self._contexts: dict[int, Any] = {}

    def capability(self, device: int) -> tuple[int, int]:
        """Return a device's compute capability."""
        kind = self._calls.CUdevice_attribute
        major, minor = (self._call("cuDeviceGetAttribute", kind(which), device)[0] for which in (_MAJOR, _MINOR))
        return int(major), int(minor)

    @contextmanager
    def on(self, device: int) -> Iterator[None]:
        """Make current for a while the context of a device that torch computes in."""
        self._call("cuCtxPushCurrent", self._context(device))
        try:
            yield
        finally:
            self._calls.cuCtxPopCurrent()

    def _context(self, device: int) -> Any:
        found = self._contexts.get(device)
        if found is None:
            with no_fork:
                # never released: kernels stay loaded as long as the process lives
                (found,) = self._call("cuDevicePrimaryCtxRetain", device)
                self._contexts[device] = found
        return found

    def load(self, device: int, image: bytes, entry: str) -> Any:
        """Load a cubin or PTX and return one of its kernels."""
        with self.on(device):
            (module,) = self._call("cuModuleLoadData", image)
            return handle(self._call("cuModuleGetFunction", module, entry.encode())[0])

    def is_nowhere(self, status: Any) -> bool:
        """Whether a launch was refused since no context is current in this thread."""
        return int(status) == _INVALID_CONTEXT

    def is_elsewhere(self, status: Any) -> bool:
        """Whether a launch was refused since another context than the kernel's may be current in this thread."""
        return int(status) == _INVALID_HANDLE

    def enter(self, device: int) -> None:
        """Make the context of this thread's device current, as CUDA's runtime does before it computes."""
        self._call("cuCtxSetCurrent", self._context(device))

    def check(self, status: Any, what: str) -> None:
        """Raise unless a launch was taken."""
        if status:
            raise CudaError(f"{what}: {self._words(status)}", int(status))

    def _call(self, name: str, *given: Any) -> tuple[Any, ...]:
        status, *found = getattr(self._calls, name)(*given)
        if status:
            raise CudaError(f"{name}: {self._words(status)}", int(status))
        return tuple(found)

    def _words(self, status: Any) -> str:
        name, text = (
            (getattr(self._calls, which)(status)[1] or b"unknown").decode()
            for which in ("cuGetErrorName", "cuGetErrorString")
        )
        advice = _ADVICE.get(int(status), "")
        return f"{name} ({int(status)}), {text}{advice and ': '}{advice}"
