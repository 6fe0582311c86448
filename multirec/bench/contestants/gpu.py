"""Times on a GPU: device events with the second-level cache cold and hot, the host's part, and what events miss."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import ceil
from time import perf_counter
from typing import Any

from .base import Sample, Turn

_MOST_FILLS = 64
# calls in a row last so many seconds, and are so many at most
_ROW_SECONDS, _MOST_IN_ROW = 2e-3, 10


def measure(run: Callable[[], Any], turn: Turn) -> Sample:
    """Time one cold and one hot call on the current stream, and a few in a row on all of them.

    Fills of other memory are queued before: they empty the cache, and they keep the device busy while the host queues
    the call, so that a call's time is the device's alone. The hot call comes right after another one. Calls in a row
    are timed by the clock until the whole device is done: work on other streams is in that time, and in no event's.
    """
    import torch

    flush, fill_seconds = _flusher()
    turn.change()
    start = perf_counter()
    run()
    host = perf_counter() - start
    fills = min(1 + ceil(3 * host / fill_seconds), _MOST_FILLS)
    # as a variable, because torch's events are untyped
    event: Callable[..., Any] = torch.cuda.Event
    begin, end = event(enable_timing=True), event(enable_timing=True)
    found = []
    for cold in (True, False):
        for _ in range(fills):
            flush.zero_()
        if not cold:
            run()
        turn.change()
        begin.record()
        result = run()
        end.record()
        turn.look(result)
        del result
        torch.cuda.synchronize()
        found.append(begin.elapsed_time(end) / 1e3)
    count = max(1, min(ceil(_ROW_SECONDS / max(*found, host)), _MOST_IN_ROW))
    start = perf_counter()
    for _ in range(count):
        run()
    torch.cuda.synchronize()
    return Sample(found[0], found[1], host, (perf_counter() - start) / count)


def cache_bytes() -> int:
    """Return the size of the second-level cache."""
    import torch

    return int(getattr(torch.cuda.get_device_properties(0), "L2_cache_size", 64 << 20))


@cache
def _flusher() -> tuple[Any, float]:
    """Return device memory of four times the second-level cache, and the seconds that writing it takes."""
    import torch

    flush = torch.empty(4 * cache_bytes(), dtype=torch.uint8, device="cuda")
    flush.zero_()
    torch.cuda.synchronize()
    start = perf_counter()
    for _ in range(8):
        flush.zero_()
    torch.cuda.synchronize()
    return flush, (perf_counter() - start) / 8
