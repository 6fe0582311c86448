"""Contestants that have a clock of their own, as those on a GPU do."""

from __future__ import annotations

from clocks import CLOCK
from fakes import Fake

from multirec.bench.cases.case import Case, Mode
from multirec.bench.cases.signals import Signals
from multirec.bench.contestants import Loaded, Memcpy, Run, Sample, Turn


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


class OnDevice(Fake):
    """Times itself as a GPU does: every sample is longer than the last, with a hot and a host's part."""

    name = "on_device"
    turns = 0

    def measure(self, run: Run, calls: int, turn: Turn) -> Sample:
        self.turns += 1
        return Sample(0.001 * self.turns, 0.0005 * self.turns, 0.0001 * self.turns)


class SaysCuda(OnDevice):
    """Computes on the CPU and says that it is a GPU."""

    name = "says_cuda"

    def load(self) -> Loaded:
        return super().load()._replace(device="cuda")


class Copies(Memcpy):
    """A copy that takes a millisecond."""

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        return lambda: CLOCK.passes(0.001)
