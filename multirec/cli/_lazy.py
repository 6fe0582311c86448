"""A group of commands that are known by name and summary, and imported on use."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import click


class Known(NamedTuple):
    """A command: the module of this package that holds it as `command`, and its summary."""

    module: str
    summary: str


class LazyGroup(click.Group):
    """A group that imports a command when it is asked for.

    Parameters
    ----------
    known
        The commands by name, in the order of the help.
    """

    def __init__(self, *args: Any, known: dict[str, Known], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.known = known

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.known)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.known:
            return None
        command: click.Command = import_module(f"multirec.cli.{self.known[cmd_name].module}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        from difflib import get_close_matches

        close = get_close_matches(args[0], self.known, n=1)
        if args[0] not in self.known and close:
            ctx.fail(f"no command named {args[0]!r}. Did you mean {close[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, known.summary) for name, known in self.known.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        # known without importing any of them
        found = [CompletionItem(name, help=known.summary) for name, known in self.known.items()]
        own = click.Command.shell_complete(self, ctx, incomplete)
        return [item for item in found if item.value.startswith(incomplete)] + own
