"""Memory: what is free on this machine, and how far one call grows the process."""

from __future__ import annotations

from pathlib import Path

import multirec.memory
from multirec._machine.available import available_bytes, physical_bytes

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_before = 0


def free_bytes() -> int | None:
    """Return what can be allocated without swapping; all there is where the system does not say."""
    available = available_bytes()
    return physical_bytes() if available is None else available


def reset_host_peak() -> None:
    """Make the kernel forget this process's peak, and remember what it holds now; memory that is free is given back."""
    global _before
    # what an earlier call left would not be seen when it is used again
    multirec.memory.clear()
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
