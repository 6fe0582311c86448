"""The processor's last cache: what fits into it need not come from memory."""

from __future__ import annotations

from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_UNITS = {"K": 10, "M": 20, "G": 30}


def last_level_cache() -> int | None:
    """Return the bytes of all caches of the last level together; None where the system does not say."""
    found: dict[tuple[int, str], int] = {}
    try:
        for index in _CPUS.glob("cpu[0-9]*/cache/index*"):
            level, size, shared = ((index / name).read_text().strip() for name in ("level", "size", "shared_cpu_list"))
            found[int(level), shared] = int(size[:-1]) << _UNITS[size[-1]]
    except (OSError, ValueError, KeyError, IndexError):
        return None
    last = max((level for level, _ in found), default=0)
    return sum(size for (level, _), size in found.items() if level == last) or None
