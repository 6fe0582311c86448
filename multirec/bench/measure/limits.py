"""Times that cannot be: shorter than the data takes to move, or with work that the device's events did not see.

Caches of results, outputs that are never written, and work on other streams all show up here.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from ..cases.case import Case, Mode
from ..results.cells import Cell
from ..show.text import bytes_text, seconds_text

# how much faster than a copy memory may be filled or read: on a CPU, stores around the cache move a third less
_FASTER_THAN_COPY = {"cuda": 1.2, "cpu": 2.0}
# by how much more than its parts a call may take, and what ends a batch of calls, in seconds
_SLACK, _ENDING = 1.25, 5e-5


def least_bytes(case: Case, mode: Mode, cache: int) -> int:
    """Return the bytes that pass between memory and a cache of this size at least.

    Each array is read or written once: x, the coefficients and y; with backward, the gradients of all of these as well.
    What the cache holds at the end need not have been written yet.

    Example
    -------
    >>> least_bytes(Case(), "forward", 0) - Case().y_bytes == Case().x_bytes + Case().coefficient_bytes
    True
    >>> least_bytes(Case(length=10), "forward", 1 << 20)
    0
    """
    times = 1 if mode == "forward" else 2
    return max(times * case.traffic("forward") - cache, 0)


def too_fast(case: Case, cell: Cell, copies: Sequence[float], cache: int | None) -> str:
    """Say by how much a cell's median is below what its data takes to move, or nothing.

    `copies` are rates of a copy in the same rounds, in bytes a second; without one, or a known cache, nothing is said.
    """
    if not copies or cache is None or not cell.samples:
        return ""
    rate = _FASTER_THAN_COPY[cell.device.split(":")[0]] * max(copies)
    return below_floor(median(cell.samples), least_bytes(case, cell.mode, cache), rate)


def below_floor(taken: float, moved: int, rate: float) -> str:
    """Say that something took less time than bytes take to move at a rate that memory does not exceed, or nothing.

    Example
    -------
    >>> below_floor(1.0, 10, 20.0)
    ''
    """
    floor = moved / rate
    if taken >= floor:
        return ""
    return (
        f"{seconds_text(taken)} a call, but moving the {bytes_text(moved)} that pass through memory takes "
        f"{seconds_text(floor)} at the least; it did not do all of the work in that time"
    )


def unseen_work(cell: Cell) -> str:
    """Say how much longer the whole device works than a cell's samples account for, or nothing.

    In one row of calls at least; another program may have had the processor in the others.
    """
    return outside(median(cell.samples), median(cell.host), min(cell.wall)) if cell.wall else ""


def outside(seen: float, host: float, wall: float) -> str:
    """Say that the whole device works longer than the events on the current stream and the host account for.

    Calls in a row take no longer than the device's and the host's part one after the other; work on another stream does
    not count in the former. Work that is shorter than the host's part is hidden by it.

    Example
    -------
    >>> outside(1.0, 0.5, 1.1)
    ''
    """
    if wall <= _SLACK * (seen + host) + _ENDING:
        return ""
    return (
        f"work outside the timed stream: calls in a row take {seconds_text(wall)} each until the whole device is done; "
        f"events on the current stream say {seconds_text(seen)}, and the host's part is {seconds_text(host)}"
    )
