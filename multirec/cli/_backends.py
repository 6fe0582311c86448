"""``multirec backends``."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from ._exit import Exit

_STYLES = {"ready": "green", "missing": "yellow", "broken": "red"}


@click.command(
    "backends",
    epilog="Exit codes: 0 at least one backend is ready, 5 none is.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
def command(as_json: bool) -> int:
    """List the backends, and what is missing for those that cannot run here.

    Every backend is imported to find its devices, which takes a few seconds.

    \b
    Examples:
      multirec backends
      multirec backends --json
    """  # noqa: D301
    from multirec._registry.probe import backends

    found = backends()
    if as_json:
        click.echo(json.dumps([asdict(status) for status in found.values()], indent=1))
    else:
        from rich.console import Console
        from rich.table import Table

        console = Console()
        table = Table(box=None, pad_edge=False)
        for title in ("backend", "status", "devices", "version", "what it is"):
            table.add_column(title, overflow="fold")
        for name, status in sorted(found.items(), key=lambda item: item[1].status != "ready"):
            state = f"[{_STYLES[status.status]}]{status.status}[/]"
            about = status.summary
            if status.status != "ready":
                about = " ".join(part for part in (f"{status.reason}.".replace("..", "."), status.fix) if part != ".")
            table.add_row(name, state, ", ".join(status.devices), status.version, about.replace("[", r"\["))
        console.width = min(console.width, 100) if console.is_terminal else 100
        console.print(table)
    return int(Exit.OK if any(status.status == "ready" for status in found.values()) else Exit.NOTHING_RAN)
