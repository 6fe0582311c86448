"""A limit on the time of steps that nothing else can end: a kernel that hangs never returns to Python."""

from __future__ import annotations

import faulthandler
import os
import sys
from threading import Timer
from types import TracebackType

import click

from ._exit import Exit

_STDERR = 2
_LOCKED = 5.0
"""Seconds after the limit, after which whatever hangs must be holding Python's lock."""


class Watch:
    """Ends the process when a step takes longer than it may, and says which step it was and where it hangs.

    The exit code is that of `Exit.HUNG`; 1 where the step keeps Python's lock, so that no thread could say more.

    Parameters
    ----------
    limit
        Seconds a step.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.timer = Timer(0, lambda: None)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rest()

    def begins(self, step: str) -> None:
        """A step begins, and the one before has ended."""
        self._rest()
        self.timer = Timer(self.limit, self._end, (step,))
        self.timer.daemon = True
        self.timer.start()
        faulthandler.dump_traceback_later(self.limit + _LOCKED, exit=True, file=_STDERR)

    def _rest(self) -> None:
        self.timer.cancel()
        faulthandler.cancel_dump_traceback_later()

    def _end(self, step: str) -> None:
        click.echo(f"{step}: no end after {self.limit:g} s; nothing is checked after it. Where it hangs is on stderr.")
        sys.stdout.flush()
        faulthandler.dump_traceback(file=_STDERR, all_threads=True)
        # the step itself cannot be ended
        os._exit(Exit.HUNG)
