"""``multirec bench run``, which is what ``multirec bench`` alone does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from multirec.bench.cases.named import NAMED
from multirec.bench.host import interrupt
from multirec.bench.host.clock import Budget
from multirec.bench.measure.run import Run
from multirec.bench.results.journal import JournalError, beside
from multirec.bench.results.recording import Replay
from multirec.bench.results.write import document

from ._bench_request import AXIS, DTYPE, LAYOUT, MODE, request
from ._exit import Exit, exit_of
from ._options import Duration
from ._output import check_writable, save
from ._print import print_report
from ._results_file import RECORDED


def _complete_case(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in NAMED if name.startswith(incomplete)]


def _complete_contestant(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from multirec.bench.contestants import registered

    return [name for name in registered() if name.startswith(incomplete)]


@click.command(
    "bench",
    epilog="Exit codes: 0 fine (also with cells unsupported, skipped or too slow), 2 wrong usage, 4 some values, "
    "gradients or times were wrong, 5 nothing could run, 7 a contestant crashed or ran out of memory, 8 one hung, "
    "130 interrupted (what was measured is kept).",
)
@click.argument("cases", nargs=-1, metavar="[CASE]...", shell_complete=_complete_case)
@click.option(
    "-b",
    "--backend",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=_complete_contestant,
    help="Time this backend or peer; repeatable.  [default: all that can run here]",
)
@click.option(
    "--recorded",
    type=RECORDED,
    metavar="FILE",
    help="Time the problems of a file of `multirec bench record`, instead of cases.",
)
@click.option("-B", "--batch", type=AXIS, metavar="N", help="Number of signals in a batch.")
@click.option("-C", "--channels", type=AXIS, metavar="N", help="Number of filters.")
@click.option("-T", "--length", type=AXIS, metavar="N", help="Samples per signal.")
@click.option("--order", type=AXIS, metavar="N", help="Filter order.")
@click.option("--dtype", type=DTYPE, help="Data type of x and y; with a half type, coefficients are float32.")
@click.option("--layout", type=LAYOUT, help="Order of the axes of x and y.")
@click.option("--mode", type=MODE, help="What to time.  [default: both, or what was recorded]")
@click.option("--time", "seconds", type=Duration(), help="Time budget for the whole run.  [default: 60s]")
@click.option("--quick", is_flag=True, help="A first look at the main contestants: a budget of 15s.")
@click.option("--rigorous", is_flag=True, help="Narrower intervals: a budget of 10min.")
@click.option("--yes", is_flag=True, help="Allow a sweep of more than 500 cells.")
@click.option("-v", "--verbose", is_flag=True, help="All rows, reasons and notes; else one case is a screen.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead of a table.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Also save the result as JSON to this file.")
@click.option("--force", is_flag=True, help="Overwrite the file of --output if it exists.")
@click.option("--resume", is_flag=True, help="Continue the interrupted run of --output.")
def command(
    cases: tuple[str, ...],
    names: tuple[str, ...],
    recorded: Replay | None,
    mode: list[str] | None,
    seconds: float | None,
    quick: bool,
    rigorous: bool,
    yes: bool,
    verbose: bool,
    as_json: bool,
    output: Path | None,
    force: bool,
    resume: bool,
    **axes: list[Any] | None,
) -> int:
    """Check every contestant on this machine, then time it.

    Without options it runs the case x[32, 16000] -> y[32, 128, 16000]: a bank of 128 filters of order 2 on 32 signals,
    forward and forward+backward. The contestants are all backends that can run here, the installed peers (such as
    SciPy, numba and torchaudio), and plain Python loops. Each runs in its own process. Values and gradients are
    compared with a float64 reference first, and only correct contestants are timed, in interleaved rounds.

    \b
    Cases: biquads (the default), dense, long, high-order, gated, layer, streaming, complex, overhead.
    Sizes: a number, a list (1k,4k) or a range (1k:64k:x4 or 1:9:2); every combination becomes a case.

    \b
    Examples:
      multirec bench
      multirec bench -b numba -b torch_loop --mode forward
      multirec bench dense gated --quick
      multirec bench -B 8 -C 64 -T 1k:64k:x4 --order 2,4 --time 2min
      multirec bench --json -o results.json
      multirec bench run --recorded app.json
    """  # noqa: D301
    from ._progress import Reporter

    asked, notes = request(cases, recorded, names, axes, mode, quick, rigorous, seconds, output, yes)
    budget = Budget(asked.effort.seconds)
    journal = _journal(output, force, resume)
    with Reporter(budget) as reporter:
        try:
            run = Run(asked, reporter, journal, resume, budget)
        except JournalError as error:
            raise click.UsageError(str(error)) from None
        results = run.go()
    results.notes.extend(notes)
    if results.run["interrupted"] and output is not None:
        results.notes.append("Interrupted. The same command with --resume continues.")
    found = document(results)
    if recorded is not None:
        found["recording"] = recorded.recording
    text = json.dumps(found, indent=1, allow_nan=False)
    if output is not None:
        save(output, text)
    run.journal.close(done=not results.run["interrupted"])
    if as_json:
        click.echo(text)
    else:
        print_report(found, verbose)
    return int(Exit.INTERRUPTED if interrupt.pressed() else exit_of(results))


def _journal(output: Path | None, force: bool, resume: bool) -> Path | None:
    """Return where the journal goes, once it is clear that the output can be written."""
    if output is None:
        if resume:
            raise click.UsageError("--resume continues the run of an --output. Name it with -o.")
        return None
    journal = beside(output)
    if journal.exists() and not (resume or force):
        raise click.UsageError(
            f"{journal} holds what an interrupted run measured. Add --resume to continue it, or --force to drop it."
        )
    if resume and not journal.exists():
        instead = "with --force, which replaces it" if output.exists() else "without --resume"
        raise click.UsageError(f"--resume: there is no {journal}, so nothing to continue. Run {instead}.")
    check_writable(output, force or resume)
    if not resume:
        journal.unlink(missing_ok=True)
    return journal
