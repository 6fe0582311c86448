"""``multirec bench env``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import click

from multirec.bench.results.format import Machine
from multirec.bench.show.report import labelled
from multirec.bench.show.text import bytes_text, percent_text, seconds_text

from ._print import print_lines, width

_LIBRARIES = (
    "torch",
    "llvmlite",
    "numba",
    "jax",
    "scipy",
    "torchaudio",
    "philtorch",
    "torchlpc",
    "cupy-cuda12x",
    "cupy-cuda13x",
)


@click.command("env", epilog="Exit codes: 0 fine, 2 wrong usage.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def command(as_json: bool) -> int:
    """Show how well this machine is suited to measuring: threads, load, timer, memory bandwidth, noise, and advice.

    Memory bandwidth and the A/A floor, the difference between two equal programs, are measured in about two seconds.

    \b
    Examples:
      multirec bench env
      multirec bench env --json
    """  # noqa: D301
    from multirec.bench.measure.environment import advice, measure
    from multirec.bench.results.origin import describe_machine, versions

    machine = describe_machine()
    found = measure()
    sentences = list(advice(machine, found))
    if as_json:
        document = {"machine": machine, "versions": versions(_LIBRARIES), **found._asdict(), "advice": sentences}
        click.echo(json.dumps(document, indent=1))
    else:
        print_lines(labelled(_facts(machine, versions(_LIBRARIES), found), width()))
        click.echo()
        print_lines(labelled((("advice" if not place else "", text) for place, text in enumerate(sentences)), width()))
    return 0


def _facts(machine: Machine, versions: dict[str, str], found: Any) -> Iterator[tuple[str, str]]:
    memory = bytes_text(machine["memory_bytes"]) if machine["memory_bytes"] else "unknown"
    yield "machine", f"{machine['cpu']}, {machine['cores']} cores, {memory}, {machine['system']}"
    if machine["gpus"]:
        yield "gpus", ", ".join(machine["gpus"])
    limit = os.environ.get("OMP_NUM_THREADS")
    yield "threads", f"{machine['threads']} for kernels" + (f" (OMP_NUM_THREADS={limit})" if limit else "")
    load = machine["load_before"]
    yield "load", "unknown" if load is None else f"{load:.2f} over the last minute"
    yield "governor", machine["governor"] or "unknown, as is usual in virtual machines"
    yield "timer", f"step {seconds_text(machine['timer_resolution_s'], machine['timer_resolution_s'] / 10)}"
    yield "versions", ", ".join(f"{name} {version}" for name, version in versions.items())
    yield "memcpy", f"{found.memcpy / 1e9:.3g} GB/s moved (read + written) by a copy of warm memory"
    yield "A/A floor", f"±{percent_text(found.floor)}: two equal copies against each other, {found.rounds} rounds"
    if found.stolen is not None:
        yield "stolen", f"{percent_text(found.stolen)} of the processor's time went to other guests of the host"
