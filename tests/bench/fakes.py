"""Contestants that behave badly, each in its own way."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from multirec.bench.cases.case import Case, Mode
from multirec.bench.cases.signals import Signals
from multirec.bench.contestants import Contestant, Loaded, Memcpy, Outputs, Run, Sample, Turn


def filtered(signals: Signals) -> np.ndarray:
    """The right values, by the plainest loop."""
    x, b, a = signals.x, signals.feedforward, signals.feedback
    order, length = a.shape[1], x.shape[-1]
    y = np.zeros((x.shape[0], len(b), length + order))
    past = np.concatenate([np.zeros((*x.shape[:2], order)), x], axis=-1)
    for t in range(order, length + order):
        for j in range(order + 1):
            y[..., t] += b[:, j] * past[..., t - j]
        for k in range(1, order + 1):
            y[..., t] += a[:, k - 1] * y[..., t - k]
    return y[..., order:].astype(x.dtype)


class Fake(Contestant):
    """Right and quick, forward only."""

    name = "right"
    summary = "a fake"

    def declines(self, case: Case, mode: Mode) -> str | None:
        return "forward only" if mode != "forward" else None

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        return lambda: {"y": self.spoil(filtered(signals))}

    def spoil(self, y: np.ndarray) -> np.ndarray:
        return y

    def outputs(self, result: Any) -> Outputs:
        found: Outputs = result
        return found


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


class SlowToLoad(Fake):
    """Takes a second to import, once."""

    name = "slow_to_load"

    def load(self) -> Loaded:
        time.sleep(1.0)
        return super().load()


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
        if self.calls > 25:
            os.abort()
        return y


class Backwards(Fake):
    """Its clock goes backwards, always."""

    name = "backwards"

    def measure(self, run: Run, calls: int, turn: Turn) -> Sample:
        return Sample(-0.001)


class Stumbles(Fake):
    """Its clock goes backwards once."""

    name = "stumbles"
    turns = 0

    def measure(self, run: Run, calls: int, turn: Turn) -> Sample:
        self.turns += 1
        return Sample(-0.001) if self.turns == 2 else super().measure(run, calls, turn)


class WrongGradient(Fake):
    """Forgets a factor in one gradient."""

    name = "wrong_gradient"

    def declines(self, case: Case, mode: Mode) -> str | None:
        return None

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        from multirec.bench.cases.reference import right

        if mode == "forward":
            return super().prepare(case, signals, mode)

        def both() -> Any:
            found = right(case, signals.x, signals.feedforward, signals.feedback, None, signals.grad_y)
            found = {name: array.astype(case.dtype) for name, array in found.items()}
            return found | {"feedback": 1.1 * found["feedback"]}

        return both


class Paced(Fake):
    """Takes as long as it is told to: a busy loop, so that a slower copy of itself is slower by what is asked."""

    seconds = 0.0

    def spoil(self, y: np.ndarray) -> np.ndarray:
        until = time.perf_counter() + self.seconds
        while time.perf_counter() < until:
            pass
        return y


class Linear(Paced):
    """Takes ten microseconds a sample."""

    name = "linear"

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        self.seconds = 1e-5 * case.length
        return super().prepare(case, signals, mode)


class Quadratic(Fake):
    """Has a clock of its own: a call takes as long as the square of its length says."""

    name = "quadratic"
    length = 0

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        self.length = case.length
        return super().prepare(case, signals, mode)

    def measure(self, run: Run, calls: int, turn: Turn) -> Sample:
        return Sample(1e-6 * self.length**2)


class DiesForward(WrongGradient):
    """Dies in one mode, and is right in the other."""

    name = "dies_forward"

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        if mode == "forward":
            os.abort()
        run = super().prepare(case, signals, mode)

        def mended() -> Any:
            found = run()
            return found | {"feedback": found["feedback"] / np.float32(1.1)}

        return mended


class Compiles(Fake):
    """Takes long at its first call, and puts a file into the cache of kernels."""

    name = "compiles"
    calls = 0

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self) -> Loaded:
        # workers have the environment of the process that forks them
        os.environ["XDG_CACHE_HOME"], os.environ["CUPY_CACHE_DIR"] = str(self.folder), str(self.folder / "cupy")
        os.environ.pop("NUMBA_CACHE_DIR", None)
        return super().load()

    def spoil(self, y: np.ndarray) -> np.ndarray:
        self.calls += 1
        if self.calls == 1:
            time.sleep(1.5)
            (self.folder / "multirec").mkdir(parents=True, exist_ok=True)
            (self.folder / "multirec" / "kernel.o").write_bytes(b"code")
        return y


class OnDevice(Fake):
    """Times itself as a GPU does: every sample is longer than the last, with a hot and a host's part."""

    name = "on_device"
    turns = 0

    def measure(self, run: Run, calls: int, turn: Turn) -> Sample:
        self.turns += 1
        return Sample(0.001 * self.turns, 0.0005 * self.turns, 0.0001 * self.turns)


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


class NoCache(Memcpy):
    """A copy on a device that has no cache."""

    def cache(self) -> int | None:
        return 0


class SaysCuda(OnDevice):
    """Computes on the CPU and says that it is a GPU."""

    name = "says_cuda"

    def load(self) -> Loaded:
        return super().load()._replace(device="cuda")


class Cached(Fake):
    """Computes once, and returns that."""

    name = "cached"
    kept: Any = None

    def spoil(self, y: np.ndarray) -> np.ndarray:
        self.kept = y if self.kept is None else self.kept
        return self.kept


class Stale(Fake):
    """Computes nothing after three calls, and returns the memory that an earlier result was in."""

    name = "stale"
    calls = 0

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        memory = np.empty(case.y_shape, case.dtype)

        def run() -> Any:
            self.calls += 1
            if self.calls <= 3:
                memory[...] = filtered(signals)
            return {"y": memory}

        return run


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

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        def run() -> Any:
            y = filtered(signals)
            signals.x[...] = y[:, :1]
            return {"y": y}

        return run


class MutatesLater(Fake):
    """Leaves a trace in its input, after many calls, that its results do not show."""

    name = "mutates_later"
    calls = 0

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        def run() -> Any:
            self.calls += 1
            y = filtered(signals)
            if self.calls == 30:
                signals.feedforward[3, 1] = 1e-30
            return {"y": y}

        return run


class OnThread(Fake):
    """Returns at once what another thread has yet to write, once it has been checked."""

    name = "on_thread"
    calls = 0

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        def run() -> Any:
            self.calls += 1
            if self.calls == 1:
                return {"y": filtered(signals)}
            right, y = filtered(signals), np.zeros(case.y_shape, case.dtype)

            def work() -> None:
                time.sleep(0.002)
                y[...] = right

            threading.Thread(target=work).start()
            return {"y": y}

        return run


class ZeroesOne(Fake):
    """Is right in all channels but one, of all examples but one."""

    name = "zeroes_one"

    def spoil(self, y: np.ndarray) -> np.ndarray:
        y[1, 11] = 0
        return y


class SeesTheWindow(WrongGradient):
    """Computes the channels alone in which the gradient of y is not zero, and the first and last of the bank."""

    name = "sees_the_window"

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        from multirec.bench.cases.reference import right

        old = np.linspace(0, case.channels - 1, 8).round().astype(int)

        def run() -> Any:
            found = right(case, signals.x, signals.feedforward, signals.feedback, None, signals.grad_y)
            spared = np.zeros(case.channels, bool)
            spared[old] = True
            if signals.grad_y is not None:
                spared |= (signals.grad_y == 0).all((0, 2)).all() & signals.grad_y.any((0, 2))
            found["y"][:, ~spared] = 0
            return {name: array.astype(case.dtype) for name, array in found.items()}

        return run


class CachedGradient(WrongGradient):
    """Computes the values anew, and the gradients once."""

    name = "cached_gradient"
    kept: Any = None

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        from multirec.bench.cases.reference import right

        def run() -> Any:
            found = right(case, signals.x, signals.feedforward, signals.feedback, None, signals.grad_y)
            self.kept = found if self.kept is None else self.kept
            return {name: array.astype(case.dtype) for name, array in (self.kept | {"y": found["y"]}).items()}

        return run


class Fine(DiesForward):
    """Right, with gradients."""

    name = "fine"
