"""CuPy's launches, for its own arrays and JAX's, and for torch's where there is no NVRTC for them alone."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from threading import Lock
from typing import Any, TypeAlias

import cupy
import numpy as np

from multirec.errors import BackendBrokenError

from .._pack import View
from .._source import ENTRY, OPTIONS, whole_source
from .with_torch import TorchMemory

Array: TypeAlias = Any

_TOOLKIT = {
    "libnvrtc": "'nvidia-cuda-nvrtc>=13,<14' (CUDA 13) or nvidia-cuda-nvrtc-cu12",
    "CUDA headers": "'nvidia-cuda-runtime>=13,<14' (CUDA 13) or nvidia-cuda-runtime-cu12",
}
"""What CuPy compiles with, by the words in which it misses it, and the packages that bring it."""


class Kernels:
    """Compiled kernels by name and device; CuPy keeps their binaries on disk.

    None is unloaded while the process lives: a captured graph may hold it, and CuPy keeps what it compiled as well.
    """

    def __init__(self) -> None:
        self._functions: dict[tuple[str, int], Any] = {}
        self._refused: set[str] = set()
        self._lock = Lock()

    def get(self, name: str, device: int) -> Any:
        """Return a kernel for the current device."""
        found = self._functions.get((name, device))
        return found if found is not None else self._compile(name, device)

    def _compile(self, name: str, device: int) -> Any:
        with self._lock:
            if name in self._refused:
                raise BackendBrokenError(
                    f"backend 'cupy': kernel {name} did not compile; the log came with its first use."
                )
            raw = cupy.RawKernel(whole_source(name), ENTRY, options=OPTIONS)
            try:
                function = raw.kernel
            except cupy.cuda.compiler.CompileException as error:
                self._refused.add(name)
                raise BackendBrokenError(f"backend 'cupy': kernel {name} does not compile:\n{error}") from None
            except RuntimeError as error:
                missing = next((words for words in _TOOLKIT if words in str(error)), None)
                if missing is None:
                    raise
                raise BackendBrokenError(
                    f"backend 'cupy': CuPy finds no {missing}, which kernels are compiled with at run time. "
                    f"Install it with: pip install {_TOOLKIT[missing]}. CuPy says: {error}"
                ) from None
            self._functions[name, device] = function
            return function


class CupyQueue:
    """CuPy's current stream of a device, and memory from CuPy's pool; JAX's arrays come and go through CuPy."""

    def __init__(self, kernels: Kernels, index: int) -> None:
        self.index = index
        self._kernels = kernels
        self.address: Callable[[Array], int] = attrgetter("data.ptr")
        self.strides: Callable[[Array], tuple[int, ...]] = attrgetter("strides")

    @property
    def ptr(self) -> int:
        """The caller's current stream, as CUDA's own handle: what CuPy asks a stream for."""
        return int(cupy.cuda.get_current_stream(self.index).ptr)

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        with cupy.cuda.Device(self.index):
            return cupy.empty(shape, dtype)

    def view(self, array: Array) -> View:
        size = array.itemsize
        return View(array.data.ptr, array.shape, tuple(stride // size for stride in array.strides), size)

    def launch(self, name: str, blocks: int, threads: int, shared: int, params: bytes) -> None:
        # by value: CuPy copies what an array of one element holds
        value = np.frombuffer(params, np.dtype((np.void, len(params))))
        if cupy.cuda.runtime.getDevice() == self.index:
            self._kernels.get(name, self.index)((blocks,), (threads,), (value,), shared, self)
            return
        with cupy.cuda.Device(self.index):
            self._kernels.get(name, self.index)((blocks,), (threads,), (value,), shared, self)


class TorchQueue(TorchMemory, CupyQueue):
    """Torch's stream and memory, and CuPy's launches."""

    def __init__(self, kernels: Kernels, index: int) -> None:
        TorchMemory.__init__(self, index)
        self._kernels = kernels

    @property
    def ptr(self) -> int:
        return self.stream_of(self.index)
