"""The command ``multirec``. Sub-commands are imported when they are asked for."""

from __future__ import annotations

import io
import sys
from typing import NoReturn

import click

from multirec.bench.host import interrupt

from ._lazy import Known, LazyGroup

__all__ = ["cli", "main"]

_COMMANDS = {
    "bench": Known("_bench_group", "Check every contestant on this machine, then time it."),
    "backends": Known("_backends", "List the backends, and what is missing for those that cannot run."),
    "explain": Known("_explain", "Show which backend 'auto' picks for a problem, and why."),
    "check": Known("_check", "Check that backends compute correct values and gradients here."),
}
_EXIT_INTERRUPTED = 130


@click.group(
    cls=LazyGroup,
    known=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every command has its own --help, with examples.",
)
@click.version_option(package_name="multirec-bank", prog_name="multirec")
def cli() -> None:
    """Linear recurrences of any order, one filter per channel, on the backend that fits the machine.

    \b
    multirec bench                       how fast is each backend on this machine?
    multirec bench -b numba -b scipy     compare only these two
    multirec backends                    which backends are installed, and what the others need
    multirec explain -C 128 -T 16000     which backend 'auto' picks, and why
    multirec check numba                 are its values and gradients correct on this machine?
    """  # noqa: D301


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code: see ``multirec bench --help`` for what codes mean."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a pipe on Windows has few characters; stderr writes the others like this by itself
        sys.stdout.reconfigure(errors="backslashreplace")
    words = sys.argv[1:] if args is None else args
    if words[:1] == ["bench"]:
        # a run acts on it where its results can be kept
        interrupt.hold()
    else:
        interrupt.release()
    try:
        code = cli.main(args, prog_name="multirec", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = _EXIT_INTERRUPTED
    if interrupt.pressed():
        code = _EXIT_INTERRUPTED
    sys.exit(code if isinstance(code, int) else 0)
