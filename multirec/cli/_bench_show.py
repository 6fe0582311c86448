"""``multirec bench show``."""

from __future__ import annotations

import json
from typing import Any

import click

from multirec.bench.results.format import Document

from ._print import print_report
from ._results_file import RESULTS


@click.command("show", epilog="Exit codes: 0 fine, 2 wrong usage or not a result of multirec bench.")
@click.argument("document", type=RESULTS, metavar="FILE")
@click.option(
    "-f",
    "--format",
    "kind",
    type=click.Choice(["table", "markdown", "csv", "json", "torch"]),
    default="table",
    show_default=True,
    help="'torch' is the table of torch.utils.benchmark.Compare; 'json' is the document itself.",
)
@click.option("-v", "--verbose", is_flag=True, help="All rows, reasons and notes.")
def command(document: Document, kind: str, verbose: bool) -> int:
    """Show a saved run.

    \b
    Examples:
      multirec bench show results.json
      multirec bench show results.json --format markdown
      multirec bench show results.json --format csv > results.csv
    """  # noqa: D301
    if kind == "table":
        print_report(document, verbose)
    else:
        click.echo(_text(document, kind), nl=False)
    return 0


def _text(document: Any, kind: str) -> str:
    from multirec.bench.show.export import as_csv, as_markdown, as_torch_compare

    if kind == "json":
        return json.dumps(document, indent=1) + "\n"
    return {"markdown": as_markdown, "csv": as_csv, "torch": as_torch_compare}[kind](document)
