"""A document in a terminal: plain lines of at most 100 columns, understandable without a manual."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..results.format import Clocks, Document
from .table import MEANINGS, Row, Table, tables
from .text import DASH, bytes_text

WIDTH, LEAST = 100, 72
# what is left out first where there is no room
_DISPENSABLE = ("n", "error", "±", " ±", "memory", "repaid", "1st call")

_LONG_TITLES = {"±": "± of median", " ±": "± of vs"}


class Line(NamedTuple):
    """A line of the report, and what it is: title, head, case, note, best, or a cell's status."""

    text: str
    role: str


def report(document: Document, width: int = WIDTH) -> Iterator[Line]:
    """Yield the lines of the report, none wider than `width` (72 to 100)."""
    width = max(LEAST, min(width, WIDTH))
    yield from labelled(introduction(document), width)
    shown, left_out = [], []
    for table in tables(document):
        yield Line("", "note")
        names = _names(table)
        fitting, narrow = _fitting(table, names, width)
        shown += [column for column in fitting.columns if column not in shown]
        left_out += [column for column in narrow if column not in left_out]
        yield from _lines(fitting, names, width, len(document["cases"]) > 1)
    meanings = list(labelled(legend(document, shown), width, "remark"))
    if meanings:
        yield Line("", "note")
        yield from meanings
    yield Line("", "note")
    for text in closing(document):
        yield from wrapped(text, width, "note")
    if left_out:
        titles = ", ".join(_LONG_TITLES.get(name, name) for name in left_out)
        yield from wrapped(
            f"no room for: {titles} (a wider terminal has it, and `show --format markdown`)", width, "note"
        )


def introduction(document: Document) -> Iterator[tuple[str, str]]:
    """Yield what was measured and where, as labels and texts."""
    machine, versions = document["machine"], document["versions"]
    cases = document["cases"]
    if len(cases) == 1:
        case = cases[0]
        yield "case", f"{case['name']}: {case['text']}"
        yield (
            "",
            f"batch {case['batch']}, {case['length']} samples, {case['channels']} filters of order {case['order']}",
        )
    else:
        yield "cases", f"{len(cases)}, of which each has rows of its own below"
    parts = [machine["cpu"]]
    parts += [f"{machine[part]} {part}" for part in ("cores", "threads") if machine[part]]
    parts += [bytes_text(machine["memory_bytes"])] if machine["memory_bytes"] else []
    yield "machine", ", ".join([*parts, *machine["gpus"], machine["system"]])
    git = document["git"]
    if git is not None:
        versions = versions | {"commit": git["commit"][:10] + (" with changes" if git["dirty"] else "")}
    yield "versions", ", ".join(f"{name} {version}" for name, version in versions.items())
    for kind, rate in document["calibration"]["memcpy_bytes_per_s"].items():
        yield "memcpy", f"{rate / 1e9:.3g} GB/s moved (read + written) by a copy of warm memory, {kind}, same rounds"
    clocks = document.get("clocks")
    if clocks is not None:
        yield "clocks", clocks_text(clocks)


def clocks_text(clocks: Clocks) -> str:
    """Return a GPU's clocks before and after the rounds in a line, with what slowed it down."""
    before, after = clocks["before"], clocks["after"]
    if before is None or after is None:
        return clocks["source"]

    def change(first: float | None, last: float | None) -> str:
        return " → ".join(dict.fromkeys(DASH if value is None else f"{value:.0f}" for value in (first, last)))

    lowest = "" if clocks["lowest_sm_mhz"] is None else f" (lowest {clocks['lowest_sm_mhz']})"
    parts = [
        f"SM {change(before['sm_mhz'], after['sm_mhz'])}{lowest} MHz",
        f"memory {change(before['memory_mhz'], after['memory_mhz'])} MHz",
        f"{change(before['temperature'], after['temperature'])} °C",
        f"{change(before['power'], after['power'])} W",
        f"slowed down by {' and '.join(clocks['slowed_by']) or 'nothing'}",
    ]
    return f"{', '.join(parts)} ({clocks['source']})"


def legend(document: Document, columns: list[str]) -> Iterator[tuple[str, str]]:
    """Yield what the columns mean that are shown."""
    for title, meaning in MEANINGS.items():
        found = next((column for column in columns if column.partition(" ")[0] == title or column == title), None)
        if found is not None:
            yield found, meaning
    checked = dict.fromkeys(cell["check"]["what"] for cell in document["cells"] if cell["check"])
    if any(checked):
        yield "checked", "; or ".join(filter(None, checked))


def closing(document: Document) -> Iterator[str]:
    """Yield how the run went, and its notes."""
    run, machine = document["run"], document["machine"]
    took = f"{run['elapsed_s']:.0f} s in all, of {run['budget_s']:.0f} s asked for"
    if run["compile_s"]:
        took += f", and {run['compile_s']:.0f} s of first compilations besides"
    loads = {"before": machine["load_before"], "after": machine["load_after"]}
    load_text = ", ".join(f"{load:.1f} {when}" for when, load in loads.items() if load is not None)
    yield took + (f"; load of the machine {load_text}" if load_text else "")
    if run["interrupted"]:
        yield "Interrupted: the rows hold what was measured until then."
    for note in document["notes"]:
        yield f"note: {note}"


def _names(table: Table) -> int:
    return max(len("contestant"), *(len(row.contestant) for group in table.groups for row in group.rows))


def _widths(table: Table) -> list[int]:
    rows = [row.texts for group in table.groups for row in group.rows if row.texts]
    return [max(map(len, texts)) for texts in zip(table.columns, *rows, strict=True)]


def _fitting(table: Table, names: int, width: int) -> tuple[Table, list[str]]:
    """Return the table without the columns that there is no room for, and their titles."""
    left_out: list[str] = []
    for title in _DISPENSABLE:
        if names + sum(width + 2 for width in _widths(table)) <= width:
            break
        if title in table.columns:
            table = _without(table, title)
            left_out.append(title)
    return table, left_out


def _without(table: Table, title: str) -> Table:
    place = table.columns.index(title)

    def cut(texts: tuple[str, ...]) -> tuple[str, ...]:
        return texts[:place] + texts[place + 1 :]

    groups = [group._replace(rows=[row._replace(texts=cut(row.texts)) for row in group.rows]) for group in table.groups]
    return table._replace(columns=cut(table.columns), groups=groups)


def _lines(table: Table, names: int, width: int, several: bool) -> Iterator[Line]:
    widths = _widths(table)

    def line(name: str, texts: tuple[str, ...]) -> str:
        return name.ljust(names) + "".join(f"  {text:>{w}}" for text, w in zip(texts, widths, strict=True))

    yield Line(table.title, "title")
    yield Line(line("contestant", table.columns).rstrip(), "head")
    for place, group in enumerate(table.groups):
        if several:
            if place:
                yield Line("", "case")
            yield from wrapped(group.title, width, "case")
        for row, above in zip(group.rows, [None, *group.rows], strict=False):
            if row.texts:
                yield Line(line(row.contestant, row.texts).rstrip(), "best" if row.best else row.status)
            if row.status != "ok":
                same = above is not None and (above.status, above.reason) == (row.status, row.reason)
                yield from _reason(row._replace(reason="the same") if same else row, names, width)
        for remark in group.remarks:
            yield from wrapped(f"  {remark}", width, "remark", 4)
    if table.remarks:
        yield Line("", "remark")
    for remark in table.remarks:
        yield from wrapped(remark, width, "remark")


def _reason(row: Row, names: int, width: int) -> Iterator[Line]:
    head = ("" if row.texts else row.contestant).ljust(names + 2)
    for line in fill(f"{row.status}: {row.reason}", width, head, names + 2):
        yield Line(line, row.status)


def labelled(pairs: Iterable[tuple[str, str]], width: int, role: str = "note") -> Iterator[Line]:
    """Yield labels in a column and texts beside them, wrapped to `width`."""
    found = list(pairs)
    labels = max((len(label) for label, _ in found), default=0) + 2
    for label, text in found:
        yield from (Line(line, role) for line in fill(text, width, label.ljust(labels), labels))


def wrapped(text: str, width: int, role: str, indent: int = 2) -> Iterator[Line]:
    """Yield a text wrapped to `width`, its further lines indented."""
    return (Line(line, role) for line in fill(text, width, "", indent))


def fill(text: str, width: int, head: str, indent: int) -> list[str]:
    """Return the lines of a text that begins after `head`; names with hyphens stay whole."""
    return textwrap.wrap(text, width, initial_indent=head, subsequent_indent=" " * indent, break_on_hyphens=False)
