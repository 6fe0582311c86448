"""What a worker does for its parent: load, probe, check and time one contestant."""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, NamedTuple

import numpy as np

from ._case import Case, Mode
from ._oracle import masked, windowed
from .contestants import Contestant, Loaded, Outputs


class Checked(NamedTuple):
    """What a call on the whole case gave: its seconds, those of the process's first call, memory, outputs."""

    seconds: float
    first: float
    peak: int | None
    shape: tuple[int, ...]
    dtype: str
    finite: bool
    outputs: Outputs


class Session:
    """The requests that a worker serves."""

    def __init__(self, contestant: Contestant, case: Case) -> None:
        self.contestant, self.case = contestant, case
        self._first: dict[Mode, float] = {}
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
            self._call(mode, run)
        seconds = [self._call(mode, run)[0]]
        # a short run is repeated, for something else may have had the processor
        while len(seconds) < 3 and (sum(seconds) < 0.1 or sum(seconds) == seconds[0] < 0.5):
            seconds.append(_timed(run)[0])
        return min(seconds)

    def check(self, mode: Mode) -> Checked:
        """Call once on the whole case and return what is compared."""
        self.release()
        run = self.contestant.prepare(masked(self.case, self.case.signals(mode)), mode)
        self.contestant.reset_peak()
        seconds, result = self._call(mode, run)
        peak = self.contestant.growth()
        first = self._first[mode]
        outputs = self.contestant.outputs(result)
        y = outputs["y"]
        finite = bool(np.isfinite(y).all())
        if y.shape != self.case.y_shape:
            return Checked(seconds, first, peak, y.shape, str(y.dtype), finite, {})
        return Checked(seconds, first, peak, y.shape, str(y.dtype), finite, windowed(self.case, outputs))

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

    def _call(self, mode: Mode, run: Callable[[], Any]) -> tuple[float, Any]:
        seconds, result = _timed(run)
        self._first.setdefault(mode, seconds)
        return seconds, result

    def _run(self, mode: Mode) -> Callable[[], Any]:
        if self._prepared is None or self._prepared[0] != mode:
            self._prepared = None
            self._prepared = (mode, self.contestant.prepare(self.case.signals(mode), mode))
        return self._prepared[1]


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    start = perf_counter_ns()
    result = run()
    return (perf_counter_ns() - start) / 1e9, result
