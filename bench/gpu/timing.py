"""Times on the device: CUDA events, with the second-level cache cold and hot, and bandwidths of the same run."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median, quantiles
from time import perf_counter
from typing import Any, NamedTuple

import torch


class Times(NamedTuple):
    """Microseconds: medians with a cold and a hot cache, and the quartiles of the cold ones."""

    cold: float
    hot: float
    low: float
    high: float


def device_times(work: Callable[[], Any], seconds: float = 2.0, most: int = 100) -> Times:
    """Time `work` on the current stream, in rounds of one cold and one hot call."""
    work()
    torch.cuda.synchronize()
    start = perf_counter()
    work()
    torch.cuda.synchronize()
    count = int(max(3, min(most, seconds / (2 * (perf_counter() - start) + 3e-4))))
    flush = torch.empty(4 * l2_bytes(), dtype=torch.uint8, device="cuda")
    times: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(count):
        for cold in (True, False):
            if cold:
                flush.zero_()
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            work()
            end.record()
            torch.cuda.synchronize()
            times[cold].append(1e3 * begin.elapsed_time(end))
    low, _, high = quantiles(times[True], n=4, method="inclusive")
    return Times(median(times[True]), median(times[False]), low, high)


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
    fill = device_times(lambda: target.zero_(), 1.0).cold
    copy = device_times(lambda: target.copy_(source), 1.0).cold
    return {"write": count / fill * 1e6, "copy": 2 * count / copy * 1e6}
