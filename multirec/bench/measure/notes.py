"""What is odd about a run, in words, with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from ..host.clock import Budget
from ..results import statistics
from ..results.cells import Results
from .environment import of_machine

_NOISY, _DRIFTS = 0.10, 0.10
_ENOUGH = 9


def notes(results: Results, budget: Budget) -> Iterator[str]:
    """Yield sentences on noise, throttling, load, threads and clocks."""
    yield from of_machine(results.machine)
    yield from _noise(results)
    if budget.backwards:
        yield "The clock went backwards while the run was going on; its budget may not have been kept."
    if budget.excluded:
        yield (
            f"{budget.excluded:.1f} s went into compiling kernels for the first time; they are kept on disk and were "
            "not counted."
        )


def _noise(results: Results) -> Iterator[str]:
    floors: list[_Odd] = []
    drifts: list[_Odd] = []
    for group in results.copies:
        reference, floor = results.reference(group), statistics.floor(results.aa_ratios(group))
        if reference is None:
            continue
        where = f"{results.cases[group[0]].name} {group[1]}"
        if floor is not None and floor > _NOISY:
            rounds = len(results.aa_ratios(group))
            floors.append(_Odd(floor, f"{where}, after {rounds} rounds of {reference.contestant}"))
        third = len(reference.samples) // 3
        if third * 3 >= _ENOUGH:
            drift = median(reference.samples[-third:]) / median(reference.samples[:third]) - 1
            if drift > _DRIFTS:
                drifts.append(_Odd(drift, where))
    if floors:
        yield (
            f"The reference may still differ from itself by {_worst(floors, len(results.copies))}. Nothing smaller is "
            "called a difference. Give it more --time, or a machine that nothing else uses."
        )
    if drifts:
        yield (
            f"The machine slowed down by {_worst(drifts, len(results.copies))}, during the rounds: heat, or another "
            "program. Ratios are paired by round and stand; medians are of a changing machine."
        )


class _Odd(NamedTuple):
    """A part of 1, and where it was found."""

    size: float
    where: str


def _worst(found: list[_Odd], groups: int) -> str:
    """Return the largest, with its place, and in how many groups there is one."""
    largest = max(found)
    if groups == 1:
        return f"{100 * largest.size:.0f} % ({largest.where})"
    return f"{100 * largest.size:.0f} % ({largest.where}; by over 10 % in {len(found)} of {groups} cases and modes)"
