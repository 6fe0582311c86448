"""The process of one contestant: it waits on a pipe, does one request, answers, and waits again.

A request is (method, arguments); an answer is ("done", value, seconds of first compilations), or
("failed", status, reason).
"""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection

from ..contestants import Contestant
from ..results.format import Status
from .session import Session


def serve(connection: Connection, said: str, contestant: Contestant) -> None:
    """Answer requests until the other end closes; what is printed goes to the file `said`."""
    # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    with open(said, "wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    session = Session(contestant)
    while True:
        try:
            method, arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = getattr(session, method)(*arguments)
        except Exception as error:
            connection.send(("failed", *_diagnose(error)))
        else:
            compiled, session.compiled = session.compiled, 0.0
            connection.send(("done", answer, compiled))


def _diagnose(error: Exception) -> tuple[Status, str]:
    """Return the status that an exception stands for, and its first line as the reason."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    if isinstance(error, MemoryError) or _is_out_of_memory(str(error)):
        return "oom", text
    if isinstance(error, NotImplementedError):
        return "unsupported", lines[0] if lines else text
    if isinstance(error, ImportError | OSError):
        return "skipped", lines[0] if lines else text
    return "crash", text


def _is_out_of_memory(text: str) -> bool:
    marks = ("out of memory", "can't allocate memory", "not enough memory", "RESOURCE_EXHAUSTED")
    return any(mark in text for mark in marks)
