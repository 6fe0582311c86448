"""Arguments of kernels as bytes: the structures `Problem` and `Fold` of the CUDA source, in 64-bit words."""

from __future__ import annotations

import struct
from typing import NamedTuple

from multirec.backend import Problem

from ._plan import BYTES, SLOT_BYTES, Grid, compute_dtype

Words = tuple[int, ...]

_SIGNALS = ("x", "y", "inputs", "outputs", "last_y", "grad_y", "grad_last", "grad_x", "grad_inputs", "grad_outputs")
_TAPS = ("b", "a", "grad_b", "grad_a")
_POINTERS = ("ends", "starts", "sums", "sum_x", "ring", "again")
_HEAD = struct.Struct("15q")
_SIGNAL = struct.Struct("5q")
_TAP = struct.Struct("6q")
_TAIL = struct.Struct(f"{len(_POINTERS)}q")
_FOLD = struct.Struct("16q")
_NO_SIGNAL = bytes(_SIGNAL.size)
_NO_TAPS = bytes(_TAP.size)
SCALAR, VECTOR, ACROSS = 0, 1, 2
WANTS_X, WANTS_TAPS, WANTS_FEEDBACK = 1, 2, 4


class View(NamedTuple):
    """An array's address in bytes, its shape, its strides in elements, and its elements' size in bytes."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    itemsize: int


def signal(view: View, flip: bool, neighbours: int = 0) -> Words:
    """Return the words of a (B, channels, time) array; running backwards starts at the end.

    The last one is how it is accessed: `neighbours` samples at once where all of them lie next to each other and
    aligned, one by one along time, or across channels where those are closer.
    """
    address, (batches, channels, length), (batch, channel, time), itemsize = view
    if channels == 1:
        channel = 0
    if flip:
        address += (length - 1) * time * itemsize
        time = -time
    access = SCALAR
    if length > 1 and 0 < abs(channel) < abs(time):
        access = ACROSS
    elif neighbours and time == 1 and address % (neighbours * itemsize) == 0:
        steps = length | channel | (batch if batches > 1 else 0)
        access = VECTOR if steps % neighbours == 0 else SCALAR
    return address, batch, channel, time, access


def taps(view: View, flip: bool, neighbours: int = 0) -> Words:
    """Return the words of a (B|1, C|1, T|1, taps) array, with stride 0 along axes of length 1."""
    address, (batches, channels, length, count), (batch, channel, time, tap), itemsize = view
    batch, channel = batch if batches > 1 else 0, channel if channels > 1 else 0
    if length == 1:
        return address, batch, channel, 0, tap, SCALAR
    first = View(address, (batches, channels, length), (batch, channel, time), itemsize)
    address, batch, channel, time, access = signal(first, flip, neighbours if count == 1 else 0)
    return address, batch, channel, time, tap, access


class Arguments:
    """The structure `Problem` of one call, put together array by array."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.last = 0
        self.wants = 0
        self.pointers: dict[str, int] = {}
        self._neighbours = SLOT_BYTES // BYTES[compute_dtype(problem.y_dtype)]
        self._across = False
        self._arrays: dict[str, bytes] = {}

    def add_signal(self, name: str, view: View) -> None:
        """Add a (B, channels, time) array."""
        words = signal(view, self.problem.reverse, self._neighbours)
        self._across = self._across or words[4] == ACROSS
        self._arrays[name] = _SIGNAL.pack(*words)

    def add_taps(self, name: str, view: View) -> None:
        """Add a (B|1, C|1, T|1, taps) array."""
        words = taps(view, self.problem.reverse, SLOT_BYTES // view.itemsize)
        self._across = self._across or words[5] == ACROSS
        self._arrays[name] = _TAP.pack(*words)

    def pack(self, grid: Grid, phase: int) -> bytes:
        """Return the structure for a launch."""
        problem, get = self.problem, self._arrays.get
        head = _HEAD.pack(
            problem.batch,
            problem.channels,
            problem.length,
            problem.order,
            problem.input_order,
            grid.log_rows,
            grid.groups,
            grid.segments,
            grid.tiles,
            grid.items,
            phase,
            self.last,
            self.wants,
            grid.shares_x,
            self._across or grid.shares_x,
        )
        parts = [head, *[get(name, _NO_SIGNAL) for name in _SIGNALS], *[get(name, _NO_TAPS) for name in _TAPS]]
        parts.append(_TAIL.pack(*[self.pointers.get(name, 0) for name in _POINTERS]))
        return b"".join(parts)


def fold_words(
    source: int, sizes: Words, strides: Words, target: int, kept: tuple[int, int], targets: Words, lanes: int
) -> bytes:
    """Return the structure `Fold`."""
    return _FOLD.pack(source, *sizes, *strides, target, *kept, *targets, lanes)
