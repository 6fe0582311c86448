"""Machine code with all that its problem fixes, and how it is run on arrays: threads, scratch memory, arguments."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property, partial
from struct import Struct
from typing import Any

import numpy as np

from multirec.backend import address, num_threads

from .._code.headers import headers
from .compile import KernelFunction, Spec, compiled
from .pool import run

_KEPT_BYTES = 1 << 22


@dataclass(frozen=True)
class Launch:
    """Machine code, the words that are fixed by the problem, and how much work and scratch memory there is."""

    spec: Spec
    call: Struct
    constants: bytes
    scratch_bytes: int
    items: int
    helpers: bool

    @cached_property
    def function(self) -> KernelFunction:
        """The machine code, made when it is first needed."""
        return compiled(self.spec)

    def run(self, extra: tuple[int, ...], arrays: tuple[Any, ...], shared: Any = None) -> None:
        """Run on arrays in the order of the kernel's arguments; `extra` may have the address of `shared`."""
        counter = np.zeros(8, np.int64)
        fronts = max(1, min(self.items, num_threads())) if self.helpers else 1
        block = self.call.pack(address(counter), fronts, *extra, *headers(arrays)) + self.constants
        if self.helpers:
            run(partial(self._work, block), self.items, (counter, arrays, shared))
        else:
            self._work(block)

    def _work(self, block: bytes) -> None:
        # `_own` keeps the memory
        _own, at = _scratch(self.scratch_bytes)
        self.function(block, at)


class _Local(threading.local):
    memory = np.empty(0, np.uint8)


_local = _Local()


def _scratch(size: int) -> tuple[np.ndarray[Any, Any], int]:
    """Return this thread's scratch memory of at least `size` bytes, and an address in it on 64 bytes."""
    memory = _local.memory
    if memory.size < size:
        memory = np.empty(size, np.uint8)
        if size <= _KEPT_BYTES:
            _local.memory = memory
    return memory, -(-address(memory) // 64) * 64
