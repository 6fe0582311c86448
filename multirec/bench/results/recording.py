"""Files of what an application calls: their declaration, how the counts of processes become one, and reading them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypedDict

from multirec.errors import ArgumentError

from ..cases.case import MODES, Case
from ..cases.recorded import Recorded, TapsRow, case_of, describe
from .declared import Declared, changed, read, wrong_at
from .format import LeftOut, RecordedCalls, Recording

SCHEMA: Final = "multirec.recorded/1"
_SIZES = "batch", "channels", "length", "x_channels", "forward", "backward"


class RecordedFile(TypedDict):
    """What `multirec bench record` writes: the problems of an application, in so many processes, most calls first."""

    schema: Literal["multirec.recorded/1"]
    started: str
    versions: dict[str, str]
    processes: int
    problems: list[Recorded]


_RECORDED = Declared(
    RecordedFile, SCHEMA, "a recording of multirec", "multirec bench record -o FILE COMMAND", "Record it again."
)


class Replay(NamedTuple):
    """The cases of a recording, in the order of what they move, and what becomes of its counts."""

    cases: list[Case]
    recording: Recording


def merged(parts: Sequence[Sequence[Recorded]], started: datetime, versions: dict[str, str]) -> RecordedFile:
    """Return the file of what each of several processes counted."""
    found: dict[str, Any] = {}
    for row in (row for part in parts for row in part):
        kept = found.setdefault(_identity(row), dict(row) | {"forward": 0, "backward": 0})
        for direction in ("forward", "backward"):
            kept[direction] += row[direction]
    return {
        "schema": SCHEMA,
        "started": started.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "versions": versions,
        "processes": len(parts),
        "problems": sorted(found.values(), key=lambda row: -(row["forward"] + row["backward"])),
    }


def _identity(row: Mapping[str, Any]) -> str:
    return json.dumps({name: value for name, value in row.items() if name not in ("forward", "backward")})


def load_recorded(path: Path) -> RecordedFile:
    """Return what a file of `multirec bench record` holds.

    Raises
    ------
    ArgumentError
        The file cannot be read, is not JSON, is no recording, is of another version, or has a field that is missing, of
        the wrong kind, or that no call has. The message names the file and the line or the field.
    """
    found: RecordedFile = read(path, _RECORDED)
    wrong = next((fault for i, row in enumerate(found["problems"]) for fault in _faults(row, f"problems[{i}]")), None)
    if wrong is not None:
        raise changed(path, wrong)
    if not found["problems"]:
        raise ArgumentError(f"{path} has no problem: the application that it was recorded of called nothing.")
    return found


def _faults(row: Recorded, place: str) -> Iterator[str]:
    fields: Any = row
    for name in _SIZES:
        if fields[name] < 0:
            yield wrong_at(f"{place}.{name}", "a count", fields[name])
    if not row["forward"] + row["backward"]:
        yield wrong_at(f"{place}.forward", "at least one call, here or in backward", 0)
    if row["x_channels"] not in (1, row["channels"]):
        yield wrong_at(f"{place}.x_channels", f"1 or {row['channels']}, as many as y has", row["x_channels"])
    for name in ("feedforward", "feedback"):
        taps: TapsRow | None = fields[name]
        if taps is None:
            continue
        axes: Any = taps
        if taps["taps"] < 0:
            yield wrong_at(f"{place}.{name}.taps", "a count", taps["taps"])
        for axis, size in (("batch", "batch"), ("channels", "channels"), ("time", "length")):
            if row["kind"] == "recurrence" and axes[axis] not in (1, fields[size]):
                yield wrong_at(f"{place}.{name}.{axis}", f"1 or {fields[size]}, the {size}", axes[axis])


def replay(found: RecordedFile, name: str) -> Replay:
    """Return the cases that time what was recorded, and the counts of each; what no case is just, with its reason."""
    counts: dict[Case, dict[str, int]] = {}
    traced: set[Case] = set()
    left_out: list[LeftOut] = []
    for row in found["problems"]:
        case, calls = case_of(row), _calls(row)
        if isinstance(case, str):
            left_out.append({"text": describe(row), "reason": case, "calls": sum(calls.values())})
            continue
        kept = counts.setdefault(case, dict.fromkeys(MODES, 0))
        for mode in MODES:
            kept[mode] += calls[mode]
        if row["counted"] == "traces":
            traced.add(case)
    cases = sorted(counts, key=lambda case: -sum(case.traffic(mode) * counts[case][mode] for mode in MODES))
    calls_of: list[RecordedCalls] = [
        {"case": place, "mode": mode, "calls": counts[case][mode], "traced": case in traced}
        for place, case in enumerate(cases)
        for mode in MODES
        if counts[case][mode]
    ]
    named = [replace(case, name=f"recorded {place}") for place, case in enumerate(cases, 1)]
    return Replay(named, {"name": name, "calls": calls_of, "left_out": left_out})


def _calls(row: Recorded) -> dict[str, int]:
    """Return how often a problem was computed alone, and how often with its gradient."""
    return {"forward": max(row["forward"] - row["backward"], 0), "forward+backward": row["backward"]}
