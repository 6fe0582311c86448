"""Contestants that fool harnesses, each in its own way."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from devices import OnDevice
from fakes import Fake, Trains, filtered, gradients

from multirec.bench.cases.case import Case, Mode
from multirec.bench.cases.signals import Signals
from multirec.bench.contestants import Run, Sample, Turn


class Lazy(Fake):
    """Returns what it computed before, in no time."""

    name = "lazy"

    def measure(self, run: Run, calls: int, turn: Turn) -> Sample:
        return Sample(1e-9)


class OnStreams(OnDevice):
    """Times itself as a GPU does, with work that events on the current stream do not see."""

    name = "on_streams"

    def measure(self, run: Run, calls: int, turn: Turn) -> Sample:
        return super().measure(run, calls, turn)._replace(wall=1.0)


class Cached(Fake):
    """Computes once, and returns that."""

    name = "cached"
    kept: Any = None

    def spoil(self, y: np.ndarray) -> np.ndarray:
        self.kept = y if self.kept is None else self.kept
        return self.kept


class CachedGradient(Trains):
    """Computes the values anew, and the gradients once."""

    name = "cached_gradient"
    kept: Any = None

    def computed(self, case: Case, signals: Signals, mode: Mode) -> Any:
        found = gradients(case, signals)
        self.kept = found if self.kept is None else self.kept
        return self.kept | {"y": found["y"]}


class Stale(Fake):
    """Computes nothing after three calls, and returns the memory that an earlier result was in."""

    name = "stale"
    calls = 0

    def computed(self, case: Case, signals: Signals, mode: Mode) -> Any:
        self.calls += 1
        if self.calls == 1:
            self.memory = np.empty(case.y_shape, case.dtype)
        if self.calls <= 3:
            self.memory[...] = filtered(signals)
        return {"y": self.memory}


class Freed(Fake):
    """Never computes: its result is in memory where something right was before, the reference perhaps."""

    name = "freed"

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        memory = filtered(signals)
        del signals
        return lambda: {"y": memory}


class Mutates(Fake):
    """Computes in the memory of its input."""

    name = "mutates"

    def computed(self, case: Case, signals: Signals, mode: Mode) -> Any:
        y = filtered(signals)
        signals.x[...] = y[:, :1]
        return {"y": y}


class MutatesLater(Fake):
    """Leaves a trace in its input, after many calls, that its results do not show."""

    name = "mutates_later"
    calls = 0

    def computed(self, case: Case, signals: Signals, mode: Mode) -> Any:
        self.calls += 1
        if self.calls == 30:
            signals.feedforward[3, 1] = 1e-30
        return {"y": filtered(signals)}


class OnThread(Fake):
    """Returns at once what another thread has yet to write, once it has been checked."""

    name = "on_thread"
    calls = 0

    def computed(self, case: Case, signals: Signals, mode: Mode) -> Any:
        self.calls += 1
        if self.calls == 1:
            return {"y": filtered(signals)}
        right, y = filtered(signals), np.zeros(case.y_shape, case.dtype)

        def work() -> None:
            time.sleep(0.002)
            y[...] = right

        threading.Thread(target=work).start()
        return {"y": y}


class ZeroesOne(Fake):
    """Is right in all channels but one, of all examples but one."""

    name = "zeroes_one"

    def spoil(self, y: np.ndarray) -> np.ndarray:
        y[1, 11] = 0
        return y


class SeesTheWindow(Trains):
    """Computes the channels alone in which the gradient of y is not zero, and the first and last of the bank."""

    name = "sees_the_window"

    def computed(self, case: Case, signals: Signals, mode: Mode) -> Any:
        found = gradients(case, signals)
        spared = np.zeros(case.channels, bool)
        spared[np.linspace(0, case.channels - 1, 8).round().astype(int)] = True
        if signals.grad_y is not None:
            spared |= (signals.grad_y == 0).all((0, 2)).all() & signals.grad_y.any((0, 2))
        found["y"][:, ~spared] = 0
        return found
