"""Times on the device: CUDA events, with the second-level cache cold and hot, and bandwidths of the same run."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median, quantiles
from time import perf_counter
from typing import Any, NamedTuple

import torch

from multirec.bench.contestants import Still
from multirec.bench.contestants.gpu import cache_bytes, measure
from multirec.bench.measure.limits import below_floor, outside

from ..results import Row

Rates = dict[str, float]
# how much faster than the fastest of them memory may be: clocks move
_FASTER = 1.05


class Times(NamedTuple):
    """Microseconds.

    Medians with a cold and a hot cache, quartiles of the cold ones, the host's time for a call, and the least time of a
    call in a row of them until the whole device is done.
    """

    cold: float
    hot: float
    low: float
    high: float
    host: float
    wall: float


def device_times(work: Callable[[], Any], seconds: float = 1.0, most: int = 60) -> Times:
    """Time `work` on the current stream as `multirec bench` does, in rounds of a cold and a hot call and a few more."""
    work()
    torch.cuda.synchronize()
    start = perf_counter()
    work()
    torch.cuda.synchronize()
    whole = perf_counter() - start
    samples = [measure(work, Still()) for _ in range(int(max(2, min(most, seconds / (6 * whole + 4e-3)))))]
    colds, hots, hosts, walls = ([1e6 * time for time in times] for times in zip(*samples, strict=True))
    low, _, high = quantiles(colds, n=4, method="inclusive")
    return Times(median(colds), median(hots), low, high, median(hosts), min(walls))


def fault_of(times: Times, moved: int, rates: Rates) -> Row:
    """Return what is wrong with times: below what bytes take to move, or with work that events do not see."""
    cold, host, wall = (1e-6 * part for part in (times.cold, times.host, times.wall))
    reason = below_floor(cold, max(moved - cache_bytes(), 0), _FASTER * max(rates.values())) or outside(
        cold, host, wall
    )
    return {"status": "wrong", "reason": reason} if reason else {}


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


def wall_times(work: Callable[[], Any], rounds: int = 15, calls: int = 10) -> float:
    """Return microseconds a call, of `calls` in a row until the whole device is done."""
    samples = []
    for _ in range(rounds):
        torch.cuda.synchronize()
        start = perf_counter()
        for _ in range(calls):
            work()
        torch.cuda.synchronize()
        samples.append((perf_counter() - start) / calls)
    return 1e6 * median(samples)


def bandwidths(count: int = 1 << 28) -> Rates:
    """Return bytes a second of a fill and of a copy (read and write) of `count` bytes."""
    source, target = (torch.empty(count, dtype=torch.uint8, device="cuda") for _ in range(2))
    source.random_()
    fill = device_times(lambda: target.zero_(), 0.2).cold
    copy = device_times(lambda: target.copy_(source), 0.2).cold
    return {"write": count / fill * 1e6, "copy": 2 * count / copy * 1e6}
