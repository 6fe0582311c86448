"""``multirec bench list``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from multirec.bench.results.load import load
from multirec.bench.show.report import Line, labelled
from multirec.errors import ArgumentError

from ._print import print_lines, width

_FOLDER = Path("bench/results")


@click.command("list", epilog="Exit codes: 0 fine, 2 wrong usage.")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), required=False)
def command(folder: Path | None) -> int:
    """List the cases, the contestants (and what is missing for those that cannot run), and the saved runs.

    Saved runs are read from FOLDER, or from bench/results if that folder exists.

    \b
    Examples:
      multirec bench list
      multirec bench list results/
    """  # noqa: D301
    columns = width()
    print_lines([Line("cases", "title"), *labelled(_cases(), columns)])
    click.echo()
    print_lines([Line("contestants", "title"), *labelled(_contestants(), columns)])
    place = folder or _FOLDER
    if place.is_dir():
        click.echo()
        found = list(_runs(place)) or [("", "none")]
        print_lines([Line(f"saved runs in {place}", "title"), *labelled(found, columns)])
    return 0


def _cases() -> Iterator[tuple[str, str]]:
    from multirec.bench.cases.named import NAMED

    for name, (case, summary) in NAMED.items():
        yield name, f"{case.describe()}: {summary}"


def _contestants() -> Iterator[tuple[str, str]]:
    from multirec.bench.contestants import registered

    lacking = {}
    for name, contestant in registered().items():
        reason = contestant.missing()
        if reason is None:
            yield name, contestant.summary
        else:
            lacking[name] = f"cannot run here: {reason}"
    yield from lacking.items()


def _runs(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.glob("*.json")):
        try:
            document = load(path)
        except ArgumentError as error:
            # of other documents than runs it is enough to say so
            yield path.name, str(error).removeprefix(str(path)).lstrip(" :,").partition(": expected an object")[0]
            continue
        cases, machine = document["cases"], document["machine"]
        timed = {cell["contestant"] for cell in document["cells"] if cell["median_s"] is not None}
        what = cases[0]["text"] if len(cases) == 1 else f"{len(cases)} cases of {cases[0]['base']}"
        when = document["run"]["started"][:10]
        cut = ", interrupted" if document["run"]["interrupted"] else ""
        yield path.name, f"{what}; {len(timed)} contestants; {when}, {machine['cpu']}, {machine['cores']} cores{cut}"
