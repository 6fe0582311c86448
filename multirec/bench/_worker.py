"""The process of one contestant: it waits on a pipe, does one request, answers, and waits again.

Started by `_remote.Worker` as ``python -m multirec.bench._worker FD``. A request is (method, arguments); an answer
is ("done", value), or ("failed", status, reason).
"""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection

from ._results import Status
from ._session import Session


def _diagnose(error: Exception) -> tuple[Status, str]:
    """Return the status that an exception stands for, and its first line as the reason."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    if isinstance(error, MemoryError) or _is_out_of_memory(str(error)):
        return "oom", text
    if isinstance(error, NotImplementedError):
        return "unsupported", lines[0] if lines else text
    if isinstance(error, ImportError):
        return "skipped", lines[0] if lines else text
    return "crash", text


def _is_out_of_memory(text: str) -> bool:
    marks = ("out of memory", "can't allocate memory", "not enough memory", "RESOURCE_EXHAUSTED")
    return any(mark in text for mark in marks)


def serve(connection: Connection) -> None:
    """Answer requests until the other end closes."""
    session: Session | None = None
    while True:
        try:
            method, arguments = connection.recv()
        except EOFError:
            return
        try:
            if method == "start":
                session, answer = Session(*arguments), None
            else:
                answer = getattr(session, method)(*arguments)
        except Exception as error:
            connection.send(("failed", *_diagnose(error)))
        else:
            connection.send(("done", answer))


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
