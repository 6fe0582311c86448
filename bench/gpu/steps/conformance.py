"""Every conformance check on the device, with torch CUDA tensors and with CuPy arrays."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import cupy
import numpy as np

from multirec.backend import COMPLEX_DTYPES, REAL_DTYPES
from multirec.testing.checks import CHECKS, Subject, checked, checks_of, dtypes_of
from multirec.testing.libraries import Library, NumpyLibrary, TorchLibrary

from ..items import Items
from ..results import Row


class CupyLibrary(NumpyLibrary):
    """CuPy on the first device; gradients through `multirec.adjoint.vjp`."""

    name = "cupy"
    device = "cuda"

    def __init__(self) -> None:
        self.dtypes = ("float16", *REAL_DTYPES, *COMPLEX_DTYPES)

    def memories(self, dtype: str) -> Any:
        return "strided", "flipped", "expanded"

    def put(self, values: Any, dtype: str, memory: str = "contiguous", axis: int = 0) -> Any:
        array = cupy.asarray(np.ascontiguousarray(values).astype(dtype))
        if memory == "strided":
            wide = cupy.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
            wide[..., ::2] = array
            return wide[..., ::2]
        if memory == "flipped":
            return cupy.ascontiguousarray(array[..., ::-1])[..., ::-1]
        if memory == "expanded" and axis >= 0 and array.size:
            return cupy.broadcast_to(array.take(cupy.array([0]), axis), array.shape)
        return array

    def get(self, array: Any) -> Any:
        return super().get(cupy.asnumpy(array))

    def gradients(self, case: Any, backend: str, operands: list[Any], given: Any) -> Any:
        if given.grad_y is None:
            y, _ = self.call(case, backend, operands)
            given = given._replace(grad_y=np.zeros(y.shape))
        return super().gradients(case, backend, operands, given)


def conform(library: Library, dtype: str) -> Iterator[Row]:
    """Run all checks with one data type."""
    subject = Subject("cupy", library, dtype)
    for name in checks_of(subject):
        tally = checked(CHECKS[name], subject)
        status, detail = ("failed", "; ".join(tally.failures[:2])) if tally.failures else ("ok", "")
        yield {"check": name, "status": status, "computed": tally.computed, "reason": detail}


ITEMS: Items = {
    f"{library.name} {dtype}": partial(conform, library, dtype)
    for library in (TorchLibrary("cuda"), CupyLibrary())
    for dtype in dtypes_of("cupy", library)
}
