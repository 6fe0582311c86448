"""Threads and forks: how many threads kernels may use, and a lock that forks wait for.

The number is that of the processors that are worth it, capped by OMP_NUM_THREADS, or what the user set.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from operator import index

from ..errors import ArgumentError

no_fork = threading.RLock()
"""Re-entrant, and held by every fork: what it guards is never half done in a child.

One for all, since a hook that is registered while another thread forks would be called after that fork, but not before.
"""
if hasattr(os, "register_at_fork"):
    # built-in methods as they are: an interrupt could stop a Python function before it lets go
    os.register_at_fork(before=no_fork.acquire, after_in_parent=no_fork.release, after_in_child=no_fork.release)

_chosen: int | None = None


def _default() -> int:
    # not at the top: importing multirec loads no more than it needs
    from .processors import usable_processors

    count = usable_processors()
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return min(count, int(first)) if first.isdigit() and int(first) > 0 else count


def num_threads() -> int:
    """Return the number of threads that CPU kernels may use.

    Example
    -------
    >>> num_threads() >= 1
    True
    """
    global _chosen
    if _chosen is None:
        _chosen = _default()
    return _chosen


def set_num_threads(count: int) -> None:
    """Set the number of threads that CPU kernels may use, for this process. Results do not depend on it.

    Parameters
    ----------
    count
        At least 1.

    Example
    -------
    >>> before = num_threads()
    >>> set_num_threads(1)
    >>> num_threads()
    1
    >>> set_num_threads(before)
    """
    global _chosen
    if isinstance(count, bool) or not hasattr(count, "__index__") or count < 1:
        raise ArgumentError(f"set_num_threads needs a whole number of at least 1, got {count!r}.")
    _chosen = index(count)


def after_fork(renew: Callable[[], None]) -> None:
    """Have `renew` called in the child of every fork, where the platform has forks."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)
