"""The process of one contestant: it waits on a pipe, does one request, answers, and waits again.

Started by `_remote.Worker` as ``python -m multirec.bench._worker FD``. A request is (method, arguments); an answer
is ("done", value), or ("failed", status, reason).
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from time import perf_counter_ns
from typing import Any, NamedTuple

import numpy as np

from ._case import Case, Mode
from ._oracle import masked, windowed
from ._results import Status
from .contestants import Contestant, Loaded, Outputs


class Checked(NamedTuple):
    """What a first call on the whole case gave: its time, its memory, and what is compared of its outputs."""

    seconds: float
    peak: int | None
    shape: tuple[int, ...]
    dtype: str
    finite: bool
    outputs: Outputs


class Session:
    """The requests that a worker serves."""

    def __init__(self, contestant: Contestant, case: Case) -> None:
        self.contestant, self.case = contestant, case
        self._prepared: tuple[Mode, Callable[[], Any]] | None = None

    def load(self) -> Loaded:
        """Import what the contestant needs."""
        loaded = self.contestant.load()
        # what was imported stays: later collections need not walk it
        gc.freeze()
        return loaded

    def probe(self, mode: Mode, length: int) -> float:
        """Time one call on a shorter case, in seconds."""
        run = self.contestant.prepare(self.case.shorter(length).signals(mode), mode)
        if self.contestant.compiles:
            run()
        return _timed(run)[0]

    def check(self, mode: Mode) -> Checked:
        """Call once on the whole case and return what is compared."""
        self.release()
        run = self.contestant.prepare(masked(self.case, self.case.signals(mode)), mode)
        self.contestant.reset_peak()
        seconds, result = _timed(run)
        peak = self.contestant.growth()
        outputs = self.contestant.outputs(result)
        y = outputs["y"]
        finite = bool(np.isfinite(y).all())
        if y.shape != self.case.y_shape:
            return Checked(seconds, peak, y.shape, str(y.dtype), finite, {})
        return Checked(seconds, peak, y.shape, str(y.dtype), finite, windowed(self.case, outputs))

    def measure_memory(self, mode: Mode) -> tuple[float, int | None]:
        """Call once more: the seconds, and the growth of memory."""
        run = self._run(mode)
        self.contestant.reset_peak()
        seconds, _ = _timed(run)
        return seconds, self.contestant.growth()

    def time(self, mode: Mode, calls: int, warm: bool) -> float:
        """Return the seconds of a call, the mean of `calls`; first one untimed call where `warm`."""
        run = self._run(mode)
        if warm:
            run()
        gc.collect()
        gc.disable()
        try:
            if calls == 1:
                return _timed(run)[0]
            start = perf_counter_ns()
            for _ in range(calls):
                run()
            return (perf_counter_ns() - start) / calls / 1e9
        finally:
            gc.enable()

    def release(self) -> None:
        """Let go of all arrays."""
        self._prepared = None

    def _run(self, mode: Mode) -> Callable[[], Any]:
        if self._prepared is None or self._prepared[0] != mode:
            self._prepared = None
            self._prepared = (mode, self.contestant.prepare(self.case.signals(mode), mode))
        return self._prepared[1]


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    start = perf_counter_ns()
    result = run()
    return (perf_counter_ns() - start) / 1e9, result


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
