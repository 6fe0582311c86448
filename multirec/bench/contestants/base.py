"""What a contestant is: named and screened in the parent, loaded and run in a process of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any, NamedTuple

from multirec.bench._case import Case, FloatArray, Mode, Signals
from multirec.bench._memory import host_growth, reset_host_peak

Outputs = dict[str, FloatArray]
"""Arrays by name: y, and with backward x, feedforward and feedback for their gradients."""


class Loaded(NamedTuple):
    """What a contestant turned out to be once it was imported."""

    version: str
    device: str


class Contestant(ABC):
    """One way to compute the case. Instances are pickled to the worker, so they hold plain values only.

    Attributes
    ----------
    name, summary
        How users call it, and one line about it.
    requires, install
        Importable modules that it needs, and what ``pip install`` should be given for them.
    distribution
        Whose version is reported.
    copies
        Arrays of y's size that it holds at its peak, forward and forward+backward, y included and the
        gradient of y excluded: the estimate made before anything is allocated.
    compiles
        Whether every new shape is compiled, so that a short run has to be run twice to be timed.
    backend
        Whether it is a backend of multirec, its own or another package's.
    """

    name: str
    summary: str
    requires: tuple[str, ...] = ()
    install: str = ""
    distribution: str = ""
    copies: tuple[float, float] = (1.0, 2.0)
    compiles: bool = False
    backend: bool = False

    def missing(self) -> str | None:
        """Say what is not installed, or None. Imports nothing."""
        for module in self.requires:
            if find_spec(module) is None:
                hint = f"; install it with: pip install {self.install}" if self.install else ""
                return f"module {module!r} is not installed{hint}"
        return None

    def declines(self, case: Case, mode: Mode) -> str | None:
        """Say why it does not compute `case` in `mode`, or None. Imports nothing."""
        return None

    def memory(self, case: Case, mode: Mode) -> int:
        """Estimate the bytes that one cell needs at its peak."""
        if mode == "forward":
            return case.x_bytes + int(self.copies[0] * case.y_bytes)
        return 2 * case.x_bytes + int((self.copies[1] + 1) * case.y_bytes)

    def load(self) -> Loaded:
        """Import what it needs; called once, in the worker."""
        for module in self.requires:
            import_module(module)
        return Loaded(_version(self.distribution), "cpu")

    @abstractmethod
    def prepare(self, signals: Signals, mode: Mode) -> Callable[[], Any]:
        """Return a function that does the work once and returns when it is done."""

    @abstractmethod
    def outputs(self, result: Any) -> Outputs:
        """Return what the prepared function gave as NumPy arrays."""

    def reset_peak(self) -> None:
        """Start to watch the peak memory."""
        reset_host_peak()

    def growth(self) -> int | None:
        """Return the peak above what was held when `reset_peak` was called, in bytes."""
        return host_growth()


def _version(distribution: str) -> str:
    if not distribution:
        return ""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"
