"""Contestants that are right, and take as long as they are told to."""

from __future__ import annotations

from typing import Any

import numpy as np
from clocks import CLOCK

from multirec.bench.cases.case import Case, Mode
from multirec.bench.cases.reference import right
from multirec.bench.cases.signals import Signals
from multirec.bench.contestants import Contestant, Loaded, Outputs, Run


def filtered(signals: Signals) -> np.ndarray:
    """The right values of filters of order 2 that share an input, by the plainest loop."""
    x, banks = signals.x, zip(signals.feedforward.tolist(), signals.feedback.tolist(), strict=True)
    y = [[biquad(b, a, row) for row in x[:, 0].tolist()] for b, a in banks]
    return np.array(y).swapaxes(0, 1).astype(x.dtype)


def biquad(b: list[float], a: list[float], x: list[float]) -> list[float]:
    y, earlier, last, before, previous = [], 0.0, 0.0, 0.0, 0.0
    for now in x:
        value = b[0] * now + b[1] * before + b[2] * previous + a[0] * last + a[1] * earlier
        y.append(value)
        earlier, last, before, previous = last, value, now, before
    return y


def gradients(case: Case, signals: Signals) -> Outputs:
    """The right values and gradients."""
    found = right(case, signals.x, signals.feedforward, signals.feedback, None, signals.grad_y)
    return {name: array.astype(case.dtype) for name, array in found.items()}


class Fake(Contestant):
    """Right, forward only; a call takes a millisecond."""

    name = "right"
    summary = "a fake"
    seconds = 0.001
    importing = 0.0

    def load(self) -> Loaded:
        CLOCK.passes(self.importing)
        return super().load()

    def declines(self, case: Case, mode: Mode) -> str | None:
        return "forward only" if mode != "forward" else None

    def takes(self, case: Case) -> float:
        """Seconds of a call."""
        return self.seconds

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        def run() -> Any:
            CLOCK.passes(self.takes(case))
            return self.computed(case, signals, mode)

        return run

    def computed(self, case: Case, signals: Signals, mode: Mode) -> Any:
        return {"y": self.spoil(filtered(signals))}

    def spoil(self, y: np.ndarray) -> np.ndarray:
        return y

    def outputs(self, result: Any) -> Outputs:
        found: Outputs = result
        return found


class Trains(Fake):
    """Right in both modes."""

    name = "trains"

    def declines(self, case: Case, mode: Mode) -> str | None:
        return None

    def computed(self, case: Case, signals: Signals, mode: Mode) -> Any:
        return super().computed(case, signals, mode) if mode == "forward" else gradients(case, signals)


class Growing(Trains):
    """A call takes `seconds` at T=100, and its power of the length."""

    name = "growing"
    power = 1.0

    def takes(self, case: Case) -> float:
        return float(self.seconds * (case.length / 100) ** self.power)


class Uneven(Fake):
    """A call takes up to a fifth more than `seconds`, never twice the same."""

    name = "uneven"
    calls = 0

    def takes(self, case: Case) -> float:
        self.calls += 1
        # multiples of the golden ratio are spread evenly
        return self.seconds * (1 + 0.2 * (self.calls * 0.6180339887 % 1))
