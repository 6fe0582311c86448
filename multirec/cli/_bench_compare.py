"""``multirec bench compare``."""

from __future__ import annotations

import json
from collections.abc import Callable

import click

from multirec.bench.results.compare import Comparison, Pair, compare
from multirec.bench.results.format import Document
from multirec.bench.show.comparison import comparison_report
from multirec.errors import ArgumentError

from ._exit import Exit
from ._options import Percent
from ._print import print_lines, width
from ._results_file import RESULTS


@click.command(
    "compare",
    epilog="Exit codes: 0 fine, 2 wrong usage or nothing to compare, 3 a regression beyond --fail-on, 6 with --strict "
    "a regression can be neither found nor excluded.",
)
@click.argument("base", type=RESULTS)
@click.argument("new", type=RESULTS)
@click.option(
    "--fail-on",
    type=Percent(),
    metavar="PERCENT",
    help="Exit with 3 if a cell became slower by more than this, or broke.",
)
@click.option("--strict", is_flag=True, help="Exit with 6 if a regression cannot be ruled out, or a cell is missing.")
@click.option(
    "--ratios", is_flag=True, help="Compare ratios to the reference even on one machine, which cancels its drift."
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON instead of a table.")
def command(base: Document, new: Document, fail_on: float | None, strict: bool, ratios: bool, as_json: bool) -> int:
    """Compare the runs BASE and NEW: what became faster or slower.

    Cells with the same case, mode and contestant are compared: by their medians if both runs are from one machine,
    else by their ratios to the reference, since raw times of different machines cannot be compared.

    \b
    Examples:
      multirec bench compare before.json after.json
      multirec bench compare main.json branch.json --fail-on 5 --strict
    """  # noqa: D301
    try:
        found = compare(base, new, ratios)
    except ArgumentError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(_json(found))
    else:
        print_lines(comparison_report(found, width()))
    beyond = (fail_on or 0.0) / 100
    if fail_on is not None and _told(f"regression beyond {fail_on:g} %", found, lambda pair: pair.regressed(beyond)):
        return int(Exit.REGRESSION)
    if strict and _told(
        f"regression beyond {fail_on or 0:g} % not excluded", found, lambda pair: pair.doubtful(beyond)
    ):
        return int(Exit.UNCLEAR)
    return int(Exit.OK)


def _told(what: str, found: Comparison, concerns: Callable[[Pair], bool]) -> bool:
    """Name on stderr the pairs that fail the gate, and return whether there are any."""
    names = [f"{pair.contestant} {pair.mode} {pair.case}" for pair in found.pairs if concerns(pair)]
    if names:
        click.echo(f"{what}: {'; '.join(names)}", err=True)
    return bool(names)


def _json(found: Comparison) -> str:
    pairs = [pair._asdict() for pair in found.pairs]
    mean = dict(zip(("speed", "low", "high"), found.mean, strict=True)) if found.mean else None
    return json.dumps({"by": found.by, "geometric_mean": mean, "pairs": pairs, "notes": found.notes}, indent=1)
