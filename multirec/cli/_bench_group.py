"""``multirec bench``: a group whose first command, ``run``, need not be named."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import click

from multirec.bench.cases.named import NAMED
from multirec.bench.host import interrupt

from ._lazy import Known, LazyGroup

_COMMANDS = {
    "run": Known("_bench", "Check and time contestants. This is the default: the word may be omitted."),
    "show": Known("_bench_show", "Show a saved run as a table, Markdown, CSV or JSON, or in the style of torch."),
    "compare": Known("_bench_compare", "Compare two saved runs: what became faster or slower. Can fail a CI job."),
    "plot": Known(
        "_bench_plot", "Plot saved runs: scaling, ratios, memory bandwidth, memory; or write an HTML report."
    ),
    "history": Known("_bench_history", "Show how speed changed over saved runs: a table or a plot with steps marked."),
    "record": Known("_bench_record", "Run a program and write which problems it has multirec compute, to time them."),
    "env": Known("_bench_env", "Show how well this machine is suited to measuring, and what would help."),
    "list": Known("_bench_list", "List cases, contestants, and saved runs."),
}
# closer than this to a command's name, a word is a slip rather than the name of a case
_SLIP = 0.75


class _BenchGroup(LazyGroup):
    """What does not begin with a command is for ``run``, whose help is the group's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        completing_the_first_word = ctx.resilient_parsing and not args
        if not completing_the_first_word and not (args and args[0] in {*self.known, *ctx.help_option_names}):
            args = ["run", *self._without_slips(ctx, args)]
        return super().parse_args(ctx, args)

    def _without_slips(self, ctx: click.Context, args: list[str]) -> list[str]:
        close = get_close_matches(args[0], [*NAMED, *self.known], n=1, cutoff=_SLIP) if args else []
        if close and close[0] in self.known and not ctx.resilient_parsing:
            ctx.fail(f"no command named {args[0]!r}. Did you mean {close[0]!r}?")
        return args

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "run":
            # only a run has something to keep
            interrupt.release()
        return super().get_command(ctx, cmd_name)

    def _run(self, ctx: click.Context) -> tuple[click.Command, click.Context]:
        run = self.get_command(ctx, "run")
        assert run is not None
        return run, run.context_class(run, info_name=ctx.info_name, parent=ctx.parent)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        run, own = self._run(ctx)
        run.format_usage(own, formatter)
        formatter.write_usage(ctx.command_path, "COMMAND [ARGS]...", prefix=" " * len("Usage: "))
        run.format_help_text(own, formatter)
        run.format_options(own, formatter)
        self.format_commands(ctx, formatter)
        run.format_epilog(own, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        run, own = self._run(ctx)
        commands = [item for item in super().shell_complete(ctx, incomplete) if not item.value.startswith("-")]
        cases = next(param for param in run.params if param.name == "cases").shell_complete(own, incomplete)
        return commands + cases + run.shell_complete(own, incomplete)


@click.group("bench", cls=_BenchGroup, known=_COMMANDS)
def command() -> None:
    """Check every contestant on this machine, then time it."""
