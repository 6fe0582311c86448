"""Times on the device: CUDA events, with the second-level cache cold and hot, and bandwidths of the same run."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from statistics import median, quantiles
from time import perf_counter
from typing import Any, NamedTuple

import torch

_MOST_FILLS = 64


class Times(NamedTuple):
    """Microseconds: medians with a cold and a hot cache, quartiles of the cold ones, and the host's time for a call."""

    cold: float
    hot: float
    low: float
    high: float
    host: float


def device_times(work: Callable[[], Any], seconds: float = 1.0, most: int = 60) -> Times:
    """Time `work` on the current stream, in rounds of one cold and one hot call.

    The device is kept busy with fills while the host queues the call, so that a call's time is the device's alone;
    they also empty the cache. The hot call comes right after another one.
    """
    work()
    torch.cuda.synchronize()
    start = perf_counter()
    work()
    host = perf_counter() - start
    torch.cuda.synchronize()
    whole = perf_counter() - start
    flush = torch.empty(4 * l2_bytes(), dtype=torch.uint8, device="cuda")
    fills = min(1 + ceil(3 * host / _fill_seconds(flush)), _MOST_FILLS)
    count = int(max(2, min(most, seconds / (3 * whole + 1e-3))))
    times: dict[bool, list[float]] = {True: [], False: []}
    # torch has no types for it
    event: Any = torch.cuda.Event
    for _ in range(count):
        for cold in (True, False):
            begin, end = (event(enable_timing=True) for _ in range(2))
            for _ in range(fills):
                flush.zero_()
            if not cold:
                work()
            begin.record()
            work()
            end.record()
            torch.cuda.synchronize()
            times[cold].append(1e3 * begin.elapsed_time(end))
    low, _, high = quantiles(times[True], n=4, method="inclusive")
    return Times(median(times[True]), median(times[False]), low, high, 1e6 * host)


def _fill_seconds(flush: torch.Tensor) -> float:
    flush.zero_()
    torch.cuda.synchronize()
    start = perf_counter()
    for _ in range(8):
        flush.zero_()
    torch.cuda.synchronize()
    return (perf_counter() - start) / 8


def host_times(work: Callable[[], Any], count: int = 2000) -> float:
    """Return microseconds of host time a call, with the device kept from falling behind."""
    for _ in range(20):
        work()
    samples = []
    for _ in range(count // 20):
        torch.cuda.synchronize()
        start = perf_counter()
        for _ in range(20):
            work()
        samples.append((perf_counter() - start) / 20)
    return 1e6 * median(samples)


def l2_bytes() -> int:
    """Return the size of the second-level cache."""
    return int(getattr(torch.cuda.get_device_properties(0), "L2_cache_size", 64 << 20))


def bandwidths(count: int = 1 << 28) -> dict[str, float]:
    """Return bytes a second of a fill and of a copy (read and write) of `count` bytes."""
    source, target = (torch.empty(count, dtype=torch.uint8, device="cuda") for _ in range(2))
    source.random_()
    fill = device_times(lambda: target.zero_(), 0.2).cold
    copy = device_times(lambda: target.copy_(source), 0.2).cold
    return {"write": count / fill * 1e6, "copy": 2 * count / copy * 1e6}
