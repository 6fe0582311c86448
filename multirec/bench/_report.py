"""The table of a run: plain lines of at most 100 columns, understandable without a manual."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ._case import Mode
from ._results import Cell, Results
from ._text import bytes_text, ratio_text, seconds_text

WIDTH = 100
_DASH = "–"


class Line(NamedTuple):
    """A line of the report, and what it is: title, head, note, best, or a cell's status."""

    text: str
    role: str


def report(results: Results, width: int = WIDTH) -> Iterator[Line]:
    """Yield the lines of the table, none wider than `width` (at least 72)."""
    width = max(72, min(width, WIDTH))
    yield from _wrapped(_introduction(results), width, "note")
    for mode in dict.fromkeys(cell.mode for cell in results.cells):
        yield Line("", "note")
        yield from _mode_table(results, mode, width)
    yield Line("", "note")
    yield from _wrapped(_legend(results), width, "note")
    for note in results.notes:
        yield from _wrapped(note, width, "note")


def _introduction(results: Results) -> str:
    machine, case = results.machine, results.case
    meaning = (
        f"{case.batch} signals of {case.length} samples, each through {case.channels} recursive filters "
        f"of order {case.order}"
    )
    lines = [
        f"case     {case.describe()}: {meaning}",
        f"machine  {machine['cpu']}, {machine['threads']} threads, {machine['system']}",
        f"         Python {machine['python']}, NumPy {machine['numpy']}, multirec {machine['multirec']}",
        "outputs  fresh memory at every call; all channels share one input, which is not copied for them",
    ]
    for kind, rate in results.bandwidth.items():
        lines.append(
            f"memcpy   {rate / 1e9:.3g} GB/s moved (read + written) by a copy of warm memory, {kind}, same rounds"
        )
    return "\n".join(lines)


class _Column(NamedTuple):
    title: str
    width: int
    text: Callable[[Results, Cell], str]


def _columns(results: Results, mode: Mode) -> list[_Column]:
    base = results.baseline(mode)
    against = f"vs {base.contestant}" if base is not None else "ratio"
    return [
        _Column("median", 9, lambda _, cell: _or_dash(cell.median, seconds_text)),
        _Column("spread", 7, lambda _, cell: _spread(cell)),
        _Column("n", 4, lambda _, cell: str(len(cell.samples))),
        _Column(against, max(9, len(against) + 1), lambda run, cell: _or_dash(run.ratio(cell), ratio_text)),
        _Column("memcpy", 7, lambda run, cell: _or_dash(run.memcpy_fraction(cell), _percent)),
        _Column("memory", 9, lambda _, cell: _or_dash(cell.peak, bytes_text)),
        _Column("error", 8, lambda _, cell: f"{max(cell.errors.values()):.0e}" if cell.errors else _DASH),
        _Column("1st call", 9, lambda _, cell: _or_dash(cell.first_call, seconds_text)),
    ]


def _mode_table(results: Results, mode: Mode, width: int) -> Iterator[Line]:
    cells = [cell for cell in results.cells if cell.mode == mode]
    names = max(11, *(len(cell.contestant) + 1 for cell in cells))
    columns = _columns(results, mode)
    while sum(column.width + 1 for column in columns) + names > width:
        # the last ones are the least needed
        columns.pop()
    yield Line(f"{mode}  ({_what(mode)})", "title")
    yield Line("contestant".ljust(names) + "".join(f" {column.title:>{column.width}}" for column in columns), "head")
    timed = sorted((cell for cell in cells if cell.samples), key=lambda cell: cell.median or 0.0)
    for place, cell in enumerate(timed):
        figures = "".join(f" {column.text(results, cell):>{column.width}}" for column in columns)
        yield Line(cell.contestant.ljust(names) + figures, "best" if place == 0 else cell.status or "")
        if cell.status != "ok":
            yield from _reason(cell, names, width)
    for cell in cells:
        if not cell.samples:
            yield from _reason(cell, names, width, cell.contestant)


def _reason(cell: Cell, names: int, width: int, name: str = "") -> Iterator[Line]:
    text = f"{cell.status}: {cell.reason}"
    head = name.ljust(names) + " "
    for line in textwrap.wrap(text, width, initial_indent=head, subsequent_indent=" " * (names + 1)):
        yield Line(line, cell.status or "")


def _what(mode: Mode) -> str:
    return "y alone" if mode == "forward" else "y, then the gradients of x, feedforward and feedback"


def _legend(results: Results) -> str:
    lines = [
        "median and spread (interquartile range) of n samples in interleaved rounds",
        "vs …: how many times faster. memory: growth of the process at the peak of a call",
        "memcpy: the least traffic that the work needs, over what a copy moves in that time",
    ]
    checked = next((cell.checked for cell in results.cells if cell.checked), "")
    if checked:
        lines.append(f"error: the largest of values and gradients, relative, against float64: {checked}")
    lines.append(f"{results.elapsed:.0f} s in all, of {results.budget:.0f} s asked for")
    if results.interrupted:
        lines.append("Interrupted: the rows hold what was measured until then.")
    return "\n".join(lines)


def _wrapped(text: str, width: int, role: str) -> Iterator[Line]:
    for line in text.splitlines():
        for piece in textwrap.wrap(line, width, subsequent_indent="  ", replace_whitespace=False) or [""]:
            yield Line(piece, role)


def _or_dash(value: float | None, text: Callable[[float], str]) -> str:
    return _DASH if value is None else text(value)


def _spread(cell: Cell) -> str:
    if cell.spread is None or not cell.median:
        return _DASH
    return _percent(cell.spread / cell.median)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f}%" if fraction >= 0.095 else f"{100 * fraction:.1f}%"
