"""Arguments of kernels as bytes: the structure `Problem` of the CUDA source, in 64-bit words."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from multirec.backend import Problem

from ._plan.parts import BYTES, SLOT_BYTES, Grid, compute_dtype

Words: TypeAlias = tuple[int, ...]

SIGNALS = (
    *("x", "y", "inputs", "outputs", "last_x", "last_y"),
    *("grad_y", "grad_last", "grad_x", "grad_inputs", "grad_outputs", "numbers"),
)
TAPS = ("b", "a", "grad_b", "grad_a")
SCRATCH = ("ends", "starts", "sums", "sum_x", "ring", "again", "powers", "frames")
_HEAD = struct.Struct("15q")
_SIGNAL = struct.Struct("5q")
_TAP = struct.Struct("9qd")
WORD = 8
_PLACES = {
    **{name: index * _SIGNAL.size for index, name in enumerate(SIGNALS)},
    **{name: len(SIGNALS) * _SIGNAL.size + index * _TAP.size for index, name in enumerate(TAPS)},
    **{name: len(SIGNALS) * _SIGNAL.size + len(TAPS) * _TAP.size + index * WORD for index, name in enumerate(SCRATCH)},
}
"""Where an array's address is, in what follows the head."""
SIGNAL_BYTES, TAP_BYTES = _SIGNAL.size, _TAP.size
_BODY_BYTES = len(SIGNALS) * _SIGNAL.size + len(TAPS) * _TAP.size + len(SCRATCH) * WORD
SCALAR, VECTOR, ACROSS, ALONG = 0, 1, 2, 3
WANTS_X, WANTS_TAPS, WANTS_FEEDBACK = 1, 2, 4


class View(NamedTuple):
    """An array's address in bytes, its shape, its strides in elements, and its elements' size in bytes."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    itemsize: int


class Framing(NamedTuple):
    """How frames become the coefficients of samples.

    A frame has `hop` samples, and the first sample is `offset` behind the first frame; each is a further `part` of the
    way to the next frame, or 0.
    """

    hop: int
    offset: int
    part: float


def signal(view: View, flip: bool, neighbours: int = 0) -> Words:
    """Return the words of a (B, channels, time) array; running backwards starts at the end.

    The last one is how it is accessed: `neighbours` samples at once where all of them lie next to each other and
    aligned, or not all aligned; one by one along time; or across channels where those are closer.
    """
    address, (batches, channels, length), (batch, channel, time), itemsize = view
    if batches == 1:
        batch = 0
    if channels == 1:
        channel = 0
    if flip:
        address += (length - 1) * time * itemsize
        time = -time
    access = SCALAR
    if length > 1 and 0 < abs(channel) < abs(time):
        access = ACROSS
    elif time == 1 and neighbours:
        aligned = address % (neighbours * itemsize) == 0 and (length | channel | batch) % neighbours == 0
        access = VECTOR if aligned else ALONG
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


class Body(NamedTuple):
    """What all launches of a call are told of arrays.

    Attributes
    ----------
    words
        As bytes, for arrays where they were when this was made.
    addresses
        For each array its name, where its address stands in `words`, and how far that is from where the array begins.
    across
        Whether threads of a block read or write an array across channels.
    """

    words: bytes
    addresses: tuple[tuple[str, int, int], ...]
    across: bool


def body(
    problem: Problem, views: Mapping[str, View], scratch: Mapping[str, int], framing: Framing | None = None
) -> Body:
    """Return the body for arrays by their names in the CUDA source; `scratch` are offsets in the scratch memory.

    What lies in the scratch memory has its offset there, and a view where it is a signal or coefficients.
    """
    neighbours = SLOT_BYTES // BYTES[compute_dtype(problem.y_dtype)]
    whole, addresses, across = bytearray(_BODY_BYTES), [], False
    for name, view in views.items():
        place = _PLACES[name]
        if name in TAPS:
            words = taps(view, problem.reverse, SLOT_BYTES // view.itemsize)
            hop, offset, part = framing or (1, 0, 0.0)
            _TAP.pack_into(whole, place, *words, hop, offset, view.shape[2] - 1, part)
        else:
            words = signal(view, problem.reverse, neighbours)
            _SIGNAL.pack_into(whole, place, *words)
        across = across or words[-1] == ACROSS
        more = words[0] - view.address
        addresses.append(("scratch", place, scratch[name] + more) if name in scratch else (name, place, more))
    addresses += [("scratch", _PLACES[name], offset) for name, offset in scratch.items() if name in SCRATCH]
    return Body(bytes(whole), tuple(addresses), across)


def head(problem: Problem, grid: Grid, phase: int, *, last: int, wants: int, across: bool) -> bytes:
    """Return what stands before the body of a launch; `last` is how many last outputs there are, or their gradients."""
    return _HEAD.pack(
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
        last,
        wants,
        grid.shares_x,
        across or grid.shares_x,
    )
