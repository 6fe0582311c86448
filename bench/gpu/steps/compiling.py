"""Compiles what the benchmark and the checks need, in many processes at once, into the caches on disk."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from os import cpu_count
from time import perf_counter
from types import SimpleNamespace

from checked import faults_of
from emulated import RecordingDevice
from multirec_backends.cupy._device import CudaDevice
from multirec_backends.cupy._kernel import Kernel
from multirec_backends.cupy._launch import with_cupy
from multirec_backends.cupy._plan import activated, frames, plan, sequences
from multirec_backends.cupy._plan.parts import Wanted
from multirec_backends.cupy._program import fold_name

import multirec as mr
from multirec.backend import COMPLEX_DTYPES, HALF_DTYPES, REAL_DTYPES, Activated, BackendInfo, Framed
from multirec.testing.checks import CHECKS, Subject, checked, checks_of, dtypes_of
from multirec.testing.libraries import NumpyLibrary

from ..items import Items
from ..results import Row
from .kernels import LARGER, OTHERS, SMALL

recorder = SimpleNamespace(forward=None, vjp=None)


class Names(RecordingDevice):
    """Records the names of all kernels that are launched."""

    def has(self, kernel: str) -> bool:
        return True


def timed_names() -> Iterator[str]:
    """Name the kernels that the benchmark needs."""
    # not for the processes that compile: they would import torch
    from .specs import SWEEP, WORKLOADS
    from .units import UNITS

    for spec in (*WORKLOADS.values(), *SWEEP.values()):
        for problem in spec.problems:
            chosen = (sequences.plan if spec.resets else plan)(problem, Names().has)
            for direction in (chosen.forward, chosen.backward(Wanted())):
                yield from (launch.kernel for launch in direction.launches)
            yield fold_name(problem)
    for unit in UNITS.values():
        for other in unit.problems:
            yield from _names_of(other)


def _names_of(problem: Activated | Framed) -> Iterator[str]:
    if isinstance(problem, Activated):
        yield from (activated.plan(problem, back).kernel for back in (False, True))
        yield activated.fold_name(problem)
        return
    chosen = frames.plan(problem)
    assert chosen is not None
    for direction in (chosen.forward, chosen.backward(Wanted())):
        yield from (launch.kernel for launch in direction.launches)
    yield fold_name(problem.problem)


def kernel_names() -> list[tuple[str, bool]]:
    """Return the kernels that the benchmark and the checks need, and for which arrays: torch's, or CuPy's."""
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
    for case in (*SMALL, *LARGER):
        faults_of(recorded, case | {"far": False}, oracle=False)
    for make, cases in OTHERS.values():
        for other in cases:
            make(**other).run(recorded)
    checked_names, own = set(device.launched), CudaDevice().own
    for_torch = sorted({*checked_names, *timed_names()})
    if own is None:
        return [(name, False) for name in for_torch]
    return [*((name, True) for name in for_torch), *((name, False) for name in sorted(checked_names))]


def compile_kernel(job: tuple[str, bool]) -> tuple[str, float, str]:
    """Compile one; return its name, the seconds that it took, and what went wrong."""
    (name, for_torch), start, fault = job, perf_counter(), ""
    try:
        own = CudaDevice().own if for_torch else None
        (own or with_cupy.Kernels()).get(name, 0)
    except Exception as error:
        fault = f"{type(error).__name__}: {error}"
    return name, perf_counter() - start, fault


def compiled() -> Iterator[Row]:
    """Compile all of them; a row for each that fails, and one for the whole."""
    start = perf_counter()
    names = kernel_names()
    workers = min(12, cpu_count() or 1)
    slowest = ("", 0.0)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for name, seconds, fault in pool.map(compile_kernel, names):
            slowest = max(slowest, (name, seconds), key=lambda pair: pair[1])
            if fault:
                yield {"status": "failed", "kernel": name, "reason": fault}
    whole = {"kernels": len(names), "processes": workers, "seconds": perf_counter() - start}
    yield whole | {"slowest": slowest[0], "slowest_seconds": slowest[1]}


ITEMS: Items = {"all kernels": compiled}
