"""``multirec bench history``."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from multirec.bench.results.format import Document
from multirec.bench.results.history import Place, Track, history
from multirec.bench.results.load import load
from multirec.bench.show.history import history_report, label
from multirec.errors import ArgumentError

from ._output import check_writable, save
from ._print import print_lines, width
from ._results_file import RESULTS

_PICTURES = ".png", ".svg"


@click.command("history", epilog="Exit codes: 0 fine, 2 wrong usage, or no run to show.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE|FOLDER...")
@click.option("-b", "--backend", "names", multiple=True, metavar="NAME", help="Show this contestant; repeatable.")
@click.option(
    "--by",
    type=click.Choice(["date", "commit"]),
    default="date",
    show_default=True,
    help="The order of runs: that of their dates, or of their commits in the clone of the current folder.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Draw it to this .png or .svg file, too.")
@click.option("--force", is_flag=True, help="Overwrite the file of --output if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the history as JSON instead of tables.")
def command(
    paths: tuple[Path, ...], names: tuple[str, ...], by: str, output: Path | None, force: bool, as_json: bool
) -> int:
    """Show how speed changed over saved runs, such as one a commit.

    Each machine (processor, cores, threads, GPUs) has a history of its own. Times are shown in copies of memory, which
    each run times in its own rounds: so a machine that was slower one day is no step. A step is marked where a time
    leaves that of the first run since the last step, beyond both intervals and the A/A floor.

    \b
    Examples:
      multirec bench history results/
      multirec bench history monday.json tuesday.json -b numba
      multirec bench history results/ --by commit -o history.svg
    """  # noqa: D301
    if output is not None:
        _check_picture(output, force)
    documents, notes = _loaded(paths)
    places = history(documents, _order(by, documents), names)
    if not any(place.tracks for place in places):
        known = sorted({cell["contestant"] for document in documents for cell in document["cells"]})
        raise click.UsageError(f"no run has {' or '.join(names)}. The runs have {', '.join(known)}.")
    if output is not None:
        _draw(places, output)
    if as_json:
        click.echo(json.dumps({"machines": [_as_dict(place) for place in places], "notes": notes}, indent=1))
    else:
        print_lines(history_report(places, notes, width()))
    return 0


def _loaded(paths: Sequence[Path]) -> tuple[list[Document], list[str]]:
    """Return the runs of files and of all files in folders, and which of the latter are none."""
    found: dict[Path, Document] = {}
    notes = []
    for path in paths:
        if not path.is_dir():
            found[path.resolve()] = RESULTS.convert(path, None, None)
            continue
        for file in sorted(path.glob("*.json")):
            try:
                found[file.resolve()] = load(file)
            except ArgumentError as error:
                notes.append(f"left out: {error}")
    if not found:
        raise click.UsageError(" ".join([f"there is no saved run in {', '.join(map(str, paths))}.", *notes]))
    notes += [f"{label(each)} was interrupted" for each in found.values() if each["run"]["interrupted"]]
    return list(found.values()), notes


def _order(by: str, documents: Sequence[Document]) -> Callable[[Document], Any]:
    def date(document: Document) -> str:
        return document["run"]["started"]

    if by == "date":
        return date
    commits = [document["git"]["commit"] if document["git"] else None for document in documents]
    if None in commits:
        raise click.UsageError("--by commit: some runs are of no commit, for they were made outside of a clone.")
    command = ["git", "rev-list", "--topo-order", "--reverse", *dict.fromkeys(commit for commit in commits if commit)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        why = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[0]
        raise click.UsageError(
            f"--by commit: git does not know all commits here ({why}). Run it in the clone."
        ) from None
    places = {commit: place for place, commit in enumerate(done.stdout.split())}
    return lambda document: (places[document["git"]["commit"]] if document["git"] else 0, date(document))


def _check_picture(output: Path, force: bool) -> None:
    if output.suffix.lower() not in _PICTURES:
        raise click.UsageError(f"--output {output}: its suffix must be {' or '.join(_PICTURES)}.")
    if find_spec("matplotlib") is None:
        raise click.UsageError("plots need matplotlib. Install it with: pip install 'multirec-bank[bench]'")
    check_writable(output, force)


def _draw(places: Sequence[Place], output: Path) -> None:
    from multirec.bench.show.history_figure import history_figure

    out = io.BytesIO()
    try:
        history_figure(places).savefig(out, format=output.suffix.lower().removeprefix("."), dpi=160)
    except ArgumentError as error:
        raise click.UsageError(str(error)) from None
    save(output, out.getvalue())


def _as_dict(place: Place) -> dict[str, Any]:
    return {"machine": place.machine, "runs": list(_runs(place)), "tracks": [_track(track) for track in place.tracks]}


def _runs(place: Place) -> Iterator[dict[str, Any]]:
    for run in place.runs:
        yield {"name": run["run"]["name"], "started": run["run"]["started"], "git": run["git"]}


def _track(track: Track) -> dict[str, Any]:
    return track._asdict() | {"points": [point._asdict() for point in track.points]}
