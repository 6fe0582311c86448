"""Every conformance check on the device, with torch CUDA tensors and with CuPy arrays."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any

from here import ROOT, use_checkout
from results import Results

use_checkout()

import numpy as np  # noqa: E402
from multirec_backends.cupy._kernel import Kernel  # noqa: E402

import multirec as mr  # noqa: E402
from multirec.backend import COMPLEX_DTYPES, HALF_DTYPES, REAL_DTYPES, BackendInfo  # noqa: E402
from multirec.testing.checks import CHECKS, Subject, checked, checks_of, dtypes_of  # noqa: E402
from multirec.testing.libraries import NumpyLibrary, TorchLibrary  # noqa: E402

sys.path.insert(0, str(ROOT / "tests" / "cuda"))
from emulated import RecordingDevice  # noqa: E402

recorder = SimpleNamespace(forward=None, vjp=None)


class CupyLibrary(NumpyLibrary):
    """CuPy on the first device; gradients through `multirec.adjoint.vjp`."""

    name = "cupy"
    device = "cuda"

    def __init__(self) -> None:
        import cupy

        self._cupy = cupy
        self.dtypes = ("float16", *REAL_DTYPES, *COMPLEX_DTYPES)

    def put(self, values: Any, dtype: str, memory: str = "contiguous", axis: int = 0) -> Any:
        array = self._cupy.asarray(np.ascontiguousarray(values).astype(dtype))
        if memory == "strided":
            wide = self._cupy.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
            wide[..., ::2] = array
            return wide[..., ::2]
        if memory == "flipped":
            return self._cupy.ascontiguousarray(array[..., ::-1])[..., ::-1]
        if memory == "expanded" and axis >= 0 and array.size:
            return self._cupy.broadcast_to(array.take(self._cupy.array([0]), axis), array.shape)
        return array

    def get(self, array: Any) -> Any:
        return super().get(self._cupy.asnumpy(array))

    def gradients(self, case: Any, backend: str, operands: list[Any], given: Any) -> Any:
        if given.grad_y is None:
            y, _ = self.call(case, backend, operands)
            given = given._replace(grad_y=np.zeros(y.shape))
        return super().gradients(case, backend, operands, given)


class Names(RecordingDevice):
    """Records the names of all kernels that the checks launch."""

    def has(self, arguments: str) -> bool:
        return True


def kernel_names() -> list[str]:
    """Return the kernels that the checks need, without a GPU."""
    device = Names()
    recorded = Kernel(device)
    recorder.forward, recorder.vjp = recorded.forward, recorded.vjp
    dtypes = HALF_DTYPES + REAL_DTYPES + COMPLEX_DTYPES
    mr.register_backend(
        BackendInfo(name="names", summary="records", kernel=f"{__name__}:recorder", family="numpy", dtypes=dtypes)
    )
    for dtype in dtypes_of("names", NumpyLibrary()):
        subject = Subject("names", NumpyLibrary(), dtype)
        for check in checks_of(subject):
            checked(CHECKS[check], subject)
    return sorted(set(device.launched))


def compile_kernel(name: str) -> str:
    """Compile a kernel into CuPy's cache on disk."""
    from multirec_backends.cupy._device import Kernels

    Kernels().get(name, 0)
    return name


def run(folder: Path, card: str) -> None:
    """Write one row a check."""
    results = Results(folder, card, "conformance")
    start = perf_counter()
    names = kernel_names()
    workers = min(12, cpu_count() or 1)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        compiled = list(pool.map(compile_kernel, names, chunksize=4))
    results.note(kernels=len(compiled), compile_seconds=round(perf_counter() - start, 1), processes=workers)
    for library in (TorchLibrary("cuda"), CupyLibrary()):
        for dtype in dtypes_of("cupy", library):
            subject = Subject("cupy", library, dtype)
            for name in checks_of(subject):
                start = perf_counter()
                tally = checked(CHECKS[name], subject)
                results.add(
                    library=library.name,
                    dtype=dtype,
                    check=name,
                    status="failed" if tally.failures else "ok",
                    computed=tally.computed,
                    seconds=perf_counter() - start,
                    detail="; ".join(tally.failures[:2]),
                )
