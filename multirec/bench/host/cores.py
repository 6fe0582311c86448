"""Which core a turn begins on: those of a shared machine are not equally fast at one moment."""

from __future__ import annotations

import os
from contextlib import suppress

__all__ = ["begin_on_core"]


def begin_on_core(number: int) -> None:
    """Move this thread to one of the cores that it may use, counted round; from there it goes where the system likes.

    Where the system has no such request, nothing is done.

    Example
    -------
    >>> begin_on_core(3)
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    with suppress(OSError):
        cores = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {sorted(cores)[number % len(cores)]})
        finally:
            os.sched_setaffinity(0, cores)
