"""Figures of saved runs: time, ratio, fraction of memcpy and memory, along an axis that was swept or side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..results.format import Axis, CaseRow, CellRow, Document, Ratio
from ..results.rows import ratios_of, references_of
from .text import bytes_text, percent_text, ratio_text, seconds_text

AXES: dict[Axis, str] = {
    "length": "T, samples of a signal",
    "channels": "C, filters",
    "order": "order of the filters",
    "batch": "B, signals",
}


class Value(NamedTuple):
    """A figure with its interval."""

    middle: float
    low: float
    high: float


class Metric(NamedTuple):
    """What is drawn: a title, the label of its axis, how a value reads, and whether less is better."""

    title: str
    label: str
    text: Callable[[float, float | None], str]
    less_is_better: bool
    base: int = 10


METRICS: dict[str, Metric] = {
    "time": Metric("Time of a call", "median of a call", seconds_text, True),
    "ratio": Metric("Speed against a reference", "times as fast as {limit}", ratio_text, False),
    "memcpy": Metric("Fraction of memcpy", "of the speed of a copy", lambda value, _: percent_text(value), False),
    "memory": Metric("Memory", "growth at the peak of a call", lambda value, _: bytes_text(value), True, 2),
}


class Point(NamedTuple):
    """A value of a contestant, at a place along the axis (0 where there is none)."""

    at: float
    value: Value


class Panel(NamedTuple):
    """A pair of axes: its row (the cases) and column (the mode), the points of each series, and what they are held to.

    `limit` has, by place along the axis, the value of what `limit_name` says: a copy of the least traffic, or the
    reference.
    """

    row: str
    column: str
    series: dict[str, list[Point]]
    limit_name: str
    limit: dict[float, float]


def swept_axes(documents: Sequence[Document]) -> list[Axis]:
    """Return the axes along which some cases of the documents differ that differ in nothing else."""
    cases = [case for document in documents for case in document["cases"]]
    found = []
    for axis in AXES:
        values: dict[tuple[str, ...], set[int]] = {}
        for case in cases:
            values.setdefault(_rest(case, axis), set()).add(case[axis])
        if any(len(different) > 1 for different in values.values()):
            found.append(axis)
    return found


class Series(NamedTuple):
    """Which contestant (its colour, in every figure) and which run (its line) a series is of, both counted from 0."""

    contestant: int
    run: int


def all_series(documents: Sequence[Document]) -> dict[str, Series]:
    """Return the series of the documents by name."""
    contestants = list(dict.fromkeys(cell["contestant"] for document in documents for cell in document["cells"]))
    return {
        _name(document, cell, documents): Series(contestants.index(cell["contestant"]), run)
        for run, document in enumerate(documents)
        for cell in document["cells"]
    }


def panels(documents: Sequence[Document], metric: str, axis: Axis | None) -> list[Panel]:
    """Return the panels of a figure: one for each mode and each set of cases that differ in nothing but `axis`.

    With several documents the series carry the name of their run.
    """
    found: dict[tuple[Any, ...], Panel] = {}
    for document in documents:
        ratios, references = ratios_of(document), references_of(document)
        for cell in document["cells"]:
            case, group = document["cases"][cell["case"]], (cell["case"], cell["mode"])
            value = _value(metric, cell, ratios.get((*group, cell["contestant"])))
            if value is None:
                continue
            limit_name = references.get(group, "the reference") if metric == "ratio" else "copy"
            empty = Panel(_without(case, axis), cell["mode"], {}, limit_name, {})
            panel = found.setdefault((_rest(case, axis), cell["mode"]), empty)
            at = float(case[axis]) if axis is not None else 0.0
            if metric in ("memcpy", "ratio"):
                panel.limit[at] = 1.0
            elif metric == "time" and cell["memcpy_fraction"]:
                panel.limit[at] = value.middle * cell["memcpy_fraction"]
            panel.series.setdefault(_name(document, cell, documents), []).append(Point(at, value))
    for panel in found.values():
        for points in panel.series.values():
            points.sort()
    return list(found.values())


def _name(document: Document, cell: CellRow, documents: Sequence[Document]) -> str:
    return cell["contestant"] + (f" · {document['run']['name']}" if len(documents) > 1 else "")


def _rest(case: CaseRow, axis: Axis | None) -> tuple[str, ...]:
    """Return all of a case but `axis`."""
    return tuple(str(part) for key, part in case.items() if key not in ("name", "text", "traffic_bytes", axis))


def _without(case: CaseRow, axis: Axis | None) -> str:
    if axis is None:
        return case["text"]
    others: dict[Axis, str] = {"batch": "B", "channels": "C", "length": "T", "order": "order"}
    sizes = ", ".join(f"{short} {case[name]}" for name, short in others.items() if name != axis)
    return f"{case['base']}: {sizes}, {case['dtype']}"


def _value(metric: str, cell: CellRow, ratio: Ratio | None) -> Value | None:
    median, low, high = cell["median_s"], cell["low_s"], cell["high_s"]
    if median is None:
        return None
    whole = Value(median, low or median, high or median)
    if metric == "time":
        return whole
    if metric == "ratio":
        return Value(ratio["ratio"], ratio["low"], ratio["high"]) if ratio else None
    if metric == "memcpy":
        part = cell["memcpy_fraction"]
        # the fraction is the inverse of a time
        return None if part is None else Value(part, part * median / whole.high, part * median / whole.low)
    size = cell["allocator_peak_bytes"] if cell["device"] != "cpu" else cell["peak_bytes"]
    return Value(float(size), float(size), float(size)) if size else None
