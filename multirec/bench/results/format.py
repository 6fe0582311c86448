"""The declaration of the result document. What is written, what is read and the JSON schema follow from it.

Times are seconds, sizes bytes, unknown is None. There are no NaN or infinite numbers. What an annotation adds to a type
are keywords of JSON Schema and their values, for the schema alone. Fields of a class with `total=False` are newer than
the others, and documents of earlier versions do without.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias, TypedDict

from multirec._core.problem import Layout

from ..cases.case import Mode

SCHEMA: Final = "multirec.bench/2"

Status: TypeAlias = Literal[
    "ok", "skipped", "no_time_left", "unsupported", "failed_check", "bad_time", "timeout", "oom", "crash", "too_slow"
]
Verdict: TypeAlias = Literal["faster", "slower", "tie", "unclear"]
PresetName: TypeAlias = Literal["default", "quick", "rigorous"]
Axis: TypeAlias = Literal["length", "channels", "order", "batch"]

Count: TypeAlias = Annotated[int, ("minimum", 0)]
AtLeastOne: TypeAlias = Annotated[int, ("minimum", 1)]
Positive: TypeAlias = Annotated[float, ("exclusiveMinimum", 0)]
Elapsed: TypeAlias = Annotated[float, ("minimum", 0)]
Place: TypeAlias = Annotated[int, ("minimum", 0), ("description", "index into cases")]


class Run(TypedDict):
    """What was asked for, and how it went."""

    name: str
    started: Annotated[str, ("description", "UTC, ISO 8601")]
    elapsed_s: Elapsed
    budget_s: Positive
    compile_s: Annotated[Elapsed, ("description", "first compilations into an empty cache, not in the budget")]
    preset: PresetName
    seed: int
    command: str
    interrupted: bool


class Machine(TypedDict):
    """Where it ran; nothing that names the host."""

    id: Annotated[str, ("description", "a hash of processor, cores, memory and system")]
    cpu: str
    cores: Count | None
    threads: AtLeastOne
    memory_bytes: Count | None
    system: str
    load_before: float | None
    load_after: float | None
    governor: str | None
    timer_resolution_s: Positive
    gpus: list[str]


class Git(TypedDict):
    """The state of the clone that multirec ran from."""

    commit: str
    dirty: bool


class _Calibration(TypedDict):
    memcpy_bytes_per_s: dict[str, Positive]
    samples_s: dict[str, list[Positive]]


class Calibration(_Calibration, total=False):
    """What a copy of memory reached in the same rounds, and the size of the last cache, by kind of device."""

    cache_bytes: dict[str, Count]


class Reading(TypedDict):
    """What a GPU says of itself at a moment; `slowed_by` are the causes for which its clock is lower than it could be.

    Temperature is in °C, power in W.
    """

    sm_mhz: Count | None
    memory_mhz: Count | None
    temperature: Count | None
    power: float | None
    slowed_by: list[str]


class Clocks(TypedDict):
    """The GPU's state before and after the rounds, and in between its lowest clock and what slowed it down.

    `source` is what was asked, or why nothing could be.
    """

    source: str
    before: Reading | None
    after: Reading | None
    lowest_sm_mhz: Count | None
    slowed_by: list[str]


class _CaseRow(TypedDict):
    name: str
    text: str
    base: str
    batch: Count
    channels: Count
    length: Count
    order: Count
    dtype: str
    layout: Layout
    shared: bool
    feedforward: bool
    time_varying: bool
    stateful: bool
    features: Count
    seed: int
    traffic_bytes: dict[str, Count]


class CaseRow(_CaseRow, total=False):
    """One problem; `traffic_bytes` is what any implementation must move at least, by mode.

    `input_taps` is there where the feedforward taps are not order + 1.
    """

    input_taps: AtLeastOne


class Check(TypedDict):
    """How far values and gradients were off, relative (None: not finite), and what was compared."""

    errors: dict[str, float | None]
    what: str


class _CellRow(TypedDict):
    case: Place
    mode: Mode
    contestant: str
    version: str
    device: str
    status: Status
    reason: str
    check: Check | None
    first_call_s: float | None
    break_even_calls: float | None
    calls_per_sample: AtLeastOne
    rounds: list[Count]
    positions: list[Count]
    samples_s: list[Positive]
    median_s: float | None
    low_s: float | None
    high_s: float | None
    spread_s: float | None
    memcpy_fraction: float | None
    peak_bytes: Count | None
    allocator_peak_bytes: Count | None
    hot_s: float | None
    host_s: float | None
    hot_samples_s: list[float]
    host_samples_s: list[float]


class Shorter(TypedDict):
    """What was timed of a cell that is too slow as a whole: fewer samples of the signals, by interleaved calls."""

    length: AtLeastOne
    samples_s: list[Positive]
    median_s: Positive


class CellRow(_CellRow, total=False):
    """One contestant on one case in one mode.

    On a GPU `samples_s` begin with a cold second-level cache; `hot_s` is the median with a hot one, and `host_s` that
    of the host's part of a call. Their samples are those of the same rounds, and empty on a CPU. `wall_samples_s` are
    times of a call in a row of calls, until the whole device is done. `shorter` is there where the whole was too slow:
    it has no ratio, and nothing else is derived from it.
    """

    wall_samples_s: list[float]
    shorter: Shorter | None


class Floor(TypedDict):
    """The reference of a case against a hidden second copy of itself: by how much ratios around 1 differ."""

    case: Place
    mode: Mode
    contestant: str
    samples_s: list[Positive]
    rounds: list[Count]
    floor: float | None


class Ratio(TypedDict):
    """How many times faster than the reference of its case a contestant is: reference time over contestant time."""

    case: Place
    mode: Mode
    contestant: str
    reference: str
    ratio: Positive
    low: Positive
    high: Positive
    rounds: AtLeastOne
    verdict: Verdict


class Fit(TypedDict):
    """The growth of a median along an axis: time is proportional to axis ** exponent."""

    contestant: str
    mode: Mode
    axis: Axis
    exponent: float
    points: AtLeastOne


class _Regret(TypedDict):
    case: Place
    mode: Mode
    picked: str
    fastest: str
    regret: Positive


class Regret(_Regret, total=False):
    """What backend="auto" picks for arrays on a device takes `regret` times what multirec's fastest takes on them.

    Without a device it is the CPU.
    """

    device: str


class RecordedCalls(TypedDict):
    """How often an application computed a case in a mode; `traced` where JAX's compiled programs ran some uncounted."""

    case: Place
    mode: Mode
    calls: AtLeastOne
    traced: bool


class LeftOut(TypedDict):
    """A problem that an application computed and that no case is, and why."""

    text: str
    reason: str
    calls: Count


class Recording(TypedDict):
    """The recording whose problems were timed: the counts of the cases, and what could not be timed."""

    name: str
    calls: list[RecordedCalls]
    left_out: list[LeftOut]


class _Document(TypedDict):
    schema: Literal["multirec.bench/2"]
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


class Document(_Document, total=False):
    """A run of multirec bench. Times in seconds, sizes in bytes, unknown is null.

    `clocks` are those of a GPU, and `recording` is what an application calls, of a run with --recorded.
    """

    clocks: Clocks | None
    recording: Recording | None
