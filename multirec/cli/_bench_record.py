"""``multirec bench record``."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from multirec._registry.registry import RECORD
from multirec.bench.results.origin import versions
from multirec.bench.results.recording import merged

from ._exit import Exit
from ._output import check_writable, save

_LIBRARIES = "torch", "jax", "llvmlite"


@click.command(
    "record",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Exit codes: those of COMMAND; 2 wrong usage, 5 it called nothing of multirec (and ended with 0).",
)
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default="recorded.json",
    show_default=True,
    help="The file that the problems are written to.",
)
@click.option("--force", is_flag=True, help="Overwrite the file of --output if it exists.")
def command(words: tuple[str, ...], output: Path, force: bool) -> int:
    """Run COMMAND, and write which problems it and its processes have multirec compute, and how often.

    The file has shapes, layouts, data types and counts: no array, no argument of COMMAND, nothing that names the
    machine. `multirec bench run --recorded FILE` times just these problems. COMMAND is run as it is, without a shell.

    \b
    Examples:
      multirec bench record python train.py --epochs 1
      multirec bench record -o app.json -- torchrun --nproc-per-node 2 train.py
      multirec bench run --recorded app.json
    """  # noqa: D301
    check_writable(output, force)
    started = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="multirec-record-") as folder:
        code = _run(words, folder)
        parts = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("*.json"))]
    found = merged([part for part in parts if part], started, versions(_LIBRARIES))
    if not found["problems"]:
        click.echo("It called nothing of multirec: no file is written.", err=True)
        return code or int(Exit.NOTHING_RAN)
    save(output, json.dumps(found, indent=1))
    click.echo(f"{output}: {_summary(found)}", err=True)
    return code


def _run(words: Sequence[str], folder: str) -> int:
    """Run a command to its end, which Ctrl-C is for it to decide, and return its exit code."""
    try:
        process = subprocess.Popen(words, env=os.environ | {RECORD: folder})
    except OSError as error:
        raise click.UsageError(f"{words[0]!r} cannot be run: {error.strerror}. Write it as in a shell.") from None
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            continue
        return code if code >= 0 else 128 - code


def _summary(found: Any) -> str:
    problems, processes = found["problems"], found["processes"]
    calls = {each: sum(row[each] for row in problems) for each in ("forward", "backward")}
    several = f", in {processes} processes" if processes > 1 else ""
    word = "problem" if len(problems) == 1 else "problems"
    return f"{len(problems)} {word}, {calls['forward']} calls forward and {calls['backward']} backward{several}"
