"""How much memory this machine has, and how much of it a process may still take."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from .groups import groups

__all__ = ["available_bytes", "physical_bytes"]

_MEMORY = Path("/proc/meminfo")
# by version of control groups: the limit, what is used, and what comes before a name in the statistics
_FILES = {1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"), 2: ("memory.max", "memory.current", "")}


def physical_bytes() -> int | None:
    """Return the memory of the machine."""
    if sys.platform == "win32":
        from . import windows

        return windows.memory()[0]
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def available_bytes() -> int | None:
    """Return what can be allocated without swapping, within the limits of control groups; None where nothing says."""
    if sys.platform == "win32":
        from . import windows

        return windows.memory()[1]
    if sys.platform == "darwin":
        from . import darwin

        return darwin.available_bytes()
    try:
        fields = dict(line.split(":", 1) for line in _MEMORY.read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    return max(0, min([free, *_left_in_groups()]))


def _left_in_groups() -> Iterator[int]:
    """Yield what every control group that has a limit leaves."""
    for folder, version in groups("memory"):
        limit, used, prefix = _FILES[version]
        try:
            kept = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            # the cache of files counts as used there, and is given back on demand
            files = int(kept[f"{prefix}inactive_file"])
            yield int((folder / limit).read_text()) - int((folder / used).read_text()) + files
        except (OSError, KeyError, ValueError):
            # no such group here, or no limit: "max"
            continue
