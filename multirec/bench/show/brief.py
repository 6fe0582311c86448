"""A document of one case in a screen of a terminal: at most 25 lines that explain themselves."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from ..results.format import Document
from .report import LEAST, WIDTH, Line
from .table import Row, Table, tables

MOST_LINES = 25
_COLUMNS = ("median", "memcpy", "memory", "error")
_MEANINGS = {"forward": "values alone", "forward+backward": "values and all gradients"}
# what is there besides rows: the case, the machine and the end; of a table its title, head, a blank line, what is
# slower, what is timed on shorter signals, and what is not timed
_AROUND, _AROUND_TABLE = 5, 6


def brief(document: Document, width: int = WIDTH) -> Iterator[Line]:
    """Yield the lines of a screen, each within `width` (72 to 100): who is how fast, and who has no time."""
    width = max(LEAST, min(width, WIDTH))
    found = list(tables(document))
    case, machine, run = document["cases"][0], document["machine"], document["run"]
    yield Line(_cut(f"{case['name']}: {case['text']}; {machine['cpu']}, {machine['threads']} threads", width), "title")
    rows = (MOST_LINES - _AROUND - _AROUND_TABLE * len(found)) // max(len(found), 1)
    for table in found:
        yield Line("", "note")
        yield from _lines(table, rows, width)
    yield Line("", "note")
    yield Line("error: the largest, against float64; memory: growth at the peak", "remark")
    yield Line("memcpy: the work's least traffic over a copy's in that time", "remark")
    end = "interrupted after" if run["interrupted"] else "took"
    notes = f", {len(document['notes'])} notes" if document["notes"] else ""
    took = f"{end} {run['elapsed_s']:.0f} s of {run['budget_s']:.0f}{notes}"
    yield Line(f"{took}; -v shows all rows, reasons, notes", "note")


def _lines(table: Table, most: int, width: int) -> Iterator[Line]:
    against = next((title for title in table.columns if title.startswith("vs ")), None)
    columns = [title for title in (_COLUMNS[0], against, *_COLUMNS[1:]) if title in table.columns]
    (group,) = table.groups
    timed, cut = [row for row in group.rows if row.texts], [row for row in group.rows if row.shorter]
    others = [row for row in group.rows if not row.texts and not row.shorter]
    mode = table.title.partition(" ")[0]
    versus = f"; faster or slower than {against.removeprefix('vs ')}, in the same rounds" if against else ""
    yield Line(_cut(f"{mode}: {_MEANINGS[mode]}{versus}", width), "title")
    shown = timed[:most]
    texts = [[row.contestant, *(row.texts[table.columns.index(title)] for title in columns)] for row in shown]
    head = ["contestant", *columns]
    widths = [max(len(line[place]) for line in [head, *texts]) for place in range(len(head))]

    def line(texts: list[str]) -> str:
        cells = [f"{text:>{size}}" for text, size in zip(texts[1:], widths[1:], strict=True)]
        return _cut("  ".join([texts[0].ljust(widths[0]), *cells]).rstrip(), width)

    if shown:
        yield Line(line(head), "head")
    for row, text in zip(shown, texts, strict=True):
        yield Line(line(text), "best" if row.best else row.status)
    if len(shown) < len(timed):
        median = table.columns.index(_COLUMNS[0])
        rest = ", ".join(f"{row.contestant} {row.texts[median]}" for row in timed[len(shown) :])
        yield Line(_cut(f"slower: {rest}", width), "note")
    if cut:
        rest = ", ".join(f"{row.contestant} {row.shorter}" for row in cut)
        yield Line(_cut(f"too slow as a whole: {rest}", width), "too_slow")
    if others:
        yield Line(_cut(f"not timed: {_reasons(others)}", width), _worst(others))


def _reasons(rows: list[Row]) -> str:
    ordered = sorted(rows, key=lambda row: _severity(row.status))
    groups = groupby(ordered, key=lambda row: row.status)
    return "; ".join(
        f"{status.replace('_', ' ')}: {', '.join(row.contestant for row in each)}" for status, each in groups
    )


def _worst(rows: list[Row]) -> str:
    return min((row.status for row in rows), key=_severity)


def _severity(status: str) -> int:
    order = (
        "failed_check",
        "bad_time",
        "timeout",
        "crash",
        "oom",
        "no_time_left",
        "too_slow",
        "skipped",
        "unsupported",
    )
    return order.index(status) if status in order else len(order)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
