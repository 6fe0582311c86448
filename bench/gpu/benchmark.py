"""The benchmark of `make gpu`: every workload is checked, then timed, and set against the bandwidth of the same run."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from here import use_checkout
from results import Results

use_checkout()

from peers import PEERS, Signals  # noqa: E402
from timing import bandwidths, device_times, host_times  # noqa: E402
from workloads import Workload, mismatch, workloads  # noqa: E402

import multirec as mr  # noqa: E402


def run(folder: Path, card: str) -> None:
    """Write one row a workload and mode, then the peers, then the host time of a streaming call."""
    results = Results(folder, card, "benchmark")
    measured = bandwidths()
    results.note(**{f"{name} bytes/s": value for name, value in measured.items()}, torch=torch.__version__)
    own = 0.0
    signals: Signals | None = None
    for workload in workloads():
        if signals is None:
            x, b, a = (leaf.detach() for leaf in workload.leaves)
            signals = x, b, a
        try:
            fault = mismatch(workload)
            if fault:
                results.add(workload=workload.name, status="wrong", reason=fault)
                continue
            cold = time_workload(workload, results, measured[workload.bandwidth])
            own = own or cold
        except torch.OutOfMemoryError as error:
            results.add(workload=workload.name, status="out of memory", reason=str(error).splitlines()[0])
        torch.cuda.empty_cache()
    streaming(results)
    if signals is not None and own:
        for name in PEERS:
            peer(name, signals, own, results)


def time_workload(workload: Workload, results: Results, bandwidth: float) -> float:
    """Time forward without gradients, backward, and both; return the first one's microseconds."""
    with torch.no_grad():
        forward = device_times(workload.forward)
    floor = workload.forward_bytes / bandwidth * 1e6
    row = {"workload": workload.name, "mode": "forward", "status": "ok", "bound": workload.bandwidth}
    results.add(
        **row, **forward._asdict(), floor=floor, fraction=floor / forward.cold, fraction_hot=floor / forward.hot
    )
    y = workload.forward()
    gradient = torch.randn_like(y)
    back = device_times(partial(torch.autograd.grad, y, workload.leaves, gradient, retain_graph=True))
    floor_back = workload.backward_bytes / bandwidth * 1e6
    row["mode"] = "backward"
    results.add(**row, **back._asdict(), floor=floor_back, fraction=floor_back / back.cold)
    del y

    def both() -> None:
        for leaf in workload.leaves:
            leaf.grad = None
        workload.forward().backward(gradient)

    times = device_times(both)
    floor += floor_back
    row["mode"] = "forward+backward"
    results.add(**row, **times._asdict(), floor=floor, over_floor=times.cold / floor)
    return forward.cold


def streaming(results: Results) -> None:
    """W7: the host time of one call on a short chunk with state."""
    x = torch.randn(1, 128, 256, device="cuda")
    b, a = torch.randn(128, 3, device="cuda"), 0.4 * torch.rand(128, 2, device="cuda")
    state = mr.State(torch.zeros(1, 128, 2, device="cuda"), torch.zeros(1, 128, 2, device="cuda"))
    bank = mr.RecurrenceBank(feedforward=b, feedback=a, backend="cupy")
    with torch.no_grad():
        microseconds = host_times(lambda: bank(x, state))
    results.add(workload="W7 streaming", mode="host time of a call", status="ok", host=microseconds)


def peer(name: str, signals: Signals, own: float, results: Results) -> None:
    """Check and time a peer on W1."""
    try:
        with torch.no_grad():
            work = PEERS[name](signals)
            found = torch.utils.dlpack.from_dlpack(work())
            want = mr.recurrence(signals[0], feedforward=signals[1], feedback=signals[2], backend="cupy")[0]
            off = float((found - want).abs().max() / want.abs().max())
            del found, want
            times = device_times(work, most=5)
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        results.add(peer=name, status="skipped", reason=f"{type(error).__name__}: {reason}")
        return
    status = "ok" if off < 1e-3 else "differs"
    results.add(peer=name, mode="forward", status=status, error=off, **times._asdict(), ratio=times.cold / own)
