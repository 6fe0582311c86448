"""A peer next to our own call: checked against it, and timed between two times of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..results import Row
from . import timing
from .workloads import Workload

_DIFFERS = 1e-3


def forward_row(work: Callable[[], Any], workload: Workload) -> Row:
    """Compare what a peer gives with our own y, and time both; without gradients."""
    found, want = work(), workload.forward()
    found = found if isinstance(found, torch.Tensor) else torch.utils.dlpack.from_dlpack(found)
    off = float((found - want).abs().max() / want.abs().max())
    del found, want
    status = {"mode": "forward", "status": "ok" if off < _DIFFERS else "differs", "error": off}
    return status | compared(work, workload.forward, workload.spec.least_bytes["forward"])


def compared(theirs: Callable[[], Any], ours: Callable[[], Any], moved: int) -> Row:
    """Time a peer between two times of our own; `moved` are the bytes that either has to move."""
    first, times, last = (
        timing.device_times(ours, 0.2),
        timing.device_times(theirs, most=8),
        timing.device_times(ours, 0.2),
    )
    own = (first.cold + last.cold) / 2
    return {
        **times._asdict(),
        "own": own,
        "ratio": times.cold / own,
        **timing.fault_of(times, moved, timing.bandwidths()),
    }
