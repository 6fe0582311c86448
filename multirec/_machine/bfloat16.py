"""bfloat16 for NumPy, which has no such type: its bits in uint16."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt


def from_bfloat16(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """Return the float32 values of bits.

    Example
    -------
    >>> import numpy as np
    >>> from_bfloat16(np.array([0x3FC0], np.uint16))
    array([1.5], dtype=float32)
    """
    return (bits.astype(np.uint32) << 16).view(np.float32)


def to_bfloat16(values: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """Return the bits of real values, rounded from float32 to nearest, ties to even.

    Example
    -------
    >>> import numpy as np
    >>> [hex(bits) for bits in to_bfloat16(np.array([1.5, 3.14159265]))]
    ['0x3fc0', '0x4049']
    """
    with np.errstate(all="ignore"):
        bits = values.astype(np.float32).view(np.uint32)
    rounded = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
    return cast(npt.NDArray[np.uint16], np.where(np.isnan(values), np.uint16(0x7FC0), rounded))
