"""Contestants that behave badly, each in its own way."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from multirec.bench._case import Case, Mode, Signals
from multirec.bench.contestants import Contestant, Loaded, Outputs


def filtered(signals: Signals) -> np.ndarray:
    """The right values, by the plainest loop."""
    x, b, a, _ = signals
    order, length = b.shape[1] - 1, x.shape[-1]
    y = np.zeros((x.shape[0], len(b), length + order))
    past = np.concatenate([np.zeros((*x.shape[:2], order)), x], axis=-1)
    for t in range(order, length + order):
        for j in range(order + 1):
            y[..., t] += b[:, j] * past[..., t - j]
        for k in range(1, order + 1):
            y[..., t] -= a[:, k] * y[..., t - k]
    return y[..., order:].astype(x.dtype)


class Fake(Contestant):
    """Right and quick, forward only."""

    name = "right"
    summary = "a fake"

    def declines(self, case: Case, mode: Mode) -> str | None:
        return "forward only" if mode != "forward" else None

    def prepare(self, signals: Signals, mode: Mode) -> Callable[[], Any]:
        y = filtered(signals)
        return lambda: self.spoil(y)

    def spoil(self, y: np.ndarray) -> np.ndarray:
        return y

    def outputs(self, result: Any) -> Outputs:
        return {"y": result}


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


class Raises(Fake):
    name = "raises"

    def spoil(self, y: np.ndarray) -> np.ndarray:
        raise RuntimeError("it went wrong\nin many lines")


class Dies(Fake):
    name = "dies"

    def spoil(self, y: np.ndarray) -> np.ndarray:
        os.abort()


class Hungry(Fake):
    name = "hungry"

    def spoil(self, y: np.ndarray) -> np.ndarray:
        raise MemoryError("no room")


class Hangs(Fake):
    name = "hangs"

    def spoil(self, y: np.ndarray) -> np.ndarray:
        time.sleep(60)
        return y


class NotLoaded(Fake):
    name = "not_loaded"

    def load(self) -> Loaded:
        raise ImportError("it was built for another version")


class Huge(Fake):
    name = "huge"
    copies = (1e12, 1e12)


class DiesLater(Fake):
    """Passes its check and dies at its third timed call."""

    name = "dies_later"
    calls = 0

    def spoil(self, y: np.ndarray) -> np.ndarray:
        self.calls += 1
        time.sleep(0.01)
        if self.calls > 8:
            os.abort()
        return y
