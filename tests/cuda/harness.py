"""`multirec bench` on the stand-in, all contestants in one process, two of which cheat."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from streams import Device
from virtual import InProcess

from multirec.bench.cases.case import Case, Mode
from multirec.bench.cases.signals import Signals
from multirec.bench.contestants import Run, named
from multirec.bench.contestants.torch_based import Function, TorchContestant
from multirec.bench.host.gpu_clocks import Gpu, State, Watch
from multirec.bench.measure import context, limits, rounds
from multirec.bench.measure.request import Request
from multirec.bench.measure.run import Run as Whole
from multirec.bench.results.write import document
from multirec.bench.show.report import report

CASE = Case(batch=2, channels=8, length=8000)
_HIDDEN, _SHOWN = 0.06, 0.001


class Stale(TorchContestant):
    """Right once, and then what it found before."""

    name = "stale"
    summary = "a cheat"

    def __init__(self, device: Device) -> None:
        self.card = device

    def function(self, case: Case, state: Any) -> Function:
        raise NotImplementedError

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        from multirec import recurrence

        x, b, a = (self.tensor(part) for part in (signals.x, signals.feedforward, signals.feedback))
        y, _ = recurrence(x, feedforward=b, feedback=a, backend="unfold_scan")
        return lambda: self.given(y)

    def given(self, y: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"y": y}


class OnOtherStream(Stale):
    """Takes long enough for its data, and longer on a stream that nobody waits for."""

    name = "on_other_stream"

    def given(self, y: torch.Tensor) -> dict[str, torch.Tensor]:
        with self.card.stream():
            self.card.queue(_HIDDEN)
        self.card.queue(_SHOWN)
        return {"y": y}


class Silent:
    """Tells nobody anything."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def bench(folder: Path, device: Device) -> None:
    """Run it; the document and the report lie in the folder."""
    context.Worker, context.share_imports = partial(InProcess, now=monotonic), lambda *_: frozenset()
    torch.cuda.is_available = lambda: True
    # another program may have the processor for so long that a call in a row seems to have waited
    limits._ENDING = _HIDDEN / 3
    hot = State(1755, 2619, 61, 690.0, ["its power limit"])
    rounds.Watch = lambda: Watch(Gpu("NVML", lambda: hot, cheap=True))
    cheats = OnOtherStream(device), Stale(device)
    contestants = [*named(("numba", "reference", "cupy", "unfold_scan")), *cheats]
    found = document(Whole(Request(contestants, [CASE], ["forward"], seconds=25.0), Silent()).go())
    (folder / "bench.json").write_text(json.dumps(found, allow_nan=False))
    (folder / "bench.txt").write_text("\n".join(line.text for line in report(found)))
