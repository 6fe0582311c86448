"""Lines of a report on stdout: in colour on a terminal, plain elsewhere and where NO_COLOR is set."""

from __future__ import annotations

from collections.abc import Iterable

from multirec.bench.results.format import Document
from multirec.bench.show.brief import brief
from multirec.bench.show.report import WIDTH, Line, report
from multirec.bench.show.shares import shares

_STYLES = {
    "note": "",
    "ok": "",
    "title": "bold",
    "head": "dim",
    "case": "bold",
    "remark": "dim",
    "best": "green",
    "good": "green",
    **dict.fromkeys(("failed_check", "bad_time", "crash", "oom", "timeout", "bad"), "red"),
    **dict.fromkeys(("skipped", "no_time_left", "unsupported", "too_slow", "unsure"), "yellow"),
}


def print_report(document: Document, verbose: bool) -> None:
    """Print a document, as wide as the terminal, within 72 and 100 columns: all of it, or one case in a screen.

    What was recorded has its shares of an application's time below.
    """
    whole = verbose or len(document["cases"]) > 1
    print_lines(report(document, width()) if whole else brief(document, width()))
    print_lines(shares(document, width()))


def width() -> int:
    """Return the columns that there are: those of the terminal, or 100."""
    from rich.console import Console

    console = Console()
    return min(console.width, WIDTH) if console.is_terminal else WIDTH


def print_lines(lines: Iterable[Line]) -> None:
    """Print lines, each in the colour of its role."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for line in lines:
        console.print(Text(line.text, style=_STYLES[line.role]), soft_wrap=True)
