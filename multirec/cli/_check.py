"""``multirec check``."""

from __future__ import annotations

import click

from multirec._registry.registry import registry
from multirec.errors import BackendBrokenError, BackendMissingError, UnknownBackendError

from ._exit import Exit


@click.command(
    "check",
    epilog="Exit codes: 0 all is right, 2 wrong usage, 4 something is wrong, 5 nothing could be checked.",
)
@click.argument("names", nargs=-1, metavar="[BACKEND]...")
@click.option("-v", "--verbose", is_flag=True, help="Also list the checks that passed.")
def command(names: tuple[str, ...], verbose: bool) -> int:
    """Check backends on this machine: values and gradients against a float64 reference, layouts, states, edge cases.

    Without a name it checks every backend that can run here, including those of other packages.

    \b
    Examples:
      multirec check
      multirec check numba torch_loop
    """  # noqa: D301
    wrong, checked = False, 0
    for name in names or [name for name, info, _ in registry.installed() if info is not None]:
        try:
            wrong |= not _check(name, verbose)
        except UnknownBackendError as error:
            raise click.UsageError(str(error)) from None
        except (BackendMissingError, BackendBrokenError) as error:
            click.echo(f"{name}: not checked: {error}")
            continue
        checked += 1
    if not checked:
        return int(Exit.NOTHING_RAN)
    return int(Exit.WRONG if wrong else Exit.OK)


def _check(name: str, verbose: bool) -> bool:
    from rich.console import Console

    from multirec.testing.checks import check_backend, subjects_of, unchecked

    with Console(stderr=True).status(name) as status:
        results = check_backend(name, lambda done, total, text: status.update(f"{name} {done}/{total} {text}"))
    failures = [result for result in results if not result.ok]
    for result in results if verbose else failures:
        click.echo(
            f"{name}: {'ok   ' if result.ok else 'WRONG'} {result.name}{': ' if result.detail else ''}{result.detail}"
        )
    rest = unchecked(name, subjects_of(name))
    if rest:
        click.echo(f"{name}: not checked here: {', '.join(rest)}")
    click.echo(f"{name}: {len(results) - len(failures)} of {len(results)} checks passed")
    return not failures
