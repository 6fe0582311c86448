"""Times on the device: CUDA events, with the second-level cache cold and hot, and bandwidths of the same run."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median, quantiles
from time import perf_counter
from typing import Any, NamedTuple

import torch

from multirec.bench.contestants.gpu import measure


class Times(NamedTuple):
    """Microseconds: medians with a cold and a hot cache, quartiles of the cold ones, and the host's time for a call."""

    cold: float
    hot: float
    low: float
    high: float
    host: float


def device_times(work: Callable[[], Any], seconds: float = 1.0, most: int = 60) -> Times:
    """Time `work` on the current stream as `multirec bench` does, in rounds of one cold and one hot call."""
    work()
    torch.cuda.synchronize()
    start = perf_counter()
    work()
    torch.cuda.synchronize()
    whole = perf_counter() - start
    samples = [measure(work) for _ in range(int(max(2, min(most, seconds / (4 * whole + 1e-3)))))]
    colds, hots, hosts = ([1e6 * time for time in times] for times in zip(*samples, strict=True))
    low, _, high = quantiles(colds, n=4, method="inclusive")
    return Times(median(colds), median(hots), low, high, median(hosts))


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


def bandwidths(count: int = 1 << 28) -> dict[str, float]:
    """Return bytes a second of a fill and of a copy (read and write) of `count` bytes."""
    source, target = (torch.empty(count, dtype=torch.uint8, device="cuda") for _ in range(2))
    source.random_()
    fill = device_times(lambda: target.zero_(), 0.2).cold
    copy = device_times(lambda: target.copy_(source), 0.2).cold
    return {"write": count / fill * 1e6, "copy": 2 * count / copy * 1e6}
