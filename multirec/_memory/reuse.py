"""Memory of large outputs that nobody holds any more, kept for the next ones: its pages are there already.

The system gives memory page by page, at the first write to each, which takes longer than most kernels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._machine.address import address
from .._machine.available import available_bytes
from .._machine.threads import after_fork
from .hand_over import ALIGNMENT

__all__ = ["LARGE", "Blocks", "blocks"]

LARGE = 1 << 22
"""Bytes from which on outputs are worth keeping: smaller ones come from what the allocator keeps."""
_FRACTION, _SHORT = 8, 4 << 30

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


class _Block(NamedTuple):
    """Memory of `size` bytes from an aligned address on, and the process that it was made in."""

    memory: Bytes
    start: int
    size: int
    process: object


class _Lent:
    """Holds a block for the arrays in it, which hold this; with the last of them it goes, and the block goes back."""

    __slots__ = ("__array_interface__", "_block", "_blocks")

    def __init__(self, blocks: Blocks, block: _Block, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._blocks, self._block = blocks, block
        self.__array_interface__ = {"version": 3, "shape": shape, "typestr": dtype.str, "data": (block.start, False)}

    def __del__(self) -> None:
        self._blocks.take_back(self._block)


class Blocks:
    """Free blocks, the oldest first, and how many bytes they may have.

    Blocks come back in collections of garbage, in threads of autograd, in handlers of signals, at any place of what is
    below. So there is no lock, each step on `_free` is one that the interpreter does not interrupt, and what another
    one has taken in between is not there.
    """

    def __init__(self) -> None:
        self._chosen: int | None = None
        self.forget()

    def forget(self) -> None:
        """Begin anew in a forked child, where a write to any page of the parent's copies it."""
        self._free: dict[int, _Block] = {}
        self._process = object()
        self._found: int | None = None

    @property
    def limit(self) -> int:
        """The bytes that may be kept: those chosen, or a part of what is available when this is first asked for."""
        if self._chosen is not None:
            return self._chosen
        if self._found is None:
            available = available_bytes() or 0
            self._found = available // _FRACTION if available >= _SHORT else 0
        return self._found

    def choose(self, limit: int | None) -> None:
        """Set the bytes that may be kept; None is for the default, as it is found now."""
        self._chosen, self._found = limit, None
        self._shrink(self.limit)

    def retained(self) -> int:
        """Return the bytes that are kept."""
        # no tuple is made on the way, so no garbage is collected that may come back while this goes on
        return sum([block.size for block in list(self._free.values())])

    def clear(self) -> None:
        """Let go of what is kept."""
        self._shrink(0)

    def lend(self, shape: tuple[int, ...], dtype: np.dtype[Any], size: int) -> np.ndarray[Any, np.dtype[Any]]:
        """Return an array of `size` bytes, at least `LARGE`, that nobody else holds, with any values."""
        if not self.limit:
            block = self._fresh(size)
            return np.ndarray(shape, dtype, block.memory, block.start - address(block.memory))
        size = _rounded(size)
        return np.asarray(_Lent(self, self._kept(size) or self._fresh(size), shape, dtype))

    def take_back(self, block: _Block) -> None:
        """Keep a block that nobody holds, in place of the oldest ones."""
        # a process that ends has let go of the limit's module, or of all of this
        if block.process is self._process and block.size <= self.limit:
            self._free[block.start] = block
            self._shrink(self.limit)

    def _kept(self, size: int) -> _Block | None:
        for block in reversed(list(self._free.values())):
            if block.size == size and self._free.pop(block.start, None) is not None:
                return block
        return None

    def _fresh(self, size: int) -> _Block:
        try:
            memory = np.empty(size + ALIGNMENT, np.uint8)
        except MemoryError:
            if not self._free:
                raise
            self.clear()
            memory = np.empty(size + ALIGNMENT, np.uint8)
        start = address(memory)
        return _Block(memory, start + -start % ALIGNMENT, size, self._process)

    def _shrink(self, limit: int) -> None:
        excess = self.retained() - limit
        for block in list(self._free.values()):
            if excess <= 0:
                return
            if self._free.pop(block.start, None) is not None:
                excess -= block.size


def _rounded(size: int) -> int:
    """Return a size, rounded up to one of eight between powers of two, so that lengths which vary a little fit."""
    step = 1 << (size.bit_length() - 4)
    return -(-size // step) * step


blocks = Blocks()
after_fork(blocks.forget)
