"""The tables of a document as texts: what the terminal, Markdown and HTML lay out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil
from typing import NamedTuple

from ..cases.case import MODES, Mode
from ..results.format import CellRow, Document, Ratio, Regret
from ..results.rows import floors_of, ratios_of, references_of
from .text import DASH, bytes_text, half_width, interval_text, percent_text, ratio_text, seconds_text

_WHAT = {"forward": "y alone", "forward+backward": "y, then the gradients of x and of the coefficients"}
_EVERY = "every case"
MEANINGS = {
    "median": "of n samples, in interleaved rounds; ±: half of its 95 % interval",
    "hot": "the same with the data in the GPU's second-level cache; the median begins with a cold one",
    "host": "the host's part of a call on a GPU",
    "vs": "paired by round; tie: no difference beyond the A/A floor; ?: the interval is too wide",
    "memcpy": "the least traffic that the work needs, over what a copy moves in that time",
    "memory": "growth of the process (on a GPU, of its allocator) at the peak of a call",
    "error": "the largest of values and gradients, relative, against float64",
    "1st call": "in a new process, with what is compiled or loaded for it",
    "repaid": "calls that make a slower first call good against the reference",
}
"""What the columns mean, by title; 'vs' is followed by the reference."""


class Row(NamedTuple):
    """A cell: its texts, one a column, or none where it was not timed, and then what shorter signals took, if any."""

    contestant: str
    texts: tuple[str, ...]
    status: str
    reason: str
    best: bool = False
    shorter: str = ""


class Group(NamedTuple):
    """The cells of one case in one mode, fastest first, those without times last; and lines about them."""

    title: str
    rows: list[Row]
    remarks: list[str]


class Table(NamedTuple):
    """All cells of a mode; every row has as many texts as there are columns."""

    title: str
    columns: tuple[str, ...]
    groups: list[Group]
    remarks: list[str]


def tables(document: Document) -> Iterator[Table]:
    """Yield a table for each mode that has cells; columns without a single figure are left out."""
    for mode in MODES:
        cells = [cell for cell in document["cells"] if cell["mode"] == mode]
        if cells:
            yield _without_empty_columns(_table(document, mode, cells))


def growth(document: Document, mode: Mode) -> list[str]:
    """Return how times grow along the axes that were swept, a line for each axis."""
    lines = []
    fits = [fit for fit in document["fits"] if fit["mode"] == mode]
    for axis in dict.fromkeys(fit["axis"] for fit in fits):
        powers: dict[str, list[float]] = {}
        for fit in fits:
            if fit["axis"] == axis:
                powers.setdefault(fit["contestant"], []).append(fit["exponent"])
        exponents = ", ".join(f"{name} {_span(found)}" for name, found in powers.items())
        lines.append(f"growth: time is proportional to {axis} to the power of: {exponents}")
    return lines


def _span(values: list[float]) -> str:
    low, high = f"{min(values):z.2f}", f"{max(values):z.2f}"
    return low if low == high else f"{low} to {high}"


def _table(document: Document, mode: Mode, cells: list[CellRow]) -> Table:
    columns = _columns(document, mode)
    several = len({cell["device"] for cell in document["cells"]}) > 1

    def row(cell: CellRow, best: bool = False) -> Row:
        name = f"{cell['contestant']} ({cell['device']})" if several else cell["contestant"]
        texts = tuple(text(cell) for text in columns.values()) if cell["median_s"] is not None else ()
        return Row(name, texts, cell["status"], cell["reason"], best, _shorter(cell))

    everywhere = _everywhere(cells)
    groups = []
    for place, case in enumerate(document["cases"]):
        here = [cell for cell in cells if cell["case"] == place]
        timed = sorted((cell for cell in here if cell["median_s"] is not None), key=lambda cell: cell["median_s"] or 0)
        others = [cell for cell in here if cell["median_s"] is None and cell not in everywhere]
        rows = [row(cell, best) for best, cell in zip([True] + [False] * len(timed), timed, strict=False)]
        if rows or others:
            remarks = _remarks(document, place, mode)
            groups.append(Group(f"{case['name']}: {case['text']}", [*rows, *map(row, others)], remarks))
    if everywhere:
        once = {cell["contestant"]: row(cell) for cell in everywhere}
        groups.append(Group(_EVERY, list(once.values()), []))
    return Table(f"{mode}  ({_WHAT[mode]})", tuple(columns), groups, _choices(document, mode) + growth(document, mode))


def _columns(document: Document, mode: Mode) -> dict[str, Callable[[CellRow], str]]:
    ratios, references = ratios_of(document), references_of(document)
    names = {name for (_, other), name in references.items() if other == mode}
    against = f"vs {names.pop()}" if len(names) == 1 else "vs reference"

    def ratio(cell: CellRow) -> Ratio | None:
        return ratios.get((cell["case"], cell["mode"], cell["contestant"]))

    def ratio_column(cell: CellRow) -> str:
        # the reference has no ratio of its own
        is_reference = references.get((cell["case"], cell["mode"])) == cell["contestant"]
        return "reference" if is_reference else _ratio(ratio(cell))

    def half_of_ratio(cell: CellRow) -> str:
        row = ratio(cell)
        return "" if row is None else interval_text(row["low"], row["high"], row["ratio"])

    return {
        "median": lambda cell: _median(cell),
        "±": lambda cell: interval_text(cell["low_s"], cell["high_s"], cell["median_s"]),
        "hot": lambda cell: _or_dash(cell.get("hot_s"), seconds_text),
        "host": lambda cell: _or_dash(cell.get("host_s"), seconds_text),
        "n": lambda cell: str(len(cell["samples_s"])),
        against: ratio_column,
        " ±": half_of_ratio,
        "memcpy": lambda cell: _or_dash(cell["memcpy_fraction"], percent_text),
        "memory": lambda cell: _or_dash(_memory(cell), bytes_text),
        "error": lambda cell: _error(cell),
        "1st call": lambda cell: _or_dash(cell["first_call_s"], _roughly),
        "repaid": lambda cell: _or_dash(cell["break_even_calls"], _calls),
    }


def _everywhere(cells: list[CellRow]) -> list[CellRow]:
    """Return the cells of contestants that have one status and reason, and no times, in all of several cases."""
    found: dict[str, list[CellRow]] = {}
    for cell in cells:
        found.setdefault(cell["contestant"], []).append(cell)
    return [
        cell
        for same in found.values()
        if len(same) > 1 and len({(row["status"], row["reason"]) for row in same}) == 1 and not same[0]["samples_s"]
        for cell in same
    ]


def _remarks(document: Document, place: int, mode: Mode) -> list[str]:
    lines = []
    floor = floors_of(document).get((place, mode))
    if floor is not None and floor["floor"] is not None:
        width = percent_text(floor["floor"])
        lines.append(f"A/A floor ±{width}: {floor['contestant']} against a hidden second copy of itself")
    choices = [row for row in document["regret"] if (row["case"], row["mode"]) == (place, mode)]
    alone = len(document["cases"]) == 1
    choices_text = [_choice(document, row) for row in choices if alone or row["picked"] != row["fastest"]]
    return lines + choices_text


def _choices(document: Document, mode: Mode) -> list[str]:
    """Return how often auto picks the fastest, where there are several cases."""
    rows = [row for row in document["regret"] if row["mode"] == mode]
    if len(document["cases"]) == 1 or not rows:
        return []
    lines = []
    for device in dict.fromkeys(map(_device, rows)):
        here = [row for row in rows if _device(row) == device]
        right = sum(row["picked"] == row["fastest"] for row in here)
        where = _arrays(document, device)
        lines.append(f"backend='auto' picks the fastest of multirec's backends{where} in {right} of {len(here)} cases")
    return lines


def _choice(document: Document, row: Regret) -> str:
    picked, fastest, where = row["picked"], row["fastest"], _arrays(document, _device(row))
    if picked == fastest:
        return f"backend='auto' picks {picked}{where}, the fastest of multirec's backends here"
    return f"backend='auto' picks {picked}{where}, which takes {ratio_text(row['regret'])} the time of {fastest}"


def _device(row: Regret) -> str:
    return row.get("device", "cpu")


def _arrays(document: Document, device: str) -> str:
    """Return which arrays auto picks something for, where it is not those of the CPU everywhere."""
    return "" if {cell["device"] for cell in document["cells"]} == {"cpu"} else f" for arrays on {device}"


def _without_empty_columns(table: Table) -> Table:
    rows = [row for group in table.groups for row in group.rows if row.texts]
    kept = [i for i in range(len(table.columns)) if any(row.texts[i] not in ("", DASH) for row in rows)]
    groups = [
        group._replace(
            rows=[row._replace(texts=tuple(row.texts[i] for i in kept) if row.texts else ()) for row in group.rows]
        )
        for group in table.groups
    ]
    return table._replace(columns=tuple(table.columns[i] for i in kept), groups=groups)


def _median(cell: CellRow) -> str:
    median = cell["median_s"] or 0.0
    return seconds_text(median, half_width(median, cell["low_s"], cell["high_s"]))


def _shorter(cell: CellRow) -> str:
    found = cell.get("shorter")
    return "" if found is None else f"{seconds_text(found['median_s'])} at T={found['length']}"


def _ratio(row: Ratio | None) -> str:
    if row is None:
        return DASH
    if row["verdict"] == "tie":
        return "tie"
    faster = row["ratio"] >= 1
    half = half_width(row["ratio"], row["low"], row["high"]) / row["ratio"]
    ratio = row["ratio"] if faster else 1 / row["ratio"]
    doubt = "?" if row["verdict"] == "unclear" else ""
    return f"{ratio_text(ratio, half * ratio)} {'faster' if faster else 'slower'}{doubt}"


def _memory(cell: CellRow) -> int | None:
    on_device = cell["allocator_peak_bytes"]
    return on_device if on_device is not None and cell["device"] != "cpu" else cell["peak_bytes"]


def _roughly(seconds: float) -> str:
    return seconds_text(seconds, seconds / 10)


def _calls(count: float) -> str:
    return f"{ceil(count)} call{'' if ceil(count) == 1 else 's'}"


def _error(cell: CellRow) -> str:
    errors = (cell["check"] or {"errors": {}, "what": ""})["errors"]
    if None in errors.values():
        return "inf"
    return f"{max(size for size in errors.values() if size is not None):.0e}" if errors else DASH


def _or_dash(value: float | None, text: Callable[[float], str]) -> str:
    return DASH if value is None else text(value)
