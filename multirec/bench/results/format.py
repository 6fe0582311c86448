"""The result document, version 2, as its readers see it. Times are seconds, sizes bytes, unknown is None."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

SCHEMA = "multirec.bench/2"

Status: TypeAlias = Literal["ok", "skipped", "unsupported", "failed_check", "timeout", "oom", "crash", "too_slow"]
Verdict: TypeAlias = Literal["faster", "slower", "tie", "unclear"]
Mode: TypeAlias = Literal["forward", "forward+backward"]


class Run(TypedDict):
    """What was asked for, and how it went."""

    name: str
    started: str | None
    elapsed_s: float
    budget_s: float
    compile_s: float | None
    preset: str
    seed: int
    command: str | None
    interrupted: bool


class Machine(TypedDict):
    """Where it ran."""

    id: str | None
    cpu: str
    cores: int | None
    threads: int | None
    memory_bytes: int | None
    system: str
    load_before: float | None
    load_after: float | None
    governor: str | None
    timer_resolution_s: float | None
    gpus: list[str]


class Git(TypedDict):
    """The state of the clone that multirec ran from."""

    commit: str
    dirty: bool


class Calibration(TypedDict):
    """What a copy of memory reached in the same rounds, by kind of device."""

    memcpy_bytes_per_s: dict[str, float]
    samples_s: dict[str, list[float]]


class CaseRow(TypedDict):
    """One problem; a document's cases may have further axes than these."""

    name: str
    text: str
    base: str
    batch: int
    channels: int
    length: int
    order: int
    dtype: str
    layout: str
    traffic_bytes: dict[str, int]


class Check(TypedDict):
    """How far values and gradients were off, relative (None: not finite), and what was compared."""

    errors: dict[str, float | None]
    what: str


class _Cell(TypedDict):
    """What every cell has."""

    case: int
    mode: Mode
    contestant: str
    version: str
    device: str
    status: Status
    reason: str
    check: Check | None
    first_call_s: float | None
    break_even_calls: float | None
    calls_per_sample: int
    rounds: list[int]
    positions: list[int]
    samples_s: list[float]
    median_s: float | None
    low_s: float | None
    high_s: float | None
    spread_s: float | None
    memcpy_fraction: float | None
    peak_bytes: int | None
    allocator_peak_bytes: int | None


class CellRow(_Cell, total=False):
    """One contestant on one case in one mode.

    On a GPU `samples_s` begin with a cold second-level cache; `hot_s` is the median with a hot one, and `host_s` that
    of the host's part of a call. Their samples are those of the same rounds.
    """

    hot_s: float | None
    host_s: float | None
    hot_samples_s: list[float]
    host_samples_s: list[float]


class Floor(TypedDict):
    """The reference of a case against a hidden second copy of itself: by how much ratios around 1 differ."""

    case: int
    mode: Mode
    contestant: str
    samples_s: list[float]
    rounds: list[int]
    floor: float | None


class Ratio(TypedDict):
    """How many times faster than the reference of its case a contestant is."""

    case: int
    mode: Mode
    contestant: str
    reference: str
    ratio: float
    low: float | None
    high: float | None
    rounds: int
    verdict: Verdict


class Fit(TypedDict):
    """The growth of a median along an axis: time is proportional to axis ** exponent."""

    contestant: str
    mode: Mode
    axis: str
    exponent: float
    points: int


class Regret(TypedDict):
    """What backend="auto" picks takes `regret` times what the fastest backend of multirec takes."""

    case: int
    mode: Mode
    picked: str
    fastest: str
    regret: float


class Document(TypedDict):
    """A whole run."""

    schema: str
    run: Run
    machine: Machine
    versions: dict[str, str]
    git: Git | None
    calibration: Calibration
    cases: list[CaseRow]
    cells: list[CellRow]
    floors: list[Floor]
    ratios: list[Ratio]
    fits: list[Fit]
    regret: list[Regret]
    notes: list[str]


Key: TypeAlias = tuple[int, str, str]
"""What tells cells of a document apart: the place of their case, their mode, their contestant."""


def ratios_of(document: Document) -> dict[Key, Ratio]:
    """Return the ratios by cell."""
    return {(row["case"], row["mode"], row["contestant"]): row for row in document["ratios"]}


def references_of(document: Document) -> dict[tuple[int, str], str]:
    """Return by case and mode what the ratios refer to; it has no ratio of its own."""
    found: dict[tuple[int, str], str] = {}
    for row in document["ratios"]:
        found[row["case"], row["mode"]] = row["reference"]
    for floor in document["floors"]:
        found[floor["case"], floor["mode"]] = floor["contestant"]
    return found


def floors_of(document: Document) -> dict[tuple[int, str], Floor]:
    """Return the floors by case and mode."""
    return {(row["case"], row["mode"]): row for row in document["floors"]}
