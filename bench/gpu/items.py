"""A step as this process runs it: items one by one, each within a time, and what goes wrong becomes a row."""

from __future__ import annotations

import faulthandler
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter
from typing import TYPE_CHECKING, cast

import cupy

from .results import Results, Row

if TYPE_CHECKING:
    from multirec.bench.results.format import Clocks

Items = Mapping[str, Callable[[], Iterable[Row]]]
"""What a step does, by name: each item gives its rows one by one."""

LOST = 70
"""The exit code where the device answers no more in this process."""
_PACKAGES = (
    "torch", "cupy-cuda13x", "cupy-cuda12x", "numpy", "jax", "jaxlib", "torchaudio",
    "triton", "accelerated-scan", "flash-linear-attention",
)  # fmt: skip


class SkippedError(Exception):
    """An item that cannot be done on this machine."""


def run_items(step: str, items: Items, results: Results, first: int, limit: float) -> None:
    """Run the items from number `first` on; one that takes longer than `limit` seconds ends the process.

    Before each item its number is noted, so whoever started this process knows which one ended it.
    """
    from multirec.bench.host.gpu_clocks import Watch
    from multirec.bench.show.report import clocks_text

    watch = Watch()
    if not first:
        results.note(step=step, items=list(items), **facts())
    for number, (name, work) in enumerate(items.items()):
        if number < first:
            continue
        results.note(begun=number)
        # kept by a thread that needs no interpreter: a call that hangs in the driver ends as well
        faulthandler.dump_traceback_later(limit, exit=True)
        start, about = perf_counter(), {"step": step, "item": name}
        try:
            for row in work():
                results.add(**about, **({"status": "ok"} | row))
        except SkippedError as error:
            results.add(**about, status="skipped", reason=str(error))
        except Exception as error:
            traceback.print_exc()
            reason = (str(error).splitlines() or [""])[0]
            status = "out of memory" if type(error).__name__ == "OutOfMemoryError" else "failed"
            results.add(**about, status=status, reason=f"{type(error).__name__}: {reason}")
        if not _answers():
            os._exit(LOST)
        print(f"{step}: {name}: {perf_counter() - start:.1f} s", flush=True)
        watch.look()
        _give_memory_back()
    clocks = watch.end()
    results.note(clocks=clocks_text(cast("Clocks", clocks)), clocks_read=clocks)
    faulthandler.cancel_dump_traceback_later()


def facts() -> Row:
    """Return the machine and the versions that figures belong to."""
    runtime = cupy.cuda.runtime
    found: Row = {"gpu": runtime.getDeviceProperties(0)["name"].decode(), "python": sys.version.split()[0]}
    found |= {"CUDA of the driver": runtime.driverGetVersion(), "CUDA of CuPy": runtime.runtimeGetVersion()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _answers() -> bool:
    try:
        cupy.cuda.runtime.deviceSynchronize()
    except Exception:
        return False
    return True


def _give_memory_back() -> None:
    cupy.get_default_memory_pool().free_all_blocks()
    if "torch" in sys.modules:
        sys.modules["torch"].cuda.empty_cache()
