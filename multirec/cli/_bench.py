"""``multirec bench``."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, get_args

import click

from multirec.bench._case import DTYPES, MODES, Case, Mode
from multirec.bench._run import Run
from multirec.bench._write import document
from multirec.bench.contestants import Contestant, named, ready

from ._options import COUNT, Duration
from ._print import print_report


@click.command(
    "bench",
    epilog="Exit codes: 0 fine (also with cells unsupported, skipped or too slow), 2 wrong usage, 4 some values or "
    "gradients were wrong, 5 nothing could run, 7 a contestant crashed, timed out or ran out of memory, "
    "130 interrupted (what was measured is kept).",
)
@click.option(
    "-b",
    "--backend",
    "names",
    multiple=True,
    metavar="NAME",
    help="A contestant, peers included; repeatable. Without it: all that can run here.",
)
@click.option("-B", "--batch", type=COUNT, default=32, show_default=True, help="Signals in a batch.")
@click.option("-C", "--channels", type=COUNT, default=128, show_default=True, help="Filters.")
@click.option("-T", "--length", type=COUNT, default=16000, show_default=True, help="Samples of a signal.")
@click.option("--order", type=COUNT, default=2, show_default=True, help="Order of the filters.")
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True)
@click.option("--mode", type=click.Choice([*MODES, "both"]), default="both", show_default=True, help="What is timed.")
@click.option("--time", "seconds", type=Duration(), default="60s", show_default=True, help="Budget for all of it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the table.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Also save the JSON document to this file.")
@click.option("--force", is_flag=True, help="Let --output replace an existing file.")
def command(
    names: tuple[str, ...],
    mode: str,
    seconds: float,
    as_json: bool,
    output: Path | None,
    force: bool,
    **sizes: Any,
) -> int:
    """Time every contestant on this machine, after checking its values and gradients.

    Without options: the case x[32, 16000] -> y[32, 128, 16000], forward and forward+backward, on every backend that
    is ready here, the installed peers, and what people write first. Each runs in a process of its own, in
    interleaved rounds; nothing is timed before its values and gradients agree with the float64 reference.

    \b
    Examples:
      multirec bench
      multirec bench -b numba -b torch_loop --mode forward
      multirec bench -B 8 -C 64 -T 48000 --order 4 --time 30s
      multirec bench --json -o results.json
    """  # noqa: D301
    from ._progress import Reporter

    if output is not None:
        _check_writable(output, force)
    contestants, notes = _chosen(names)
    modes: tuple[Mode, ...] = MODES if mode == "both" else tuple(m for m in get_args(Mode) if m == mode)
    with Reporter() as reporter:
        results = Run(contestants, Case(**sizes), modes, seconds, reporter).go()
    results.notes.extend(notes)
    found: Any = document(results)
    text = json.dumps(found, indent=1, allow_nan=False)
    if output is not None:
        _save(output, text)
    if as_json:
        click.echo(text)
    else:
        print_report(found)
    return int(results.exit_code())


def _chosen(names: tuple[str, ...]) -> tuple[list[Contestant], list[str]]:
    if names:
        try:
            return named(names), []
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    contestants, absent = ready()
    return contestants, [f"not here: {', '.join(absent)} (multirec bench -b NAME says why)"] if absent else []


def _check_writable(output: Path, force: bool) -> None:
    if output.is_dir():
        raise click.UsageError(f"--output {output} is a folder. Name a file in it.")
    if output.exists() and not force:
        raise click.UsageError(f"--output {output} exists. Name another file, or add --force to replace it.")
    folder = output.parent
    if not folder.is_dir():
        raise click.UsageError(f"--output {output}: there is no folder {folder}. Create it first.")
    try:
        # a trial: permissions alone do not tell of read-only file systems
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise click.UsageError(f"--output {output}: the folder {folder} is not writable ({error.strerror}).") from None


def _save(output: Path, text: str) -> None:
    part = output.with_name(f".{output.name}.{os.getpid()}")
    part.write_text(text + "\n")
    part.replace(output)
