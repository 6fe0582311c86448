"""How speed changed over runs: each machine and problem on its own, times in copies of memory, steps where they are.

Times of different days are not compared: the machine was in another state. What is compared is a time over that of a
copy of the least memory traffic, which is timed in the rounds of the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import exp, hypot, log
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from . import statistics
from .format import CellRow, Document
from .rows import floors_of

Change: TypeAlias = Literal["first", "same", "faster", "slower", "unclear", "untimed"]
_CHANGES: dict[str, Change] = {"faster": "faster", "slower": "slower", "tie": "same", "unclear": "unclear"}
_RESAMPLES = 1000


class Point(NamedTuple):
    """A contestant in a run: how many times as long as a copy it takes, with the 95 % interval, and what changed.

    `run` counts the runs of its machine. `since` is the run that it is compared with, the first after the last step,
    and `speed` how many times faster than there it is. Without a time, `reason` says why.
    """

    run: int
    change: Change
    copies: float | None = None
    low: float | None = None
    high: float | None = None
    median_s: float | None = None
    since: int | None = None
    speed: float | None = None
    speed_low: float | None = None
    speed_high: float | None = None
    reason: str = ""


class Track(NamedTuple):
    """A contestant on one problem in one mode, over the runs of a machine that it takes part in."""

    case: str
    mode: str
    contestant: str
    device: str
    points: list[Point]


class Place(NamedTuple):
    """The runs of one machine, in order, and the tracks over them."""

    machine: str
    runs: list[Document]
    tracks: list[Track]


def history(documents: Sequence[Document], order: Callable[[Document], Any], names: Sequence[str] = ()) -> list[Place]:
    """Return the history on each machine, its runs in ascending `order`; with `names`, of these contestants."""
    found: dict[tuple[object, ...], list[Document]] = {}
    for document in documents:
        found.setdefault(_machine_of(document), []).append(document)
    places = []
    for runs in found.values():
        ordered = sorted(runs, key=order)
        tracks = [track for track in _tracks(ordered) if not names or track.contestant in names]
        places.append(Place(machine_text(ordered[0]), ordered, tracks))
    texts = [place.machine for place in places]
    # two machines of one description are still two
    return [
        place._replace(machine=f"{place.machine} ({place.runs[0]['machine']['id'][:8]})")
        if texts.count(place.machine) > 1
        else place
        for place in places
    ]


def changed_versions(before: Document, after: Document) -> list[str]:
    """Return what has another version in the later run."""
    return [
        f"{name} {version} → {after['versions'][name]}"
        for name, version in before["versions"].items()
        if after["versions"].get(name, version) != version
    ]


def machine_text(document: Document) -> str:
    """Return what tells a machine from others, in words."""
    machine = document["machine"]
    parts = [machine["cpu"], *(f"{machine[part]} {part}" for part in ("cores", "threads") if machine[part])]
    return ", ".join([*parts, *machine["gpus"], machine["system"]])


def _machine_of(document: Document) -> tuple[object, ...]:
    machine = document["machine"]
    return machine["id"], machine["threads"], *machine["gpus"]


def _tracks(runs: Sequence[Document]) -> Iterator[Track]:
    cells: dict[tuple[str, str, str, str], dict[int, CellRow]] = {}
    for place, document in enumerate(runs):
        for cell in document["cells"]:
            text, mode = document["cases"][cell["case"]]["text"], cell["mode"]
            cells.setdefault((text, mode, cell["contestant"], _kind(cell)), {})[place] = cell
    for key, by_run in cells.items():
        yield Track(*key, list(_points(runs, by_run)))


def _kind(cell: CellRow) -> str:
    return cell["device"].split(":")[0]


def _points(runs: Sequence[Document], cells: dict[int, CellRow]) -> Iterator[Point]:
    base: Point | None = None
    for run, cell in cells.items():
        point = _point(runs[run], run, cell)
        if point.copies is not None and base is not None:
            point = _compared(point, base, _floor(runs, cells, (base.run, run)))
        if point.change in ("first", "faster", "slower"):
            base = point
        yield point


def _point(document: Document, run: int, cell: CellRow) -> Point:
    fraction, median = cell["memcpy_fraction"], cell["median_s"]
    if median is None:
        return Point(run, "untimed", reason=f"{cell['status']}: {cell['reason']}")
    if fraction is None:
        return Point(run, "untimed", median_s=median, reason="no copy of memory was timed beside it")
    copies = 1 / fraction
    own = _half(cell["low_s"], cell["high_s"])
    half = hypot(own, _half_of_copies(document, _kind(cell)))
    return Point(run, "first", copies, copies * exp(-half), copies * exp(half), median)


def _half(low: float | None, high: float | None) -> float:
    return log(high / low) / 2 if low and high else 0.0


def _half_of_copies(document: Document, kind: str) -> float:
    """Return how well the median copy is known; copies of several sizes are too different to say."""
    samples = document["calibration"]["samples_s"].get(kind, [])
    if len(samples) < statistics.ENOUGH or len(document["cases"]) > 1:
        return 0.0
    return _half(*statistics.bounds(statistics.resampled(samples, np.random.default_rng(0), _RESAMPLES)))


def _floor(runs: Sequence[Document], cells: dict[int, CellRow], both: tuple[int, int]) -> float | None:
    """Return the wider A/A floor of two runs."""
    rows = [floors_of(runs[run]).get((cells[run]["case"], cells[run]["mode"])) for run in both]
    return max((row["floor"] for row in rows if row is not None and row["floor"] is not None), default=None)


def _compared(point: Point, base: Point, floor: float | None) -> Point:
    middle = log((base.copies or 1.0) / (point.copies or 1.0))
    half = hypot(_half(base.low, base.high), _half(point.low, point.high))
    speed = statistics.Ratio(exp(middle), exp(middle - half), exp(middle + half), 1)
    change = _CHANGES[statistics.verdict(speed, floor)]
    reason = "" if floor is not None else "neither run has an A/A floor"
    return point._replace(
        change=change, since=base.run, speed=speed.ratio, speed_low=speed.low, speed_high=speed.high, reason=reason
    )
