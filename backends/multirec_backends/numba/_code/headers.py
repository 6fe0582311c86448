"""Arrays as the machine code takes them: NumPy's own headers, which say where data are, their extents and strides.

Reading them there costs nanoseconds; asking NumPy for the same from Python, microseconds a call. Its binary interface
fixes the order: after what every Python object begins with come the data, the number of axes, the extents and the byte
strides. Of each array the kernel keeps an address and strides, as `Frame.word` names them: running backwards they start
at the end, and along axes that are broadcast they are 0.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .emit import PTR, Ptr
from .interface import SIGNAL

if TYPE_CHECKING:
    from .frame import Frame

HEADER = object.__basicsize__
"""Bytes of what every Python object begins with."""
_DATA, _EXTENTS, _STRIDES = HEADER, HEADER + 16, HEADER + 24
_NOUGHTS = (ctypes.c_int64 * 8)()
_absent = (ctypes.c_int64 * 16)()
_absent[_EXTENTS // 8] = _absent[_STRIDES // 8] = ctypes.addressof(_NOUGHTS)
ABSENT = ctypes.addressof(_absent)
"""The header of an array that is not there: no address, and nothing but zeros."""


def headers(arrays: Iterable[Any]) -> list[int]:
    """Return where the headers of arrays are; None, or one without elements, is not there."""
    return [ABSENT if array is None or not array.size else id(array) for array in arrays]


def unpack(frame: Frame) -> None:
    """Write the words of all arrays to this thread's scratch memory."""
    f, flip = frame.f, frame.word("flip").differs(0)
    interface = frame.spec.interface
    for name, axes in interface.arrays.items():
        at = Ptr(f, (frame.arguments + interface.field[f"{name}_header"]).load(PTR))
        data = (at + _DATA).int()
        extents, strides = (Ptr(f, (at + place).load(PTR)) for place in (_EXTENTS, _STRIDES))
        words = {axis: (strides + 8 * index).int() for index, axis in enumerate(axes)}
        for index, axis in enumerate(("batch", "channel")):
            # the batch axis of a signal is full
            if axis == "channel" or axes != SIGNAL:
                words[axis] = f.select((extents + 8 * index).int().equals(1), 0, words[axis])
        words["at"] = data
        if "time" in axes:
            end = data + ((extents + 16).int() - 1) * words["time"]
            words["at"] = f.select(flip, end, data)
            words["time"] = f.select(flip, 0 - words["time"], words["time"])
        for axis, word in words.items():
            (frame.scratch + interface.words[f"{name}_{axis}"]).store(f.value(word))
