"""How many processors kernels are worth running on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from .groups import groups

__all__ = ["usable_processors"]

# on hybrid processors of Intel, those of the fast kind
_FAST = Path("/sys/devices/cpu_core/cpus")


def usable_processors() -> int:
    """Return the number of processors that this process may run on, of the fastest kind where there are several.

    That is its affinity where the system has one, and no more than the time that control groups leave it, rounded up.
    Work is cut into equal pieces for so many threads, and the last of them is waited for: a slow one makes all slow.

    Example
    -------
    >>> usable_processors() >= 1
    True
    """
    if sys.platform == "win32":
        from . import windows

        return windows.processors() or os.cpu_count() or 1
    if sys.platform == "darwin":
        from . import darwin

        return darwin.processors() or os.cpu_count() or 1
    affinity = getattr(os, "sched_getaffinity", None)
    allowed = set(range(os.cpu_count() or 1)) if affinity is None else affinity(0)
    return max(1, min([len(allowed & _fast() or allowed), *_quotas()]))


def _fast() -> set[int]:
    try:
        ranges = [part.split("-") for part in _FAST.read_text().strip().split(",")]
    except OSError:
        return set()
    return {number for ends in ranges for number in range(int(ends[0]), int(ends[-1]) + 1)}


def _quotas() -> Iterator[int]:
    """Yield how many processors' time every control group that has a limit leaves, rounded up."""
    for folder, version in groups("cpu"):
        try:
            if version == 2:
                quota, period = map(int, (folder / "cpu.max").read_text().split())
            else:
                quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        except (OSError, ValueError):
            # no such group here, or no limit: "max"
            continue
        if quota > 0:
            yield -(-quota // period)
