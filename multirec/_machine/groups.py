"""Control groups of Linux: the folders that say what this process, and those around it, may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["groups"]

_OWN = Path("/proc/self/cgroup")
_ROOT = Path("/sys/fs/cgroup")


def groups(controller: str) -> Iterator[tuple[Path, int]]:
    """Yield the folder of every group that a controller may limit this process by, and its version, 1 or 2."""
    try:
        lines = _OWN.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            yield from ((folder, 1) for folder in _up(_ROOT / controller, path))
        elif not controllers:
            yield from ((folder, 2) for folder in _up(_ROOT, path))


def _up(root: Path, path: str) -> set[Path]:
    own = root / path.lstrip("/")
    # in a container the path may be the host's, and the group is the root
    return {root, own, *(outer for outer in own.parents if root in outer.parents)}
