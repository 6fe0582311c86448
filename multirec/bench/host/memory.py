"""Memory: what is free on this machine, and how far one call grows the process."""

from __future__ import annotations

import os
from pathlib import Path

from multirec._machine.libc import give_back

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_before = 0


def available_bytes() -> int | None:
    """Return the memory that can be allocated without swapping, within the control group's limit."""
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return physical_bytes()
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
        kept = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        # file cache counts as used there, and is given back on demand
        return min(free, limit + int(kept["inactive_file"]))
    except (OSError, KeyError, ValueError):
        return free


def physical_bytes() -> int | None:
    """Return the memory of the machine."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def reset_host_peak() -> None:
    """Make the kernel forget this process's peak, and remember what it holds now; memory that is free is given back."""
    global _before
    # what an earlier call left with glibc's allocator would not be seen when it is used again
    give_back()
    try:
        _CLEAR.write_text("5")
        _before = _kilobytes("VmRSS")
    except (OSError, KeyError):
        _before = -1


def host_growth() -> int | None:
    """Return the peak above what was held at the reset, in bytes; None where the system does not say."""
    if _before < 0:
        return None
    return max(_kilobytes("VmHWM") - _before, 0) * 1024


def _kilobytes(field: str) -> int:
    fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(fields[field].split()[0])
