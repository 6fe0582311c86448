"""Ctrl-C as a flag: noted from the first moment of the command, and acted on where the run can stop and be kept.

Nothing is raised at a random place; a wait for a worker ends at once, because it listens to `wakeup` as well.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_seen = False
_ends: tuple[socket.socket, socket.socket] | None = None


class Interrupted(Exception):  # noqa: N818
    """The user pressed Ctrl-C."""


def _note(number: int, frame: FrameType | None) -> None:
    global _seen
    _seen = True


def hold() -> None:
    """Note Ctrl-C from now on instead of raising KeyboardInterrupt; only in the main thread."""
    global _ends
    if _ends is not None:
        return
    signal.signal(signal.SIGINT, _note)
    # sockets, since Windows cannot wait for the end of a pipe
    _ends = reader, writer = socket.socketpair()
    for end in (reader, writer):
        end.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)


def release() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again, at once if it was pressed in the meantime."""
    global _seen, _ends
    if _ends is None:
        return
    signal.set_wakeup_fd(-1)
    for end in _ends:
        end.close()
    _ends, pressed, _seen = None, _seen, False
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if pressed:
        raise KeyboardInterrupt


def pressed() -> bool:
    """Say whether Ctrl-C was pressed."""
    return _seen


def check() -> None:
    """Raise `Interrupted` if Ctrl-C was pressed."""
    if _seen:
        raise Interrupted


def wakeup() -> socket.socket | None:
    """Return what to wait for beside the answer of a worker."""
    return None if _ends is None else _ends[0]


@contextmanager
def shielded() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: they inherit that it is blocked. Meanwhile it waits."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
