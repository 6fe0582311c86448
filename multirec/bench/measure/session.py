"""What a worker does for its parent: load, probe, check and time one contestant."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any, NamedTuple

from ..cases.case import Case, Mode
from ..cases.judge import judge
from ..cases.reference import compute, kept
from ..cases.signals import signals
from ..cases.window import masked, windowed
from ..contestants import Contestant, Loaded, Peak, Run, Sample
from ..host.caches import compiled_files
from ..host.cores import begin_on_core

# cheap calls are repeated before they are timed: so often at most, or for so long
_MOST_WARM, _WARM_SECONDS = 20, 0.1


class Checked(NamedTuple):
    """A call on the whole case: its seconds without compiling, those of the process's first call, and the rest."""

    seconds: float
    first: float
    peak: Peak
    errors: dict[str, float]
    fault: str
    own: bool


class Session:
    """The requests that a worker serves; `compiled` are the seconds of calls that filled an empty cache of kernels."""

    def __init__(self, contestant: Contestant) -> None:
        self.contestant, self.compiled, self.watch = contestant, 0.0, False
        self._first: dict[tuple[Case, Mode], float] = {}
        self._prepared: tuple[Case, Mode, Run] | None = None

    def load(self, watch: bool) -> Loaded:
        """Import what the contestant needs. `watch`: no kernels are compiled yet, so compilations are reported."""
        self.watch = watch
        loaded = self.contestant.load()
        # what was imported stays: later collections need not walk it
        gc.freeze()
        return loaded

    def reference(self, case: Case, modes: Sequence[Mode], folder: Path) -> None:
        """Compute the float64 reference and keep it in a folder."""
        compute(case, modes, folder)

    def probe(self, case: Case, mode: Mode, length: int) -> float:
        """Time one call on a shorter case, in seconds."""
        short = case.shorter(length)
        run = self.contestant.prepare(short, signals(short, mode), mode)
        if self.contestant.compiles:
            self._call(case, mode, run)
        seconds = [self._call(case, mode, run)[0]]
        # a short run is repeated, for something else may have had the processor
        while len(seconds) < 3 and (sum(seconds) < 0.05 or sum(seconds) == seconds[0] < 0.25):
            seconds.append(self._timed(run)[0])
        return min(seconds)

    def check(self, case: Case, mode: Mode, folder: Path) -> Checked:
        """Call once on the whole case and compare with the reference that is kept in a folder."""
        self.release()
        arrays = masked(case, mode)
        run = self.contestant.prepare(case, arrays, mode)
        self.contestant.reset_peak()
        self.contestant.compiling()
        seconds, result = self._call(case, mode, run)
        seconds -= min(self.contestant.compiling(), 0.9 * seconds)
        peak = self.contestant.growth()
        outputs = self.contestant.outputs(result)
        own = self.contestant.own_reference(case, arrays, mode)
        wanted = kept(folder, mode) if own is None else windowed(case, own)
        errors, fault = judge(case, wanted, outputs)
        return Checked(seconds, self._first[case, mode], peak, errors, fault, own is not None)

    def warm(self, case: Case, mode: Mode) -> tuple[float, Peak]:
        """Call until a call is as quick as it gets: its seconds, and the growth of memory in another."""
        run = self._run(case, mode)
        seconds: list[float] = []
        while not seconds or (len(seconds) < _MOST_WARM and sum(seconds) < _WARM_SECONDS):
            seconds.append(self._call(case, mode, run)[0])
        # a call of its own: watched, it begins without memory to use again
        self.contestant.reset_peak()
        self._call(case, mode, run)
        peak = self.contestant.growth()
        # what was imported on the way stays, too
        gc.collect()
        gc.freeze()
        return min(seconds), peak

    def time(self, case: Case, mode: Mode, calls: int, warm: bool, number: int) -> Sample:
        """Return the time of a call in round `number`, out of `calls`; first one untimed call where `warm`."""
        run = self._run(case, mode)
        begin_on_core(number)
        if warm:
            self._timed(run)
        gc.collect()
        gc.disable()
        try:
            return self.contestant.measure(run, calls)
        finally:
            gc.enable()

    def cache(self) -> int | None:
        """Return the bytes of the device's last cache."""
        return self.contestant.cache()

    def release(self) -> None:
        """Let go of all arrays."""
        self._prepared = None

    def _call(self, case: Case, mode: Mode, run: Run) -> tuple[float, Any]:
        before = compiled_files() if self.watch else 0
        seconds, result = self._timed(run)
        self._first.setdefault((case, mode), seconds)
        if self.watch and compiled_files() > before:
            self.compiled += seconds
        return seconds, result

    def _timed(self, run: Run) -> tuple[float, Any]:
        start = perf_counter_ns()
        result = run()
        self.contestant.wait()
        return (perf_counter_ns() - start) / 1e9, result

    def _run(self, case: Case, mode: Mode) -> Run:
        if self._prepared is None or self._prepared[:2] != (case, mode):
            self._prepared = None
            self._prepared = (case, mode, self.contestant.prepare(case, signals(case, mode), mode))
        return self._prepared[2]
