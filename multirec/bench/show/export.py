"""A document for other programs: Markdown, CSV, and the table of torch.utils.benchmark.Compare."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from ..cases.case import MODES
from ..results.format import CellRow, Document
from ..results.rows import ratios_of
from .report import closing, introduction, legend
from .table import Row, Table, tables
from .text import digits, half_width

_AXES = ("batch", "channels", "length", "order", "dtype", "layout")
_OF_CELL = ("version", "device", "status", "reason")
_FIGURES = (
    *("median_s", "low_s", "high_s", "spread_s", "memcpy_fraction", "first_call_s", "break_even_calls"),
    *("peak_bytes", "allocator_peak_bytes", "hot_s", "host_s"),
)
_UNITS = (("s", 1.0, "seconds"), ("ms", 1e-3, "milliseconds"), ("us", 1e-6, "microseconds"))


def as_markdown(document: Document) -> str:
    """Return headings and tables in Markdown."""
    parts = [_bullets(introduction(document))]
    columns: list[str] = []
    for table in tables(document):
        parts.append(f"## {table.title}")
        columns += [column for column in table.columns if column not in columns]
        for group in table.groups:
            if len(document["cases"]) > 1:
                parts.append(f"### {_escaped(group.title)}")
            parts.append("\n".join(_markdown_rows(table, group.rows)))
            parts.extend(map(_escaped, group.remarks))
        parts.extend(map(_escaped, table.remarks))
    parts.append(_bullets(legend(document, columns)))
    parts.append("\n".join(f"* {_escaped(text)}" for text in closing(document)))
    return "\n\n".join(parts) + "\n"


def _bullets(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"* **{label}:** {_escaped(text)}" if label else f"  {_escaped(text)}" for label, text in pairs)


def _markdown_rows(table: Table, rows: list[Row]) -> Iterator[str]:
    titles = ["contestant", *(column.strip() for column in table.columns)]
    yield f"| {' | '.join(titles)} |"
    yield f"|---|{'---:|' * len(table.columns)}"
    for row in rows:
        why = _escaped(f"{row.status}: {row.reason}") if row.status != "ok" else ""
        # a reason stands in the first column that has room
        texts = row.texts or (why, *[""] * (len(table.columns) - 1))
        name = f"{row.contestant} ({why})" if row.texts and why else row.contestant
        yield f"| {' | '.join([name, *texts])} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def as_csv(document: Document) -> str:
    """Return a line for each cell, figures in seconds, bytes and plain fractions, unknown ones empty."""
    ratios = ratios_of(document)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    of_ratio = ("ratio", "ratio_low", "ratio_high", "reference", "verdict")
    writer.writerow(["case", *_AXES, "mode", "contestant", *_OF_CELL, "samples", *_FIGURES, "error", *of_ratio])
    for cell in document["cells"]:
        case = document["cases"][cell["case"]]
        ratio = ratios.get((cell["case"], cell["mode"], cell["contestant"]))
        found = [ratio[key] for key in ("ratio", "low", "high", "reference", "verdict")] if ratio else [None] * 5
        errors = (cell["check"] or {"errors": {}, "what": ""})["errors"]
        writer.writerow(
            [
                case["name"],
                *(case[axis] for axis in _AXES),  # type: ignore[literal-required]
                cell["mode"],
                cell["contestant"],
                *(cell[key] for key in _OF_CELL),  # type: ignore[literal-required]
                len(cell["samples_s"]),
                *(cell.get(key) for key in _FIGURES),
                max((size for size in errors.values() if size is not None), default=None),
                *found,
            ]
        )
    return out.getvalue()


def as_torch_compare(document: Document) -> str:
    """Return medians as torch.utils.benchmark.Compare prints them: a column for each contestant, a row for each case.

    What was not timed is named below, with its status.
    """
    return "\n".join(line for mode in MODES for line in _compare_section(document, mode))


def _compare_section(document: Document, mode: str) -> Iterator[str]:
    cells = [cell for cell in document["cells"] if cell["mode"] == mode]
    timed = [cell["median_s"] for cell in cells if cell["median_s"]]
    if not cells:
        return
    unit, size, word = next((found for found in _UNITS if found[1] <= min(timed, default=1.0)), _UNITS[-1])
    names = [name for name in dict.fromkeys(cell["contestant"] for cell in cells) if _of(cells, name)]
    texts = [
        [
            document["cases"][place]["text"],
            *(next((_time(c, size) for c in _of(cells, name) if c["case"] == place), "") for name in names),
        ]
        for place in dict.fromkeys(cell["case"] for cell in cells if cell["median_s"])
    ]
    widths = [max(map(len, column)) for column in zip(["", *names], *texts, strict=True)]

    def line(row: list[str]) -> str:
        return f"      {row[0]:<{widths[0]}}" + "".join(
            f"  |  {text:>{w}}" for text, w in zip(row[1:], widths[1:], strict=True)
        )

    head = line(["", *names])
    yield f"[{f' {mode} ':-^{len(head) - 2}}]"
    yield head
    threads = f"{document['machine']['threads']} threads: "
    yield threads.ljust(len(head), "-")
    yield from map(line, texts)
    yield ""
    yield f"Times are in {word} ({unit})."
    for cell in cells:
        if not cell["median_s"]:
            yield f"{document['cases'][cell['case']]['name']} {cell['contestant']}: {cell['status']}: {cell['reason']}"
    yield ""


def _of(cells: list[CellRow], name: str) -> list[CellRow]:
    return [cell for cell in cells if cell["contestant"] == name and cell["median_s"]]


def _time(cell: CellRow, size: float) -> str:
    median = cell["median_s"] or 0.0
    return digits(median / size, half_width(median, cell["low_s"], cell["high_s"]) / size)
