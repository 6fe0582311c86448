"""The benchmark of `make gpu`: every workload is checked, then timed, and set against the bandwidth of the same run."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from ..items import Items
from ..results import PEER, Row
from . import timing
from .host import calls, streaming
from .layers import LAYERS
from .peers import OWN, PEERS
from .peers import rows as peer
from .scans import SCANS
from .scans import rows as scan
from .specs import SWEEP, WORKLOADS, Spec
from .units import UNITS, Traffic, Unit, UnitWorkload
from .workloads import Workload

_LONG, _SHORT = 0.8, 0.25
"""Seconds for each of the three modes: of the workloads, and of what is varied in them."""


def measured(what: Spec | Unit, seconds: float) -> Iterator[Row]:
    """Check a workload, then time forward without gradients, backward, and both."""
    rates = timing.bandwidths()
    yield {f"{name} bytes/s": rate for name, rate in rates.items()}
    workload = UnitWorkload(what) if isinstance(what, Unit) else Workload(what)
    spec: Spec | Traffic = workload.spec
    check = workload.check()
    yield check
    if check["status"] != "ok":
        return
    bound = "write" if spec.shared else "copy"
    floors = {"forward": 1e6 * spec.forward_bytes / rates[bound], "backward": 1e6 * spec.backward_bytes / rates["copy"]}
    floors["forward+backward"] = sum(floors.values())

    def row(mode: str, times: timing.Times) -> Row:
        floor, fault = floors[mode], timing.fault_of(times, spec.least_bytes[mode], rates)
        fractions = {
            "fraction": floor / times.cold,
            "fraction_hot": floor / times.hot,
            "over_floor": times.cold / floor,
        }
        return {"mode": mode, **times._asdict(), "floor": floor, **fractions, **fault}

    with torch.no_grad():
        yield row("forward", timing.device_times(workload.forward, seconds))
    y = workload.forward()
    gradient = torch.randn_like(y)
    back = partial(torch.autograd.grad, y, workload.leaves, gradient, retain_graph=True)
    yield row("backward", timing.device_times(back, seconds))
    del y, back

    def both() -> None:
        for leaf in workload.leaves:
            leaf.grad = None
        torch.autograd.backward(workload.forward(), gradient)

    yield row("forward+backward", timing.device_times(both, seconds))


ITEMS: Items = {
    **{name: partial(measured, spec, _LONG) for name, spec in WORKLOADS.items()},
    "W7 streaming": streaming,
    "host time": calls,
    **{name: partial(measured, spec, _SHORT) for name, spec in SWEEP.items()},
    **{name: partial(measured, unit, _SHORT) for name, unit in UNITS.items()},
    **LAYERS,
    # the package's own backend for JAX is none of the peers that may fail
    **{name if name == OWN else PEER + name: partial(peer, name) for name in PEERS},
    **{PEER + name: partial(scan, name) for name in SCANS},
}
