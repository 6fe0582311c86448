"""``multirec bench plot``."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import click

from multirec.bench.results.format import Axis, Document
from multirec.bench.show.panels import METRICS, swept_axes
from multirec.errors import ArgumentError

from ._output import check_writable, save
from ._results_file import RESULTS

_PICTURES = (".png", ".svg")
_PAGES = (".html", ".htm")


@click.command("plot", epilog="Exit codes: 0 fine, 2 wrong usage, matplotlib is missing, or there is nothing to draw.")
@click.argument("documents", type=RESULTS, nargs=-1, required=True, metavar="FILE...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default="bench.html",
    show_default=True,
    help="A .png or .svg file gets one figure; an .html file is a report with the tables and all figures.",
)
@click.option("--what", type=click.Choice([*METRICS]), help="What the figure shows.  [default: time]")
@click.option("--axis", type=click.Choice(get_args(Axis)), help="The axis to plot along.  [default: the one swept]")
@click.option("--force", is_flag=True, help="Overwrite the file of --output if it exists.")
def command(documents: tuple[Document, ...], output: Path, what: str | None, axis: Axis | None, force: bool) -> int:
    """Plot saved runs: times, ratios, fractions of memory bandwidth, memory.

    Runs that swept an axis (-T, -C, --order, -B) become lines along it; others are shown side by side. Several files
    are plotted together, labelled with the names of their runs. The HTML report is a single file that follows the
    reader's light or dark setting.

    \b
    Examples:
      multirec bench plot results.json
      multirec bench plot sweep.json -o scaling.svg
      multirec bench plot laptop.json server.json -o both.png --what ratio
    """  # noqa: D301
    suffix = output.suffix.lower()
    if suffix not in (*_PICTURES, *_PAGES):
        raise click.UsageError(f"--output {output}: its suffix must be {', '.join(_PICTURES)} or .html.")
    if suffix in _PAGES and (what or axis):
        raise click.UsageError("--what and --axis choose the figure of a .png or .svg; an HTML report has all of them.")
    swept = swept_axes(documents)
    if axis is not None and axis not in swept:
        known = f"Swept: {', '.join(swept)}." if swept else "None was swept."
        raise click.UsageError(f"--axis {axis}: no cases of these files differ along it alone. {known}")
    if find_spec("matplotlib") is None:
        raise click.UsageError("plots need matplotlib. Install it with: pip install 'multirec-bank[bench]'")
    check_writable(output, force)
    _tell_apart(documents)
    try:
        if suffix in _PAGES:
            from multirec.bench.show.html import html_report

            content: str | bytes = html_report(documents)
        else:
            from multirec.bench.show.draw import figure

            content = _picture(figure(documents, what or "time", axis or next(iter(swept), None)), suffix)
    except ArgumentError as error:
        raise click.UsageError(str(error)) from None
    save(output, content)
    click.echo(output)
    return 0


def _tell_apart(documents: Sequence[Document]) -> None:
    """Number the runs of one name, which would else be drawn as one."""
    names = [document["run"]["name"] for document in documents]
    for place, document in enumerate(documents):
        if names.count(names[place]) > 1:
            document["run"]["name"] += f" ({names[: place + 1].count(names[place])})"


def _picture(drawn: Any, suffix: str) -> bytes:
    out = io.BytesIO()
    drawn.savefig(out, format=suffix.removeprefix("."), dpi=160)
    return out.getvalue()
