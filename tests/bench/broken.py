"""Contestants that are wrong, or do not end well, each in its own way."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from clocks import CLOCK
from fakes import Fake, Trains

from multirec.bench.cases.case import Case, Mode
from multirec.bench.cases.signals import Signals
from multirec.bench.contestants import Loaded, Run, Sample, Turn


class Wrong(Fake):
    name = "wrong"

    def spoil(self, y: np.ndarray) -> np.ndarray:
        return y * np.float32(1.01)


class NotFinite(Fake):
    name = "not_finite"

    def spoil(self, y: np.ndarray) -> np.ndarray:
        # in a channel that is not compared with the reference
        y = y.copy()
        y[0, 1, 3] = np.nan
        return y


class WrongShape(Fake):
    name = "wrong_shape"

    def spoil(self, y: np.ndarray) -> np.ndarray:
        return y[:, :-1]


class WrongDtype(Fake):
    name = "wrong_dtype"

    def spoil(self, y: np.ndarray) -> np.ndarray:
        return y.astype(np.float64)


class WrongGradient(Trains):
    """Forgets a factor in one gradient."""

    name = "wrong_gradient"

    def computed(self, case: Case, signals: Signals, mode: Mode) -> Any:
        found = super().computed(case, signals, mode)
        return found if mode == "forward" else found | {"feedback": 1.1 * found["feedback"]}


class Raises(Fake):
    name = "raises"

    def spoil(self, y: np.ndarray) -> np.ndarray:
        raise RuntimeError("it went wrong\nin many lines")


class Death(BaseException):
    """A process of its own would have ended."""


class Dies(Fake):
    """Ends its process, which has to be one of its own."""

    name = "dies"

    def spoil(self, y: np.ndarray) -> np.ndarray:
        os.abort()


class DiesLater(Fake):
    """Passes its check and dies in its third round."""

    name = "dies_later"
    turns = 0

    def measure(self, run: Run, calls: int, turn: Turn) -> Sample:
        self.turns += 1
        if self.turns == 3:
            raise Death
        return super().measure(run, calls, turn)


class DiesForward(Trains):
    """Dies in one mode, and is right in the other."""

    name = "dies_forward"

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        if mode == "forward":
            raise Death
        return super().prepare(case, signals, mode)


class Hungry(Fake):
    name = "hungry"

    def spoil(self, y: np.ndarray) -> np.ndarray:
        raise MemoryError("no room")


class Hangs(Fake):
    """Does not return, in a process of its own or on the clock of these tests."""

    name = "hangs"
    seconds = 1e6


class Sleeps(Fake):
    """Does not return."""

    name = "sleeps"

    def spoil(self, y: np.ndarray) -> np.ndarray:
        time.sleep(600)
        return y


class NotLoaded(Fake):
    name = "not_loaded"

    def load(self) -> Loaded:
        raise ImportError("it was built for another version")


class Huge(Fake):
    name = "huge"
    copies = (1e12, 1e12)


class Compiles(Fake):
    """Takes long at its first call, and puts a file into the cache of kernels."""

    name = "compiles"
    calls = 0

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def spoil(self, y: np.ndarray) -> np.ndarray:
        self.calls += 1
        if self.calls == 1:
            CLOCK.passes(1.5)
            (self.folder / "cupy").mkdir(parents=True, exist_ok=True)
            (self.folder / "cupy" / "kernel").write_bytes(b"code")
        return y
