"""Arguments of kernels as bytes: the structures `Problem` and `Fold` of the CUDA source, in 64-bit words."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

from multirec.backend import Problem

from ._plan import Grid

Words = tuple[int, ...]

_SIGNALS = ("x", "y", "inputs", "outputs", "grad_y", "grad_last", "grad_x", "grad_inputs", "grad_outputs")
_TAPS = ("b", "a", "grad_b", "grad_a")
_POINTERS = ("ends", "starts", "sums", "sum_x", "ring")
_PROBLEM = struct.Struct(f"{14 + 5 * len(_SIGNALS) + 6 * len(_TAPS) + len(_POINTERS)}q")
_FOLD = struct.Struct("16q")
_NO_SIGNAL = (0,) * 5
_NO_TAPS = (0,) * 6


class View(NamedTuple):
    """An array's address in bytes, its shape, and its strides in elements."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    itemsize: int


def signal(view: View, flip: bool) -> Words:
    """Return the words of a (B, channels, time) array; running backwards starts at the end."""
    address, (_, channels, length), (batch, channel, time), itemsize = view
    if channels == 1:
        channel = 0
    if flip:
        address += (length - 1) * time * itemsize
        time = -time
    return address, batch, channel, time, int(0 < abs(channel) < abs(time) and length > 1)


def taps(view: View, flip: bool) -> Words:
    """Return the words of a (B|1, C|1, T|1, taps) array, with stride 0 along axes of length 1."""
    address, shape, strides, itemsize = view
    batch, channel, time, tap = (stride if size > 1 else 0 for stride, size in zip(strides, shape, strict=True))
    if flip:
        address += (shape[2] - 1) * time * itemsize
        time = -time
    return address, batch, channel, time, tap, int(0 < abs(channel) < abs(time))


def problem_words(
    problem: Problem,
    grid: Grid,
    phase: int,
    last: int,
    wants_a: bool,
    signals: Mapping[str, Words],
    coefficients: Mapping[str, Words],
    pointers: Mapping[str, int],
) -> bytes:
    """Return the structure `Problem`."""
    across = any(words[-1] for words in (*signals.values(), *coefficients.values()))
    words = [
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
        int(across),
        last,
        int(wants_a),
    ]
    for name in _SIGNALS:
        words += signals.get(name, _NO_SIGNAL)
    for name in _TAPS:
        words += coefficients.get(name, _NO_TAPS)
    words += [pointers.get(name, 0) for name in _POINTERS]
    return _PROBLEM.pack(*words)


def fold_words(
    source: int, sizes: Words, strides: Words, target: int, kept: tuple[int, int], targets: Words, lanes: int
) -> bytes:
    """Return the structure `Fold`."""
    return _FOLD.pack(source, *sizes, *strides, target, *kept, *targets, lanes)
