"""The table of a run: plain lines of at most 100 columns, understandable without a manual."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

from ._text import bytes_text, ratio_text, seconds_text

WIDTH = 100
_DASH = "–"


class Line(NamedTuple):
    """A line of the report, and what it is: title, head, note, best, or a cell's status."""

    text: str
    role: str


Row: TypeAlias = dict[str, Any]


def report(document: Row, width: int = WIDTH) -> Iterator[Line]:
    """Yield the lines of the table of a document, none wider than `width` (at least 72)."""
    width = max(72, min(width, WIDTH))
    yield from _wrapped(_introduction(document), width, "note")
    for case, mode in dict.fromkeys((cell["case"], cell["mode"]) for cell in document["cells"]):
        yield Line("", "note")
        yield from _table(document, case, mode, width)
    yield Line("", "note")
    yield from _wrapped(_legend(document), width, "note")
    for note in document["notes"]:
        yield from _wrapped(note, width, "note")


def _introduction(document: Row) -> str:
    machine, versions = document["machine"], document["versions"]
    lines = [f"case     {case['text']}" for case in document["cases"]]
    lines += [
        f"machine  {machine['cpu']}, {machine['threads']} threads, {machine['system']}",
        "         " + ", ".join(f"{name} {version}" for name, version in versions.items()),
        "outputs  fresh memory at every call; all channels share one input, which is not copied for them",
    ]
    for kind, rate in document["calibration"]["memcpy_bytes_per_s"].items():
        lines.append(
            f"memcpy   {rate / 1e9:.3g} GB/s moved (read + written) by a copy of warm memory, {kind}, same rounds"
        )
    return "\n".join(lines)


class _Column(NamedTuple):
    title: str
    width: int
    text: Callable[[Row], str]


def _columns(ratios: dict[str, Row]) -> list[_Column]:
    reference = next((row["reference"] for row in ratios.values()), "")
    against = f"vs {reference}" if reference else "ratio"

    def ratio(cell: Row) -> str:
        found = ratios.get(cell["contestant"])
        return _DASH if found is None else ratio_text(found["ratio"])

    return [
        _Column("median", 9, lambda cell: _or_dash(cell["median_s"], seconds_text)),
        _Column("spread", 7, lambda cell: _spread(cell)),
        _Column("n", 4, lambda cell: str(len(cell["samples_s"]))),
        _Column(against, max(9, len(against) + 1), ratio),
        _Column("memcpy", 7, lambda cell: _or_dash(cell["memcpy_fraction"], _percent)),
        _Column("memory", 9, lambda cell: _or_dash(cell["peak_bytes"], bytes_text)),
        _Column("error", 8, lambda cell: f"{max(cell['check']['errors'].values()):.0e}" if cell["check"] else _DASH),
        _Column("1st call", 9, lambda cell: _or_dash(cell["first_call_s"], seconds_text)),
    ]


def _table(document: Row, case: int, mode: str, width: int) -> Iterator[Line]:
    cells = [cell for cell in document["cells"] if (cell["case"], cell["mode"]) == (case, mode)]
    found = {row["contestant"]: row for row in document["ratios"] if (row["case"], row["mode"]) == (case, mode)}
    names = max(11, *(len(cell["contestant"]) + 1 for cell in cells))
    columns = _columns(found)
    while sum(column.width + 1 for column in columns) + names > width:
        # the last ones are the least needed
        columns.pop()
    yield Line(f"{document['cases'][case]['name']} {mode}  ({_what(mode)})", "title")
    yield Line("contestant".ljust(names) + "".join(f" {column.title:>{column.width}}" for column in columns), "head")
    timed = sorted((cell for cell in cells if cell["samples_s"]), key=lambda cell: cell["median_s"])
    for place, cell in enumerate(timed):
        figures = "".join(f" {column.text(cell):>{column.width}}" for column in columns)
        yield Line(cell["contestant"].ljust(names) + figures, "best" if place == 0 else cell["status"])
        if cell["status"] != "ok":
            yield from _reason(cell, names, width)
    for cell in cells:
        if not cell["samples_s"]:
            yield from _reason(cell, names, width, cell["contestant"])


def _reason(cell: Row, names: int, width: int, name: str = "") -> Iterator[Line]:
    text = f"{cell['status']}: {cell['reason']}"
    head = name.ljust(names) + " "
    for line in textwrap.wrap(text, width, initial_indent=head, subsequent_indent=" " * (names + 1)):
        yield Line(line, cell["status"])


def _what(mode: str) -> str:
    return "y alone" if mode == "forward" else "y, then the gradients of x, feedforward and feedback"


def _legend(document: Row) -> str:
    run = document["run"]
    lines = [
        "median and spread (interquartile range) of n samples in interleaved rounds",
        "vs …: how many times faster. memory: growth of the process at the peak of a call",
        "memcpy: the least traffic that the work needs, over what a copy moves in that time",
    ]
    checked = next((cell["check"]["what"] for cell in document["cells"] if cell["check"]), "")
    if checked:
        lines.append(f"error: the largest of values and gradients, relative, against float64: {checked}")
    lines.append(f"{run['elapsed_s']:.0f} s in all, of {run['budget_s']:.0f} s asked for")
    if run["interrupted"]:
        lines.append("Interrupted: the rows hold what was measured until then.")
    return "\n".join(lines)


def _wrapped(text: str, width: int, role: str) -> Iterator[Line]:
    for line in text.splitlines():
        for piece in textwrap.wrap(line, width, subsequent_indent="  ", replace_whitespace=False) or [""]:
            yield Line(piece, role)


def _or_dash(value: float | None, text: Callable[[float], str]) -> str:
    return _DASH if value is None else text(value)


def _spread(cell: Row) -> str:
    if cell["spread_s"] is None or not cell["median_s"]:
        return _DASH
    return _percent(cell["spread_s"] / cell["median_s"])


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f}%" if fraction >= 0.095 else f"{100 * fraction:.1f}%"
