"""Torch's stream and memory, and launches without CuPy."""

from __future__ import annotations

import sys
from collections.abc import Callable
from ctypes import c_char_p
from typing import Any, TypeAlias

from .._pack import View
from .._plan.parts import TYPES
from .kernels import Kernels

Array: TypeAlias = Any

_LEGACY = 1
"""Torch's default stream by the name it has in any case: 0 may be each thread's own, by a setting of cuda-bindings."""


class TorchMemory:
    """Memory from torch's caching allocator on one device, and torch's current stream there."""

    def __init__(self, index: int) -> None:
        self.index = index
        self._torch = sys.modules["torch"]
        self._device = self._torch.device("cuda", index)
        inner = self._torch._C
        # torch's own functions make an object of the stream, which costs as much as the launch
        raw: Callable[[int], int] | None = getattr(inner, "_cuda_getCurrentRawStream", None)
        self.stream_of = raw or self._stream
        self._dtypes = {name: getattr(self._torch, name) for name in (*TYPES, "int64")}
        # without a function of ours in between
        self.address: Callable[[Array], int] = self._torch.Tensor.data_ptr
        self.strides: Callable[[Array], tuple[int, ...]] = self._torch.Tensor.stride

    def _stream(self, index: int) -> int:
        return int(self._torch.cuda.current_stream(index).cuda_stream)

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        return self._torch.empty(shape, dtype=self._dtypes[dtype], device=self._device)

    def view(self, array: Array) -> View:
        return View(array.data_ptr(), tuple(array.shape), array.stride(), array.element_size())


class TorchQueue(TorchMemory):
    """One device; every launch goes to the stream that is current there at that moment."""

    def __init__(self, kernels: Kernels, index: int) -> None:
        super().__init__(index)
        self._kernels = kernels
        self._functions: dict[str, Any] = {}
        self._driver = kernels.driver
        self._launch = self._driver.launch
        current: Callable[[], int] | None = getattr(self._torch._C, "_cuda_getDevice", None)
        self._current = current or self._torch.cuda.current_device

    def launch(self, name: str, blocks: int, threads: int, shared: int, params: bytes) -> None:
        function = self._functions.get(name)
        if function is None:
            function = self._functions[name] = self._kernels.get(name, self.index)
        # of each launch its own: other threads run while the driver reads it
        arguments = function, blocks, threads, shared, self.stream_of(self.index) or _LEGACY, c_char_p(params)
        is_here = self._current() == self.index
        if is_here:
            status = self._launch(*arguments)
            if not status:
                return
            if self._driver.is_nowhere(status):
                # in a thread in which torch has computed nothing yet
                self._driver.enter(self.index)
                status = self._launch(*arguments)
            # torch names the device that it goes to next before it goes there
            is_here = not self._driver.is_elsewhere(status)
        if not is_here:
            with self._driver.on(self.index):
                status = self._launch(*arguments)
        self._driver.check(status, f"backend 'cupy': launch of {name}")
