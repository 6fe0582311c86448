"""What several sequences in one row must give: the same as each of them alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .problems import Arguments, Case, TapsName, Wide, from_canonical, marks_of, to_canonical

__all__ = ["apart"]

Named: TypeAlias = dict[str, Wide]


class _Stretch(NamedTuple):
    """Samples of one row that are a sequence, the state that enters it, and the one that it leaves."""

    row: int
    start: int
    stop: int
    given: int | None
    kept: int | None


def _stretches(case: Case) -> Iterator[_Stretch]:
    marks, (batch,) = marks_of(case), case.batch
    cu_seqlens = marks.get("cu_seqlens")
    resets = marks.get("resets", np.zeros((batch, case.length), bool))
    resets = resets.T if case.layout == "TBC" and "resets" in marks else resets
    if cu_seqlens is None:
        lengths = marks.get("lengths", np.full(batch, case.length))
        bounds = [(row, 0, int(length)) for row, length in enumerate(lengths)]
    else:
        bounds = [(0, int(start), int(stop)) for start, stop in pairwise(cu_seqlens)]
    for state, (row, first, end) in enumerate(bounds):
        # a reset at the first sample leaves nothing before it; and with nothing to run, what is given is returned
        parts = [*pairwise([first, *(t for t in range(first, end) if resets[row, t]), end])]
        enters, leaves = (len(parts) - 1, 0) if case.reverse else (0, len(parts) - 1)
        for place, (start, stop) in enumerate(parts):
            yield _Stretch(row, start, stop, state if place == enters else None, state if place == leaves else None)


def apart(case: Case, given: Arguments, evaluate: Callable[[Case, Arguments], Any]) -> tuple[Named, Named]:
    """Return values and bounds of a case, in the user's axes, from those of each sequence alone."""
    values: Named = {}
    bounds: Named = {}
    for stretch in _stretches(case):
        length = stretch.stop - stretch.start
        own = replace(case, marks="none", batch=(1,), layout="BCT", length=length, state="both")
        found = evaluate(own, _cut(case, given, stretch))
        for whole, parts in ((values, found.values), (bounds, found.bounds)):
            for name, part in parts.items():
                _place(case, whole, name, part, stretch)
    wanted = {"none": (), "inputs": ("inputs",), "outputs": ("outputs",), "both": ("inputs", "outputs")}[case.state]
    for named in (values, bounds):
        for part in ("inputs", "outputs"):
            if part not in wanted:
                named.pop(f"gradient of state.{part}", None)
        for name, array in named.items():
            if "feed" not in name:
                named[name] = from_canonical(array, case.layout)
            elif getattr(case, name.removeprefix("gradient of ")) == "time_varying":
                named[name] = from_canonical(array, case.layout, taps=True)
    return values, bounds


def _cut(case: Case, given: Arguments, stretch: _Stretch) -> Arguments:
    """Return the arguments of a sequence alone, in layout "BCT"."""
    row, time = slice(stretch.row, stretch.row + 1), slice(stretch.start, stretch.stop)

    def signal(array: Wide | None) -> Wide | None:
        return None if array is None else to_canonical(array, case.layout)[row, :, time]

    def taps(name: TapsName, array: Wide | None) -> Wide | None:
        kind = getattr(case, name)
        if array is None or kind == "static":
            return array
        if kind == "per_example":
            return array[row]
        return to_canonical(array, case.layout, taps=True)[row, :, time]

    def state(array: Wide | None, place: int | None) -> Wide | None:
        if array is None:
            return None
        array = to_canonical(array, case.layout)
        return np.zeros_like(array[:1]) if place is None else array[place : place + 1]

    x = signal(given.x)
    assert x is not None
    return Arguments(
        x,
        taps("feedforward", given.feedforward),
        taps("feedback", given.feedback),
        state(given.inputs, stretch.given),
        state(given.outputs, stretch.given),
        signal(given.grad_y),
        state(given.grad_inputs, stretch.kept),
        state(given.grad_outputs, stretch.kept),
    )


def _place(case: Case, whole: Named, name: str, part: Wide, stretch: _Stretch) -> None:
    """Put what one sequence gives where it belongs; gradients of coefficients are added up."""
    if "feed" in name:
        kind = getattr(case, name.removeprefix("gradient of "))
        shape = list(part.shape)
        if kind != "static":
            shape[0] = case.batch[0]
        if kind == "time_varying":
            shape[-2] = case.length
        into = whole.setdefault(name, np.zeros(shape, part.dtype))
        if kind == "static":
            into += part
        elif kind == "per_example":
            into[stretch.row] += part[0]
        else:
            into[stretch.row, :, stretch.start : stretch.stop] += part[0]
        return
    if "state" in name:
        into = whole.setdefault(name, np.zeros((*case.states, *part.shape[1:]), part.dtype))
        place = stretch.given if name.startswith("gradient") else stretch.kept
        if place is not None:
            into[place] = part[0]
        return
    into = whole.setdefault(name, np.zeros((*case.batch, part.shape[1], case.length), part.dtype))
    into[stretch.row, :, stretch.start : stretch.stop] = part[0]
