"""How much memory this machine has, and how much of it a process may still take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["available_bytes", "physical_bytes"]

_MEMORY = Path("/proc/meminfo")
_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


def physical_bytes() -> int | None:
    """Return the memory of the machine."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def available_bytes() -> int | None:
    """Return what can be allocated without swapping, within the limits of control groups; None where nothing says."""
    try:
        fields = dict(line.split(":", 1) for line in _MEMORY.read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    return max(0, min([free, *_left_in_groups()]))


def _left_in_groups() -> Iterator[int]:
    """Yield what every control group that has a limit leaves: this process's own, and those around it."""
    try:
        lines = _OWN_GROUPS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":  # version 1
            yield from _left(_GROUPS / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
        elif not controllers:
            yield from _left(_GROUPS, path, "memory.max", "memory.current", "")


def _left(root: Path, path: str, limit: str, used: str, prefix: str) -> Iterator[int]:
    own = root / path.lstrip("/")
    # in a container the path may be the host's, and the group is the root
    for group in {root, own, *(outer for outer in own.parents if root in outer.parents)}:
        try:
            kept = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            # the cache of files counts as used there, and is given back on demand
            files = int(kept[f"{prefix}inactive_file"])
            yield int((group / limit).read_text()) - int((group / used).read_text()) + files
        except (OSError, KeyError, ValueError):
            # no such group here, or no limit: "max"
            continue
