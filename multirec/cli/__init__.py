"""The command ``multirec``. Sub-commands are imported when they are asked for."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, NoReturn

import click

__all__ = ["cli", "main"]

_COMMANDS = {
    "bench": "Time every contestant on this machine, after checking its values and gradients.",
    "backends": "List the backends, and what each one that cannot run lacks.",
    "explain": "Say which backend 'auto' picks for a problem, and why.",
    "check": "Check backends for conformance on this machine.",
}
_EXIT_INTERRUPTED = 130


class _Lazy(click.Group):
    """A group whose commands are known by name and summary, and imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"multirec.cli._{cmd_name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        from difflib import get_close_matches

        close = get_close_matches(args[0], _COMMANDS, n=1)
        if args[0] not in _COMMANDS and close:
            ctx.fail(f"no command named {args[0]!r}. Did you mean {close[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Each command has its own --help, with examples.",
)
@click.version_option(package_name="multirec-bank", prog_name="multirec")
def cli() -> None:
    """Linear recurrences of any order, a filter for each channel, on the backend that suits the machine.

    \b
    multirec bench                       the main question: how fast is each backend here?
    multirec bench -b numba -b scipy     only these two
    multirec backends                    what is installed, and what is lacking
    multirec explain -C 128 -T 16000     which backend 'auto' picks, and why
    multirec check numba                 are its values and gradients right on this machine?
    """  # noqa: D301


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code: see ``multirec bench --help`` for what codes mean."""
    try:
        code = cli.main(args, prog_name="multirec", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = _EXIT_INTERRUPTED
    sys.exit(code if isinstance(code, int) else 0)
