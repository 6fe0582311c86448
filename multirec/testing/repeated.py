"""Checks of what a backend does when it is called again: the same bits for the same numbers, else new results."""

from __future__ import annotations

import numpy as np

from .._machine.threads import num_threads, set_num_threads
from ._where import axes_of
from .asserts import mismatch, poisoned
from .cover import large_cases
from .oracle import expected
from .problems import Arguments, Case, arguments
from .subject import Subject, Tally, is_computed, note

__all__ = ["repeatability", "repeated_calls"]

_FACTORS = (1, -2, 4, 2, -1, -4)
"""What the signals of each call are multiplied by: powers of two, on which no rounding depends."""


def repeated_calls(subject: Subject) -> Tally:
    """Calls of the same sizes with other values have results of their own, and leave alone what earlier ones returned.

    Every result is looked at after the last call; of every second call only a view of a part is kept.
    """
    tally, library = Tally(), subject.library
    # small ones, and the largest that are few steps
    for case in (Case(dtype=subject.dtype), large_cases(subject.dtype)[2]):
        case = subject.fitted(case)
        if not is_computed(subject, case, tally):
            continue
        given, want = arguments(case), expected(case)
        held = []
        for call, factor in enumerate(_FACTORS):
            own = _multiplied(given, factor)
            with poisoned():
                found = library.results(case, subject.backend, own, library.operands(case, own))
            held.append({name: array[-1:] if call % 2 else array for name, array in found.items()})
            del found
        for call, (factor, parts) in enumerate(zip(_FACTORS, held, strict=True)):
            for name, value in want.values.items():
                # gradients of coefficients are products of two signals
                scale, kept = factor**2 if "feed" in name else factor, slice(-1 if call % 2 else 0, None)
                limit = abs(scale) * want.bounds[name][kept]
                label = f"call {call + 1} of {len(_FACTORS)}, looked at after the last: {name}"
                got = library.get(parts[name])
                note(tally, case, mismatch(label, got, scale * value[kept], limit, axes_of(case, name)))
    return tally


def _multiplied(given: Arguments, factor: int) -> Arguments:
    """Return a problem with larger signals and gradients, and the same coefficients."""
    larger = Arguments._make(None if values is None else factor * values for values in given)
    return larger._replace(feedforward=given.feedforward, feedback=given.feedback)


def repeatability(subject: Subject) -> Tally:
    """A backend that promises it gives the same bits at every call, whatever the number of threads."""
    tally = Tally()
    before = num_threads()
    cases = (
        Case(dtype=subject.dtype, channels=17, length=300, batch=(5,), shared=True),
        Case(dtype=subject.dtype, channels=1, length=700, batch=(), ones=("channels",)),
        Case(dtype=subject.dtype, channels=5, length=90, layout="TBC", feedback="per_example", reverse=True),
    )
    for case in map(subject.fitted, cases):
        if not is_computed(subject, case, tally):
            continue
        runs = []
        try:
            for threads in (before, 1, 2, 2):
                set_num_threads(threads)
                with poisoned():
                    runs.append(subject.library.run(case, subject.backend))
        finally:
            set_num_threads(before)
        for name, first in runs[0].values.items():
            if any(not np.array_equal(first, run.values[name], equal_nan=True) for run in runs[1:]):
                note(tally, case, f"{name} differs from call to call, or with the number of threads")
    return tally
