"""What is compared: every registered backend, and the peers. A new peer is one class and one line here.

Imports `host` and `cases`. A peer's library is imported in its own process, when it is loaded.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from multirec._registry.choice import explain_problem
from multirec._registry.registry import registry

from ..cases.case import Case, Mode
from ..cases.signals import Outputs, Signals
from .audio_peers import Fluxion, Torchfx
from .backends import Reusing, TorchBackend, from_info, problem_of
from .base import Contestant, Loaded, Peak, Run, Sample, Still, Turn
from .float64 import Float64
from .jax_scans import JaxAssociativeScan, JaxScan
from .memcpy import GpuMemcpy, Memcpy, copied_bytes
from .njit_loops import LOOPS
from .python_loops import LoopCloned, LoopInPlace, LoopPerFilter
from .scan_peers import AcceleratedScan, FlaHgrn, TorchAssociativeScan, TorchScan
from .scipy_loops import CupyxLoop, ScipyLoop, ScipySections
from .torch_layers import LAYERS
from .torch_peers import Philtorch, Torchaudio, Torchlpc

__all__ = [
    "Contestant",
    "Float64",
    "GpuMemcpy",
    "Loaded",
    "Memcpy",
    "Outputs",
    "Peak",
    "Run",
    "Sample",
    "Still",
    "Turn",
    "Unavailable",
    "copied_bytes",
    "named",
    "picked",
    "ready",
    "registered",
]

PEERS: tuple[Contestant, ...] = (
    ScipyLoop(),
    ScipySections(),
    *LOOPS,
    Torchaudio(),
    Philtorch(),
    Torchlpc(),
    LoopInPlace(),
    LoopCloned(),
    JaxScan(),
    JaxAssociativeScan(),
    TorchAssociativeScan(),
    TorchScan(),
    AcceleratedScan(),
    FlaHgrn(),
    Torchfx(),
    Fluxion(),
    CupyxLoop(),
    *LAYERS,
    LoopPerFilter(),
)


class Unavailable(Contestant):
    """A backend that is registered and cannot run here; it has a row, and says why."""

    backend = True

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason

    def missing(self) -> str | None:
        return self.reason

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        raise NotImplementedError(self.reason)

    def outputs(self, result: Any) -> Outputs:
        raise NotImplementedError(self.reason)


def registered() -> dict[str, Contestant]:
    """Return every contestant by name, backends first. Imports no array library."""
    found: dict[str, Contestant] = {}
    for name, info, reason in registry.installed():
        found[name] = Unavailable(name, reason) if info is None else from_info(info)
        if info is not None and name == "numba" and isinstance(found[name], TorchBackend):
            reusing = Reusing(info)
            found[reusing.name] = reusing
    return found | {peer.name: peer for peer in PEERS if peer.name not in found}


def ready() -> tuple[list[Contestant], dict[str, str]]:
    """Return the contestants that take part here unless others are named, and why each one that cannot does not."""
    reasons = {name: contestant.missing() for name, contestant in registered().items()}
    absent = {name: reason for name, reason in reasons.items() if reason is not None}
    return [
        contestant for name, contestant in registered().items() if name not in absent and not contestant.on_demand
    ], absent


def named(names: tuple[str, ...]) -> list[Contestant]:
    """Return the contestants of these names, each once.

    Raises
    ------
    ValueError
        A name is unknown; the message suggests a close one and lists all.
    """
    found = registered()
    for name in names:
        if name not in found:
            close = get_close_matches(name, found, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"no contestant named {name!r}.{hint} Known: {', '.join(found)}.")
    return [found[name] for name in dict.fromkeys(names)]


def picked(case: Case, device: str) -> str | None:
    """Return what ``backend="auto"`` takes for a case on tensors of a device, or None if nothing computes it."""
    return explain_problem(problem_of(case, device)).chosen
