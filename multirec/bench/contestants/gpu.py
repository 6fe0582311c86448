"""Times on a GPU: device events with the second-level cache cold and hot, and the host's part of a call."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from time import perf_counter_ns
from typing import Any

from .base import Sample


def measure(run: Callable[[], Any]) -> Sample:
    """Time one cold and one hot call on the current stream."""
    import torch

    # as a variable, because torch's events are untyped
    event: Callable[..., Any] = torch.cuda.Event
    begin, end = event(enable_timing=True), event(enable_timing=True)
    found = []
    for cold in (True, False):
        if cold:
            _flusher().zero_()
        torch.cuda.synchronize()
        begin.record()
        start = perf_counter_ns()
        run()
        host = (perf_counter_ns() - start) / 1e9
        end.record()
        torch.cuda.synchronize()
        found.append(begin.elapsed_time(end) / 1e3)
    return Sample(found[0], found[1], host)


@cache
def _flusher() -> Any:
    """Return device memory of four times the second-level cache: writing it leaves nothing else there."""
    import torch

    size = int(getattr(torch.cuda.get_device_properties(0), "L2_cache_size", 64 << 20))
    return torch.empty(4 * size, dtype=torch.uint8, device="cuda")
