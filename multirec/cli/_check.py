"""``multirec check``."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import click

from multirec._registry.registry import registry
from multirec.errors import BackendBrokenError, BackendMissingError, UnknownBackendError

from ._exit import Exit
from ._options import Duration
from ._watch import Watch

if TYPE_CHECKING:
    from multirec.testing.run import Planned

_TOOK = {
    "numba": "87 s",
    "reference": "22 s",
    "torch_loop": "16 s",
    "unfold_scan": "16 s",
    # the first 17 of 52, and a part of the next one, took 314 s of processor time
    "jax": "more than 5 minutes, for all that it compiles",
}
"""What the quick checks took on 2 cores of an AMD EPYC, before anything was compiled."""


@click.command(
    "check",
    epilog="Exit codes: 0 all is right, 2 wrong usage, 4 something is wrong, 5 nothing could be checked, 8 one hung.",
)
@click.argument("names", nargs=-1, metavar="[BACKEND]...")
@click.option("-q", "--quick", is_flag=True, help="Only float32 and complex128, for a backend that compiles for long.")
@click.option(
    "--limit",
    type=Duration(),
    default="10min",
    show_default=True,
    help="The time that a check may take before it counts as hung, which ends the command.",
)
@click.option("-v", "--verbose", is_flag=True, help="Also list the checks that passed.")
def command(names: tuple[str, ...], quick: bool, limit: float, verbose: bool) -> int:
    """Check backends on this machine: values and gradients against a float64 reference, layouts, states, edge cases.

    Without a name it checks every backend that can run here, including those of other packages.

    \b
    Examples:
      multirec check
      multirec check numba torch_loop
      multirec check jax --quick
    """  # noqa: D301
    wrong, checked = False, 0
    for name in names or [name for name, info, _ in registry.installed() if info is not None]:
        try:
            wrong |= not _check(name, quick, limit, verbose)
        except UnknownBackendError as error:
            raise click.UsageError(str(error)) from None
        except (BackendMissingError, BackendBrokenError) as error:
            click.echo(f"{name}: not checked: {error}")
            continue
        checked += 1
    if not checked:
        return int(Exit.NOTHING_RAN)
    return int(Exit.WRONG if wrong else Exit.OK)


def _check(name: str, quick: bool, limit: float, verbose: bool) -> bool:
    from multirec.testing.declarations import subjects_of, unchecked
    from multirec.testing.run import nothing_checked, planned

    plan = planned(name, quick)
    click.echo(f"{name}: {_announced(name, plan, quick)}", err=True)
    results = [] if plan else [nothing_checked(name)]
    start = monotonic()
    with Watch(limit) as watch:
        for number, each in enumerate(plan, 1):
            # a line each, also where nobody sees a terminal
            click.echo(f"{name}: [{monotonic() - start:5.1f} s] {number}/{len(plan)} {each.name}", err=True)
            watch.begins(f"{name}: HUNG  {each.name}")
            results.append(each.run())
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


def _announced(name: str, plan: list[Planned], quick: bool) -> str:
    """Say what is to come."""
    types = dict.fromkeys(subject.dtype for each in plan for subject in each.subjects)
    known = _TOOK.get(name) if quick else None
    took = f"they took {known}, on 2 cores, nothing compiled before" if known else "how long they take is not known"
    return f"{len(plan)} checks with {', '.join(types) or 'no data type'}; {took}"
