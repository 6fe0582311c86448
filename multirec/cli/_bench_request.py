"""From the options of ``multirec bench`` to a request, with what is wrong with them in words."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from math import prod
from pathlib import Path
from typing import Any, get_args

import click

from multirec._core.problem import Layout
from multirec.bench.cases.axes import parse_axis
from multirec.bench.cases.case import DTYPES, MODES, Case, Mode
from multirec.bench.cases.named import case_named, swept
from multirec.bench.contestants import Contestant, named, ready
from multirec.bench.measure.request import PRESETS, Request
from multirec.bench.results.format import PresetName
from multirec.bench.results.recording import Replay

MOST_CELLS = 500
# a first look: those that a user asks about first, on a problem that the slowest of them has time for
_QUICK = ("numba", "torch_loop", "unfold_scan", "scipy")
_QUICK_SIZES = {"batch": 8, "length": 1000}


class Axis(click.ParamType[list[int]]):
    """Counts: one value, a list, or a range."""

    name = "axis"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        try:
            return parse_axis(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Choices(click.ParamType[list[str]]):
    """One of some words, or several of them with commas between."""

    name = "choices"

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        found = [word.strip() for word in str(value).split(",")]
        for word in found:
            if word not in self.words:
                close = get_close_matches(word, self.words, n=1)
                hint = f" Did you mean {close[0]!r}?" if close else ""
                self.fail(f"{word!r} is not one of {', '.join(self.words)}.{hint}", param, ctx)
        return list(dict.fromkeys(found))

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return f"[{'|'.join(self.words)}]"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(word) for word in self.words if word.startswith(incomplete)]


AXIS = Axis()
DTYPE = Choices(DTYPES)
LAYOUT = Choices(get_args(Layout))
MODE = Choices([*MODES, "both"])


def request(
    cases: Sequence[str],
    recorded: Replay | None,
    names: Sequence[str],
    axes: dict[str, list[Any] | None],
    mode: list[str] | None,
    quick: bool,
    rigorous: bool,
    seconds: float | None,
    output: Path | None,
    sweep_is_meant: bool,
) -> tuple[Request, list[str]]:
    """Return the request, and notes on contestants that do not take part."""
    if quick and rigorous:
        raise click.UsageError("--quick and --rigorous ask for opposite things. Give one of them, or --time.")
    preset: PresetName = "quick" if quick else "rigorous" if rigorous else "default"
    given = {axis: values for axis, values in axes.items() if values is not None}
    modes = _modes(mode, recorded)
    if recorded is not None:
        _check_alone(cases, given)
        bases = recorded.cases
    else:
        bases = _bases(cases)
    count = len(bases) * len(modes) * prod(map(len, given.values()))
    contestants, notes = _chosen(names, bases, modes)
    if quick and not names and recorded is None:
        contestants, more = _few(contestants)
        notes += more
    if quick and not cases and recorded is None and not given:
        given |= {axis: [size] for axis, size in _QUICK_SIZES.items()}
        notes.append("--quick times a smaller problem; -B 32 -T 16000 has the default case's size")
    if count * len(contestants) > MOST_CELLS and not sweep_is_meant:
        raise click.UsageError(
            f"this is {count * len(contestants)} cells: {count} combinations of case, sizes and mode, for "
            f"{len(contestants)} contestants. Name fewer with -b, take fewer values, or add --yes to mean it."
        )
    try:
        found = [case for base in bases for case in swept(base, given)]
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    unique = list(dict.fromkeys(found))
    command = shlex.join(["multirec", *sys.argv[1:]])
    name = output.stem if output is not None else command
    return Request(contestants, unique, modes, preset, seconds or PRESETS[preset].seconds, 0, name, command), notes


def _modes(mode: list[str] | None, recorded: Replay | None) -> tuple[Mode, ...]:
    if mode is not None:
        return MODES if "both" in mode else tuple(each for each in MODES if each in mode)
    if recorded is None:
        return MODES
    called = {row["mode"] for row in recorded.recording["calls"]}
    return tuple(each for each in MODES if each in called)


def _check_alone(cases: Sequence[str], given: dict[str, list[Any]]) -> None:
    """Raise if a recording is to be timed and other problems are asked for, too."""
    if cases or given:
        what = f"the case {cases[0]!r}" if cases else f"--{next(iter(given))}"
        raise click.UsageError(f"--recorded times the problems of its file as they are. Leave {what} out.")


def _bases(cases: Sequence[str]) -> list[Case]:
    try:
        return [case_named(name) for name in cases or ["biquads"]]
    except ValueError as error:
        saved = [name for name in cases if name.endswith(".json")]
        hint = f" To see a saved run: multirec bench show {shlex.quote(saved[0])}" if saved else ""
        raise click.UsageError(f"{error}{hint}") from None


def _chosen(names: Sequence[str], cases: Sequence[Case], modes: Sequence[Mode]) -> tuple[list[Contestant], list[str]]:
    """Return the contestants that were named; or all that are here and made for any of the cases."""
    if names:
        try:
            return named(tuple(names)), []
        except ValueError as error:
            lists = [name for name in names if "," in name]
            each = " ".join(f"-b {name}" for name in lists[0].split(",")) if lists else ""
            raise click.UsageError(f"{error} Give each name its own -b: {each}" if lists else str(error)) from None
    contestants, absent = ready()
    fitting = [
        each for each in contestants if any(each.declines(case, mode) is None for case in cases for mode in modes)
    ]
    unfit = [each.name for each in contestants if each not in fitting]
    notes = [f"cannot run here: {', '.join(absent)} (multirec bench -b NAME says why)"] if absent else []
    what = "this case" if len(cases) == 1 else "these cases"
    return fitting, notes + ([f"not made for {what}: {', '.join(unfit)} (-b NAME says why)"] if unfit else [])


def _few(contestants: list[Contestant]) -> tuple[list[Contestant], list[str]]:
    """Return those that a first look is at, and a note; all where fewer than two of these are here."""
    few = [each for each in contestants if each.name in _QUICK]
    if len(few) < 2:
        return contestants, []
    left_out = ", ".join(each.name for each in contestants if each not in few)
    return few, [f"left out of --quick: {left_out} (-b NAME has it)"] if left_out else []
