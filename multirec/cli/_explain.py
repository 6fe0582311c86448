"""``multirec explain``."""

from __future__ import annotations

from importlib.util import find_spec
from typing import get_args

import click

from multirec._core.problem import ComputeDtype, Family, Layout, Spec, join_shape
from multirec._registry.registry import registry
from multirec.backend import COMPLEX_DTYPES, HALF_DTYPES, REAL_DTYPES
from multirec.errors import MultirecError

from ._exit import Exit
from ._options import COUNT

_FAMILIES: tuple[Family, ...] = get_args(Family)
_LAYOUTS: tuple[Layout, ...] = get_args(Layout)
_LIKE = {"static": (), "per-example": ("batch",), "time-varying": ("batch", "time")}


@click.command("explain", epilog="Exit codes: 0 a backend was found, 2 wrong usage, 5 none computes this.")
@click.option("-B", "--batch", type=COUNT, default=32, show_default=True, help="Number of signals in a batch.")
@click.option("-C", "--channels", type=COUNT, default=128, show_default=True, help="Number of filters.")
@click.option("-T", "--length", type=COUNT, default=16000, show_default=True, help="Samples per signal.")
@click.option("--order", type=click.IntRange(min=0), default=2, show_default=True, help="Filter order; 0 is FIR.")
@click.option(
    "--dtype", type=click.Choice([*HALF_DTYPES, *REAL_DTYPES, *COMPLEX_DTYPES]), default="float32", show_default=True
)
@click.option(
    "--compute-dtype", type=click.Choice(REAL_DTYPES), help="Precision of the arithmetic, if not that of the signal."
)
@click.option(
    "--layout", type=click.Choice(_LAYOUTS), default="BCT", show_default=True, help="Order of the axes of x and y."
)
@click.option("--coefficients", type=click.Choice(list(_LIKE)), default="static", show_default=True)
@click.option("--dense", is_flag=True, help="x has one channel per filter, instead of one for all.")
@click.option("--reverse", is_flag=True, help="Time runs backwards.")
@click.option(
    "--family", type=click.Choice(_FAMILIES), default="torch", show_default=True, help="The library that x belongs to."
)
@click.option("--device", default="cpu", show_default=True, help="The device of x: cpu, cuda:0, …")
@click.option("-b", "--backend", default="auto", show_default=True, help="Ask about this backend instead of 'auto'.")
def command(
    batch: int,
    channels: int,
    length: int,
    order: int,
    dtype: str,
    compute_dtype: ComputeDtype | None,
    layout: Layout,
    coefficients: str,
    dense: bool,
    reverse: bool,
    family: Family,
    device: str,
    backend: str,
) -> int:
    """Show which backend computes a problem, and why each other one does not. Nothing is computed.

    \b
    Examples:
      multirec explain
      multirec explain --coefficients time-varying --order 1
      multirec explain --family jax --layout TBC -B 1 -T 1000000
      multirec explain -b cupy --device cuda:0
    """  # noqa: D301
    from multirec._core.validate import Choices, build_call
    from multirec._registry.choice import explain_problem

    if family == "jax" and find_spec("jax"):
        # finds out what JAX's programs can call
        import multirec._jax.host_call  # noqa: F401

    _check_device(family, device)
    kind = _LIKE[coefficients]
    examples, steps = batch if "batch" in kind else 1, length if "time" in kind else 1

    def taps(count: int) -> Spec:
        if not kind:
            shape: tuple[int, ...] = (channels, count)
        elif "time" in kind:
            shape = (*join_shape((examples,), channels, steps, layout), count)
        else:
            shape = (examples, channels, count)
        return Spec(shape, dtype, family, device)

    x = Spec(join_shape((batch,), channels if dense else 1, length, layout), dtype, family, device)
    choices = Choices(layout, reverse, backend, compute_dtype)
    try:
        call = build_call(x, taps(order + 1), taps(order) if order else None, None, None, choices)
        explanation = explain_problem(call.problem, backend)
    except MultirecError as error:
        raise click.UsageError(str(error)) from None
    click.echo(str(explanation))
    return int(Exit.OK if explanation.chosen is not None else Exit.NOTHING_RAN)


def _check_device(family: Family, device: str) -> None:
    known = {known for _, info, _ in registry.installed() if info is not None for known in info.devices}
    kind, colon, index = device.partition(":")
    if kind not in known or (colon and not index.isdigit()):
        names = ", ".join(sorted(known))
        raise click.UsageError(f"no installed backend knows a device {device!r}. Write {names}, or cuda:0 and so on.")
    if kind != {"numpy": "cpu", "cupy": "cuda"}.get(family, kind):
        raise click.UsageError(f"{family} has no arrays on {device}. Ask for another --family, or another --device.")
