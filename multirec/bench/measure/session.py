"""What a worker does for its parent: load, probe, check and time one contestant."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..cases.case import Case, Mode
from ..cases.changes import changed, marks, wrong
from ..cases.judge import judge
from ..cases.reference import compute, kept, of_whole
from ..cases.signals import Array, Signals, signals
from ..cases.window import Window, cut_signals, windowed
from ..contestants import Contestant, Loaded, Peak, Run, Sample
from ..host import clock
from ..host.caches import compiled_files
from ..host.cores import begin_on_core
from .turn import Look, Turns

# cheap calls are repeated before they are timed: so often at most, or for so long
_MOST_WARM, _WARM_SECONDS = 20, 0.1


class Checked(NamedTuple):
    """A call on the whole case: its seconds without compiling, those of the process's first call, and the rest."""

    seconds: float
    first: float
    peak: Peak
    errors: dict[str, float]
    fault: str


@dataclass
class _Prepared:
    """A case that is ready to be called, with marks of its arrays as they were."""

    what: tuple[Case, Mode]
    arrays: Signals
    marks: dict[str, Array]
    run: Run
    turns: Turns | None = None


class Session:
    """The requests that a worker serves; `compiled` are the seconds of calls that filled an empty cache of kernels."""

    def __init__(self, contestant: Contestant) -> None:
        self.contestant, self.compiled, self.watch = contestant, 0.0, False
        self._first: dict[tuple[Case, Mode], float] = {}
        self._prepared: _Prepared | None = None
        self._case: tuple[Case, Mode, Signals] | None = None

    def load(self, watch: bool) -> Loaded:
        """Import what the contestant needs. `watch`: no kernels are compiled yet, so compilations are reported."""
        self.watch = watch
        loaded = self.contestant.load()
        self.looks = loaded.device == "cpu"
        # what was imported stays: later collections need not walk it
        gc.freeze()
        return loaded

    def reference(
        self, case: Case, modes: Sequence[Mode], window: Window, draw: int, folder: Path, seconds: float
    ) -> str:
        """Compute the float64 reference, keep it in a folder, and return what it covers in words."""
        compute(case, modes, window, draw, folder, seconds)
        return kept(folder, modes[-1]).describe(case, window)

    def verify(self, case: Case, mode: Mode, length: int, look: Look) -> str:
        """Say what is wrong with what was seen of a timed call, or nothing."""
        if look.later is not None and any(
            not np.array_equal(array, look.later[name], equal_nan=True) for name, array in look.found.items()
        ):
            return "its result was still being written when the call had returned: it works on another thread or stream"
        if self._case is None or self._case[:2] != (case, mode):
            self._case = None
            self._case = (case, mode, signals(case, mode))
        return wrong(case, self._case[2], length, look.at, look.channel, look.found)

    def probe(self, case: Case, mode: Mode, length: int) -> tuple[float, float]:
        """Return the seconds of a call on a shorter case, and those of a first one, that may have compiled."""
        short = case.shorter(length)
        run = self.contestant.prepare(short, signals(short, mode), mode)
        first = self._call(case, mode, run)[0] if self.contestant.compiles else 0.0
        seconds = [self._call(case, mode, run)[0]]
        # a short run is repeated, for something else may have had the processor
        while len(seconds) < 3 and (sum(seconds) < 0.05 or sum(seconds) == seconds[0] < 0.25):
            seconds.append(self._timed(run)[0])
        return min(seconds), first

    def check(self, case: Case, mode: Mode, window: Window, folder: Path) -> Checked:
        """Call once on the whole case and compare with the reference that is kept in a folder."""
        self.release()
        arrays = cut_signals(case, mode, window)
        before = marks(arrays)
        run = self.contestant.prepare(case, arrays, mode)
        self.contestant.reset_peak()
        self.contestant.compiling()
        seconds, result = self._call(case, mode, run)
        seconds -= min(self.contestant.compiling(), 0.9 * seconds)
        peak = self.contestant.growth()
        outputs = self.contestant.outputs(result)
        fault = changed(arrays, before)
        if fault:
            return Checked(seconds, self._first[case, mode], peak, {}, fault)
        own = self.contestant.own_reference(case, arrays, mode)
        reference = kept(folder, mode) if own is None else of_whole(windowed(case, window, own))
        errors, fault = judge(case, window, reference, outputs)
        return Checked(seconds, self._first[case, mode], peak, errors, fault)

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

    def time(
        self, case: Case, mode: Mode, length: int, calls: int, warm: bool, number: int, look: bool
    ) -> tuple[Sample, Look | None]:
        """Return the time of a call in round `number`, out of `calls`; first one untimed call where `warm`.

        With `look`, also what was seen of one of them in the first `length` samples.
        """
        run, turns = self._run(case, mode), self._turns(case, length)
        begin_on_core(number)
        if warm:
            turns.change()
            self._timed(run)
        # on a GPU there are two calls whose results are looked at
        turns.begin((calls if self.looks else 2) if look else 0)
        gc.collect()
        gc.disable()
        try:
            return self.contestant.measure(run, calls, turns), turns.seen
        finally:
            gc.enable()

    def unchanged(self) -> str:
        """Say which of the inputs of timed calls the contestant changed, or nothing."""
        prepared = self._prepared
        if prepared is None or prepared.turns is None:
            return ""
        prepared.turns.restore()
        return changed(prepared.arrays, prepared.marks)

    def cache(self) -> int | None:
        """Return the bytes of the device's last cache."""
        return self.contestant.cache()

    def release(self) -> None:
        """Let go of all arrays."""
        self._prepared = self._case = None

    def _call(self, case: Case, mode: Mode, run: Run) -> tuple[float, Any]:
        before = compiled_files() if self.watch else 0
        seconds, result = self._timed(run)
        self._first.setdefault((case, mode), seconds)
        if self.watch and compiled_files() > before:
            self.compiled += seconds
        return seconds, result

    def _timed(self, run: Run) -> tuple[float, Any]:
        start = clock.nanoseconds()
        result = run()
        self.contestant.wait()
        return (clock.nanoseconds() - start) / 1e9, result

    def _run(self, case: Case, mode: Mode) -> Run:
        if self._prepared is None or self._prepared.what != (case, mode):
            self._prepared = None
            arrays = signals(case, mode)
            before = marks(arrays)
            self._prepared = _Prepared((case, mode), arrays, before, self.contestant.prepare(case, arrays, mode))
        return self._prepared.run

    def _turns(self, case: Case, length: int) -> Turns:
        assert self._prepared is not None
        if self._prepared.turns is None:
            self._prepared.turns = Turns(self.contestant, case, self._prepared.arrays, length)
        return self._prepared.turns
