"""What became faster or slower between two runs: raw times on one machine, ratios to a reference across machines.

Raw times of two runs are independent samples, so drift of the machine between them is part of the difference; ratios
to a reference that took part in both are free of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import exp, hypot, inf, log
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from multirec.errors import ArgumentError

from . import statistics
from .format import CellRow, Document, Ratio
from .rows import Key, floors_of, ratios_of, references_of

Outcome: TypeAlias = Literal[
    "faster", "slower", "same", "unclear", "reference", "broken", "fixed", "gone", "new", "untimed"
]
By: TypeAlias = Literal["times", "ratios"]
_OUTCOMES: dict[str, Outcome] = {"faster": "faster", "slower": "slower", "tie": "same", "unclear": "unclear"}
# what counts as a fault of a contestant that once had times
_FAULTS = {"failed_check", "bad_time", "crash", "timeout", "oom"}
_RESAMPLES = 2000
# a difference of memory bandwidth between two runs that gets a note
_DRIFT = 1.1


class Pair(NamedTuple):
    """A cell in both runs. `speed` is how many times faster the new one is, with its 95 % interval."""

    case: str
    mode: str
    contestant: str
    outcome: Outcome
    base: float | None = None
    new: float | None = None
    speed: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""

    def regressed(self, beyond: float) -> bool:
        """Whether it takes more than `beyond` (a fraction) more time for certain, or broke."""
        slower = self.outcome == "slower" and self.speed is not None and 1 / self.speed - 1 > beyond
        return slower or self.outcome == "broken"

    def doubtful(self, beyond: float) -> bool:
        """Whether a regression of more than `beyond` can be neither found nor excluded."""
        at_worst = 1 / self.low - 1 if self.low is not None else inf
        return self.outcome == "gone" or (self.outcome == "unclear" and at_worst > beyond)


class Comparison(NamedTuple):
    """All pairs; the geometric mean of their speeds with its interval; and what makes the comparison weaker."""

    by: By
    pairs: list[Pair]
    mean: tuple[float, float, float] | None
    notes: list[str]


def compare(base: Document, new: Document, ratios: bool = False) -> Comparison:
    """Compare two documents cell by cell; with `ratios`, ratios to the reference even on one machine.

    Raises
    ------
    ArgumentError
        No cell is in both.
    """
    same_machine = base["machine"]["id"] == new["machine"]["id"]
    by: By = "times" if same_machine and not ratios else "ratios"
    before, after = _cells(base), _cells(new)
    if not before.keys() & after.keys():
        raise ArgumentError(
            f"the runs have no cell in common: {_what(base)} in one, {_what(new)} in the other. Cells are the same "
            "where case, mode and contestant are."
        )
    pairs = list(_pairs(base, new, by))
    return Comparison(by, pairs, _geometric_mean(pairs), list(_notes(base, new, by)))


def _cells(document: Document) -> dict[tuple[str, str, str], Key]:
    """Return the place of every cell by what is the same in another run."""
    return {
        (document["cases"][cell["case"]]["text"], cell["mode"], cell["contestant"]): (
            cell["case"],
            cell["mode"],
            cell["contestant"],
        )
        for cell in document["cells"]
    }


def _rows(document: Document) -> dict[Key, CellRow]:
    return {(cell["case"], cell["mode"], cell["contestant"]): cell for cell in document["cells"]}


def _what(document: Document) -> str:
    names = [case["text"] for case in document["cases"]]
    return "; ".join(names[:2]) + (f" and {len(names) - 2} more cases" if len(names) > 2 else "")


def _pairs(base: Document, new: Document, by: By) -> Iterator[Pair]:
    before, after = _cells(base), _cells(new)
    rows = _rows(base), _rows(new)
    names = dict.fromkeys([*before, *after])
    groups = list(dict.fromkeys(name[:2] for name in names))
    for name in sorted(names, key=lambda name: groups.index(name[:2])):
        old = rows[0][before[name]] if name in before else None
        cell = rows[1][after[name]] if name in after else None
        outcome, reason = _without_times(old, cell)
        pair = Pair(*name, outcome or "unclear", reason=reason)
        if outcome is None and old is not None and cell is not None:
            pair = _compared(pair, old, cell, _sides(base, new, (before[name], after[name])), by)
        yield pair


def _without_times(old: CellRow | None, new: CellRow | None) -> tuple[Outcome | None, str]:
    """Return the outcome, and why, of a pair that times do not decide; None where they do."""
    was = f"was {old['status']}: {old['reason']}" if old is not None else "not in the base run"
    now = f"{new['status']}: {new['reason']}" if new is not None else "not in the new run"
    if old is not None and new is not None:
        if old["status"] == "ok" and new["status"] in _FAULTS:
            return "broken", now
        if old["status"] in _FAULTS and new["status"] == "ok":
            return "fixed", was
    timed = old is not None and old["median_s"] is not None, new is not None and new["median_s"] is not None
    if timed == (True, True):
        return None, ""
    if timed == (True, False):
        return "gone", now
    return ("new", was) if timed == (False, True) else ("untimed", now)


class _Side(NamedTuple):
    ratio: Ratio | None
    reference: str | None
    floor: float | None


def _sides(base: Document, new: Document, places: tuple[Key, Key]) -> tuple[_Side, _Side]:
    def side(document: Document, place: Key) -> _Side:
        floor = floors_of(document).get(place[:2])
        reference = references_of(document).get(place[:2])
        return _Side(ratios_of(document).get(place), reference, floor["floor"] if floor else None)

    return side(base, places[0]), side(new, places[1])


def _compared(pair: Pair, old: CellRow, new: CellRow, sides: tuple[_Side, _Side], by: By) -> Pair:
    if by == "times":
        pair = pair._replace(base=old["median_s"], new=new["median_s"])
        speed = _quotient(old["samples_s"], new["samples_s"])
    else:
        if sides[0].reference is None or sides[0].reference != sides[1].reference:
            names = " and ".join(str(side.reference or "none") for side in sides)
            return pair._replace(reason=f"the references differ: {names}")
        if sides[0].reference == pair.contestant:
            return pair._replace(outcome="reference", base=1.0, new=1.0)
        if sides[0].ratio is None or sides[1].ratio is None:
            return pair._replace(reason="it has no ratio to the reference in one of the runs")
        pair = pair._replace(base=sides[0].ratio["ratio"], new=sides[1].ratio["ratio"])
        speed = _quotient_of_ratios(sides[0].ratio, sides[1].ratio)
    floors = [side.floor for side in sides if side.floor is not None]
    outcome = _OUTCOMES[statistics.verdict(speed, max(floors, default=None))]
    reason = "" if floors else "neither run has an A/A floor"
    return pair._replace(outcome=outcome, speed=speed.ratio, low=speed.low, high=speed.high, reason=reason)


def _quotient(old: Sequence[float], new: Sequence[float]) -> statistics.Ratio:
    """Return the old median over the new one; of few samples the interval is their range."""
    ratio = float(np.median(old) / np.median(new))
    rounds = min(len(old), len(new))
    if rounds < statistics.ENOUGH:
        return statistics.Ratio(ratio, min(old) / max(new), max(old) / min(new), rounds)
    rng = np.random.default_rng(0)
    before, after = (statistics.resampled(samples, rng, _RESAMPLES) for samples in (old, new))
    return statistics.Ratio(ratio, *statistics.bounds(before / after), rounds)


def _quotient_of_ratios(old: Ratio, new: Ratio) -> statistics.Ratio:
    """Return the new ratio over the old one, their intervals added in quadrature of logarithms."""
    middle = log(new["ratio"] / old["ratio"])
    half = hypot(log(old["high"] / old["low"]), log(new["high"] / new["low"])) / 2
    rounds = min(old["rounds"], new["rounds"])
    return statistics.Ratio(exp(middle), exp(middle - half), exp(middle + half), rounds)


def _geometric_mean(pairs: Sequence[Pair]) -> tuple[float, float, float] | None:
    known = [(pair.speed, pair.low, pair.high) for pair in pairs if pair.speed and pair.low and pair.high]
    if not known:
        return None
    middle = sum(log(speed) for speed, _, _ in known) / len(known)
    half = hypot(*(log(high / low) / 2 for _, low, high in known)) / len(known)
    return exp(middle), exp(middle - half), exp(middle + half)


def _notes(base: Document, new: Document, by: By) -> Iterator[str]:
    if base["machine"]["id"] != new["machine"]["id"]:
        machines = " and ".join(f"{document['machine']['cpu']}" for document in (base, new))
        yield f"the machines differ ({machines}), so ratios to the reference are compared; raw times would say nothing"
    if base["machine"]["threads"] != new["machine"]["threads"]:
        yield f"threads differ: {base['machine']['threads']} and {new['machine']['threads']}"
    changed = [
        f"{name} {version} → {new['versions'][name]}"
        for name, version in base["versions"].items()
        if new["versions"].get(name, version) != version
    ]
    if changed:
        yield f"versions changed: {', '.join(changed)}"
    rates = [document["calibration"]["memcpy_bytes_per_s"].get("cpu") for document in (base, new)]
    if by == "times" and rates[0] and rates[1] and not 1 / _DRIFT < rates[1] / rates[0] < _DRIFT:
        yield (
            f"a copy of memory went at {rates[0] / 1e9:.3g} and {rates[1] / 1e9:.3g} GB/s: the machine was in another "
            "state, and times differ for that alone; add --ratios, or run both again"
        )
    for name, document in (("base", base), ("new", new)):
        if document["run"]["interrupted"]:
            yield f"the {name} run was interrupted"
