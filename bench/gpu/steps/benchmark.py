"""The benchmark of `make gpu`: every workload is checked, then timed, and set against the bandwidth of the same run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

import multirec as mr

from ..items import Items
from ..results import PEER, Row
from .peers import OWN, PEERS
from .timing import bandwidths, device_times, host_times
from .workloads import SWEEP, TOLERANCES, WORKLOADS, Spec, Workload

SHAPE = (1, 128, 256)
"""Of a chunk in streaming."""


def measured(spec: Spec) -> Iterator[Row]:
    """Check a workload, then time forward without gradients, backward, and both."""
    rates = bandwidths()
    yield {f"{name} bytes/s": rate for name, rate in rates.items()}
    workload = Workload(spec)
    errors = workload.errors()
    fine = all(error <= TOLERANCES[name.partition(" ")[0]] for name, error in errors.items())
    yield {"mode": "check", "status": "ok" if fine else "wrong", **errors}
    if not fine:
        return
    bound = "write" if spec.shared else "copy"
    floor = 1e6 * spec.forward_bytes / rates[bound]
    with torch.no_grad():
        times = device_times(workload.forward)
    fractions = {"floor": floor, "fraction": floor / times.cold, "fraction_hot": floor / times.hot}
    yield {"mode": "forward", "bound": bound, **times._asdict(), **fractions}
    y = workload.forward()
    gradient = torch.randn_like(y)
    times = device_times(partial(torch.autograd.grad, y, workload.leaves, gradient, retain_graph=True))
    floor_back = 1e6 * spec.backward_bytes / rates["copy"]
    fractions = {"floor": floor_back, "fraction": floor_back / times.cold, "fraction_hot": floor_back / times.hot}
    yield {"mode": "backward", "bound": "copy", **times._asdict(), **fractions}
    del y

    def both() -> None:
        for leaf in workload.leaves:
            leaf.grad = None
        torch.autograd.backward(workload.forward(), gradient)

    times = device_times(both)
    floor += floor_back
    yield {"mode": "forward+backward", **times._asdict(), "floor": floor, "over_floor": times.cold / floor}


def streaming() -> Iterator[Row]:
    """W7: the host's time for one call on a short chunk with state."""
    channels = SHAPE[1]
    x = torch.randn(SHAPE, device="cuda")
    b, a = torch.randn(channels, 3, device="cuda"), 0.4 * torch.rand(channels, 2, device="cuda")
    past = torch.zeros(1, channels, 2, device="cuda")
    bank = mr.RecurrenceBank(feedforward=b, feedback=a, backend="cupy")
    with torch.no_grad():
        yield {"mode": "host time of a call", "host": host_times(lambda: bank(x, mr.State(past, past)))}
        add = host_times(lambda: torch.add(x, x))
    yield {"mode": "host time of torch.add, to compare", "host": add}


def peer(name: str) -> Iterator[Row]:
    """Check and time a peer on W1, next to our own call; with its gradient where it has one."""
    workload = Workload(WORKLOADS["W1 biquads"])
    prepare = PEERS[name]
    with torch.no_grad():
        work = prepare(*(leaf.detach() for leaf in workload.leaves))
        found = torch.utils.dlpack.from_dlpack(work())
        want = workload.forward()
        off = float((found - want).abs().max() / want.abs().max())
        del found, want
        yield {"mode": "forward", "status": "ok" if off < 1e-3 else "differs", "error": off} | _compared(
            work, workload.forward
        )
    if prepare.has_gradient:
        gradient = torch.randn_like(workload.forward())
        work = prepare(*workload.leaves)
        yield {"mode": "forward+backward"} | _compared(
            lambda: torch.autograd.grad(work(), workload.leaves, gradient),
            lambda: torch.autograd.grad(workload.forward(), workload.leaves, gradient),
        )


def _compared(theirs: Callable[[], Any], ours: Callable[[], Any]) -> Row:
    first, times, last = device_times(ours, 0.3), device_times(theirs, most=5), device_times(ours, 0.3)
    own = (first.cold + last.cold) / 2
    return {**times._asdict(), "own": own, "ratio": times.cold / own}


def varied(spec: Spec) -> Iterator[Row]:
    """Time a variant of W1."""
    rates, workload = bandwidths(), Workload(spec)
    floor = 1e6 * spec.forward_bytes / rates["write"]
    with torch.no_grad():
        forward = device_times(workload.forward, 0.2)
    yield {"mode": "forward", **forward._asdict(), "fraction": floor / forward.cold}
    y = workload.forward()
    back = device_times(partial(torch.autograd.grad, y, workload.leaves, torch.randn_like(y), retain_graph=True), 0.2)
    floor = 1e6 * spec.backward_bytes / rates["copy"]
    yield {"mode": "backward", **back._asdict(), "fraction": floor / back.cold}


ITEMS: Items = {
    **{name: partial(measured, spec) for name, spec in WORKLOADS.items()},
    "W7 streaming": streaming,
    # the package's own backend for JAX is none of the peers that may fail
    **{name if name == OWN else PEER + name: partial(peer, name) for name in PEERS},
    **{f"W1, {name}": partial(varied, spec) for name, spec in SWEEP.items()},
}
