"""What a contestant is: named and screened in the parent, loaded and run in a process of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib import import_module, metadata
from importlib.util import find_spec
from statistics import median
from typing import Any, NamedTuple, Protocol

from ..cases.case import Case, Feature, Mode
from ..cases.changes import Change, change
from ..cases.signals import Outputs, Signals
from ..host import clock
from ..host.memory import host_growth, reset_host_peak
from ..host.processor import last_level_cache

# a short interruption costs a block, not the sample
_BLOCKS = 15

ONE_DTYPE = "it is written for x and coefficients of one dtype; here x is half and they are float32"

Run = Callable[[], Any]
"""Does the work of a case once, and returns arrays by name; on a GPU it is done once `Contestant.wait` returns."""


class Loaded(NamedTuple):
    """What a contestant turned out to be once it was imported."""

    version: str
    device: str


class Sample(NamedTuple):
    """Seconds of a call.

    On a GPU: of the device with a cold cache, with a hot one, of the host, and of a call in a row of them until the
    whole device is done.
    """

    seconds: float
    hot: float | None = None
    host: float | None = None
    wall: float | None = None


class Peak(NamedTuple):
    """Bytes above what was held before a call: of the process, and of a device's allocator."""

    process: int | None
    allocator: int | None = None


class Turn(Protocol):
    """What comes between the calls of a turn."""

    def change(self) -> None:
        """Change the inputs before a call."""

    def look(self, result: Any) -> None:
        """Look at the result of a call."""


class Still:
    """A turn that changes nothing, and does not look."""

    def change(self) -> None:
        """Change nothing."""

    def look(self, result: Any) -> None:
        """Do not look."""


class Contestant(ABC):
    """One way to compute cases. Instances are pickled to the worker, so they hold plain values only.

    Attributes
    ----------
    name, summary
        How users call it, and one line about it.
    requires, install
        Importable modules that it needs, and what ``pip install`` should be given for them.
    distribution
        The package whose version is reported.
    lacks
        Why it cannot do what some cases need.
    needs_layer
        Whether it computes a layer's case alone.
    copies
        Arrays of y's size that it holds at its peak, forward and forward+backward, y included and the
        gradient of y excluded: the estimate made before anything is allocated.
    compiles
        Whether every new shape is compiled, so that a short run has to be run twice to be timed.
    backend
        Whether it is a backend of multirec, its own or another package's.
    first
        Whether it is checked first, so that scarce time does not run out before it.
    on_demand
        Whether it takes part only where it is named.
    own_equation
        Whether its equation is another one by design; `own_reference` then says what it should give.
    """

    name: str
    summary: str
    requires: tuple[str, ...] = ()
    install: str = ""
    distribution: str = ""
    lacks: Mapping[Feature, str] = {}
    needs_layer: bool = False
    copies: tuple[float, float] = (1.0, 2.0)
    compiles: bool = False
    backend: bool = False
    first: bool = False
    on_demand: bool = False
    own_equation: bool = False

    def missing(self) -> str | None:
        """Say what is not installed, or None. Imports nothing."""
        for module in self.requires:
            if find_spec(module) is None:
                hint = f"; install it with: pip install {self.install}" if self.install else ""
                return f"module {module!r} is not installed{hint}"
        return None

    def declines(self, case: Case, mode: Mode) -> str | None:
        """Say why it does not compute `case` in `mode`, or None. Imports nothing."""
        if self.needs_layer and not case.features:
            return "it is a layer; only the case 'layer' asks for one"
        return next((self.lacks[need] for need in case.needs if need in self.lacks), None)

    def memory(self, case: Case, mode: Mode) -> int:
        """Estimate the bytes that one cell needs at its peak, the case's own arrays included."""
        inputs = case.x_bytes + case.coefficient_bytes
        if mode == "forward":
            return inputs + int(self.copies[0] * case.y_bytes)
        return 2 * inputs + int((self.copies[1] + 1) * case.y_bytes)

    def load(self) -> Loaded:
        """Import what it needs; called once, in the worker."""
        for module in self.requires:
            import_module(module)
        return Loaded(_version(self.distribution), "cpu")

    @abstractmethod
    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        """Return a function that does the work once and returns its arrays by name."""

    @abstractmethod
    def outputs(self, result: Any) -> Outputs:
        """Return what the prepared function gave as NumPy arrays, in multirec's convention."""

    def own_reference(self, case: Case, signals: Signals, mode: Mode) -> Outputs | None:
        """Return what it should give, where its equation is another one by design."""
        return None

    def compiling(self) -> float:
        """Return the seconds that compilers took since it was last asked, as far as it knows."""
        return 0.0

    def wait(self) -> None:  # noqa: B027
        """Wait for the device to be done; a CPU is when a call returns."""

    def change(self, case: Case, signals: Signals, at: Change) -> None:
        """Change the inputs in place, which are those that were prepared last; a second time restores them.

        What copies its inputs has to change the copies.
        """
        change(case, signals, at)

    def measure(self, run: Run, calls: int, turn: Turn) -> Sample:
        """Return the time of a call: of up to fifteen equal blocks of `calls`, the median.

        A call's time ends when its result has been freed; what `turn` does before that, and between calls, is not in
        it.
        """
        blocks = min(calls, _BLOCKS)
        each, times = calls // blocks, []
        for _ in range(blocks):
            taken = 0
            for _ in range(each):
                turn.change()
                start = clock.nanoseconds()
                result = run()
                taken += clock.nanoseconds() - start
                turn.look(result)
                start = clock.nanoseconds()
                del result
                taken += clock.nanoseconds() - start
            times.append(taken / each / 1e9)
        return Sample(median(times))

    def cache(self) -> int | None:
        """Return the bytes of its device's last cache, None where they are unknown."""
        return last_level_cache()

    def reset_peak(self) -> None:
        """Start to watch the peak memory."""
        reset_host_peak()

    def growth(self) -> Peak:
        """Return the peak above what was held when `reset_peak` was called."""
        return Peak(host_growth())


def _version(distribution: str) -> str:
    if not distribution:
        return ""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"
