"""The kernels on the device against the oracle: the cases that are emulated without one, and larger ones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import cupy
import numpy as np
from cases import CASES, LONG, activated, frames, sequences
from checked import faults_of, strides_of
from framed import FramedCase
from multirec_backends.cupy._device import kernel
from nonlinear import Nonlinear
from packed import Packed

from ..items import Items
from ..results import Row
from .moved import Moved

SMALL = tuple(case for cases in (CASES, LONG) for kind in cases.values() for case in kind)
LARGER: tuple[dict[str, Any], ...] = (
    # many rows and tiles; few rows and many segments
    {"sizes": (3, 37, 3001), "shared": True},
    {"sizes": (3, 37, 3000), "layout": "BTC"},
    {"sizes": (3, 37, 3001), "layout": "TBC", "shared": True, "reverse": True},
    {"sizes": (1, 1, 50_001)},
    {"sizes": (1, 3, 12_000), "p": 16, "q": 16},
    {"sizes": (1, 3, 40_000), "poles": (1.02, 0.5), "layout": "BTC"},
    # orders and types that the emulator does without
    {"sizes": (2, 9, 1100), "p": 1, "q": 0},
    {"sizes": (2, 9, 1100), "p": 4, "q": 4, "shared": True},
    {"sizes": (2, 9, 1100), "p": 8, "q": 8},
    {"sizes": (2, 9, 1100), "p": 0, "q": 16, "shared": True},
    {"sizes": (2, 9, 1100), "p": 2, "q": 2, "dtype": "float64"},
    {"sizes": (2, 9, 1100), "p": 2, "q": 2, "dtype": "complex64", "shared": True},
    {"sizes": (2, 9, 1100), "p": 1, "q": 0, "dtype": "complex128"},
    {"sizes": (2, 9, 1100), "p": 1, "q": 0, "dtype": "float16", "a": "varying", "layout": "BTC"},
    {"sizes": (2, 9, 1100), "p": 1, "q": 0, "dtype": "complex64", "a": "varying", "b": "varying"},
    {"sizes": (3, 70_001, 5)},
)


def in_device_memory(values: Any, layout: str, far: bool) -> Any:
    """Return an array on the device, contiguous in a layout, or with rows far apart."""
    strides = strides_of(values.shape, layout, far)
    count = 1 + sum((n - 1) * stride for n, stride in zip(values.shape, strides, strict=True)) if values.size else 0
    memory = cupy.empty(count, values.dtype)
    steps = tuple(stride * values.itemsize for stride in strides)
    array = cupy.lib.stride_tricks.as_strided(memory, values.shape, steps)
    array[...] = cupy.asarray(np.ascontiguousarray(values))
    return array


def check(case: dict[str, Any]) -> Iterator[Row]:
    """Compute a case forward and backward."""
    faults = faults_of(kernel, case, place=in_device_memory, fetch=cupy.asnumpy, family="cupy", device="cuda:0")
    yield {"status": "wrong", "reason": "; ".join(faults)} if faults else {}


def check_other(name: str, number: int) -> Iterator[Row]:
    """Compute a case of sequences, of an activation inside or of frames, forward and backward."""
    make, cases = OTHERS[name]
    faults = make(**cases[number]).faults(Moved())
    yield {"status": "wrong", "reason": "; ".join(faults)} if faults else {}


OTHERS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "sequences": (Packed, (*sequences.SHORT, *sequences.LONG)),
    "activated": (Nonlinear, (*activated.SHORT, *activated.LONG)),
    "frames": (FramedCase, (*frames.SHORT, *frames.LONG)),
}
ITEMS: Items = {
    **{str(case): partial(check, case) for case in (*SMALL, *LARGER)},
    **{
        f"{name} {case}": partial(check_other, name, number)
        for name, (_, cases) in OTHERS.items()
        for number, case in enumerate(cases)
    },
}
