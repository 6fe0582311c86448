"""How well a machine is suited to measuring: memory bandwidth, how much two equal things differ, and advice."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter
from typing import NamedTuple

from ..cases.case import Case
from ..cases.signals import signals
from ..contestants import Memcpy, copied_bytes
from ..results import statistics
from ..results.format import Machine

# 64 MiB, more than caches hold
_CASE = Case(batch=4, channels=64, length=1 << 16)
_SYSTEM = Path("/sys")
_BUSY, _NOISY, _STOLEN, _COARSE = 0.5, 0.05, 0.01, 1e-6


class Environment(NamedTuple):
    """What was measured: bytes moved a second, the A/A floor and over how many rounds, and time taken by others.

    `stolen` is the part of the processor's time that a hypervisor gave to others, None where it is unknown.
    """

    memcpy: float
    floor: float
    rounds: int
    stolen: float | None


def measure(seconds: float = 1.5) -> Environment:
    """Time two equal copies of memory against each other, in rounds of random order, for `seconds`."""
    unused = signals(_CASE.shorter(1), "forward")
    same = [Memcpy().prepare(_CASE, unused, "forward") for _ in range(2)]
    for run in same:
        run()
    samples: list[list[float]] = [[], []]
    rng, ends, before = random.Random(0), monotonic() + seconds, _stolen()
    while monotonic() < ends or len(samples[0]) < statistics.ENOUGH:
        for which in rng.sample((0, 1), 2):
            start = perf_counter()
            same[which]()
            samples[which].append(perf_counter() - start)
    after = _stolen()
    floor = statistics.floor([first / second for first, second in zip(*samples, strict=True)])
    assert floor is not None
    stolen = None if before is None or after is None else (after[0] - before[0]) / max(after[1] - before[1], 1)
    moved = 2 * copied_bytes(_CASE)
    return Environment(moved / median(samples[0] + samples[1]), floor, len(samples[0]), stolen)


def advice(machine: Machine, found: Environment) -> Iterator[str]:
    """Yield what makes measurements on this machine worse, and what to do about it; one sentence where nothing does."""
    found_advice = [*of_machine(machine), *_of_measurement(machine, found)]
    yield from found_advice or ["Nothing was found that would make measurements worse."]


def of_machine(machine: Machine) -> Iterator[str]:
    """Yield what of load, threads and power makes measurements worse, and what to do about it."""
    cores, threads, load = machine["cores"] or 1, machine["threads"], machine["load_before"]
    if load is not None and load > _BUSY * cores:
        yield (
            f"The load before was {load:.1f} on {cores} cores: other programs take time from what is measured, most of "
            "all from what uses all cores. Close them, or wait until they are done."
        )
    if threads < cores:
        cause = "OMP_NUM_THREADS" if os.environ.get("OMP_NUM_THREADS") else "the affinity mask of this process"
        yield f"Kernels use {threads} of {cores} cores, because of {cause}. Lift it if all of them should work."
    quota = _quota()
    if quota is not None and quota < threads:
        yield (
            f"This container may use {quota:g} cores at a time, less than the {threads} threads of kernels: they are "
            f"halted again and again. Raise the quota, or set OMP_NUM_THREADS={max(1, int(quota))}."
        )

    if machine["governor"] not in (None, "performance"):
        yield (
            f"The clock follows the governor {machine['governor']!r}, so it changes while something is measured. "
            "Set another: sudo cpupower frequency-set -g performance"
        )
    if any(_read(path) == "Discharging" for path in (_SYSTEM / "class/power_supply").glob("*/status")):
        yield "The machine runs on its battery, which slows it down. Connect it to power."


def _of_measurement(machine: Machine, found: Environment) -> Iterator[str]:
    if found.stolen is not None and found.stolen > _STOLEN:
        yield (
            f"Other guests of this host took {100 * found.stolen:.0f} % of the processor's time. Believe ratios within "
            "a run alone, or measure on a machine of your own."
        )
    if found.floor > _NOISY:
        yield (
            f"Two equal things differ by up to {100 * found.floor:.0f} % in a round here. Intervals will be wide: give "
            "--rigorous or more --time, and close what else runs."
        )
    resolution = machine["timer_resolution_s"]
    if resolution > _COARSE:
        yield f"The timer's step is {1e6 * resolution:.1f} µs, so calls of microseconds are timed in batches."


def _quota() -> float | None:
    """Return how many cores a control group allows, None where there is no limit or it is unknown."""
    limit, _, period = (_read(_SYSTEM / "fs/cgroup/cpu.max") or "max").partition(" ")
    return None if limit == "max" else int(limit) / int(period)


def _stolen() -> tuple[int, int] | None:
    """Return the processor's stolen and whole time so far, in ticks."""
    words = (_read(Path("/proc/stat")) or "").partition("\n")[0].split()
    if len(words) < 9 or words[0] != "cpu":
        return None
    ticks = [int(word) for word in words[1:9]]
    return ticks[7], sum(ticks)


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
