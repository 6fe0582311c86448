"""Conformance: what every backend must do, one law a check, as plain functions.

A check takes a `Subject` (a backend, an array library on a device, a data type of x) and returns a `Tally`. What a
backend refuses is counted, with its reason; what it computes must be right, and what it declares must be computed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ..backend import COMPLEX_DTYPES, HALF_DTYPES, REAL_DTYPES
from ..errors import MultirecError
from ._trials import trials
from .accuracy import accuracy_tally
from .behaviour import non_finite_inputs, resuming, unstable_filters
from .cascades import cascades, has_cascades
from .cover import (
    edge_cases,
    frozen_cases,
    large_cases,
    memory_cases,
    pair_cases,
    product_cases,
    sequence_cases,
    wide_cases,
)
from .declarations import declarations, dtypes_of, subjects_of, unchecked
from .frames import frames, has_frames
from .problems import Case
from .repeated import repeatability, repeated_calls
from .subject import Subject, Tally, tally_of

__all__ = [
    "CHECKS",
    "Subject",
    "Tally",
    "checked",
    "checks_of",
    "dtypes_of",
    "subjects_of",
    "unchecked",
]

Check: TypeAlias = Callable[[Subject], Tally]


def _pairs(subject: Subject) -> list[Case]:
    return [case for case in pair_cases() if case.dtype == subject.dtype]


def _memories(subject: Subject) -> tuple[Case, ...]:
    return memory_cases(subject.dtype, subject.library.memories(subject.dtype))


def values_of_every_combination(subject: Subject) -> Tally:
    """Values agree in float64 for the full product of layout, kinds, shared input, state and direction."""
    return tally_of(subject, product_cases(), ("y", "state.inputs", "state.outputs", "contiguous", "inputs"), False)


def values(subject: Subject) -> Tally:
    """Values agree for every pair of choices."""
    return tally_of(subject, _pairs(subject), ("y", "contiguous"), True)


def returned_state(subject: Subject) -> Tally:
    """The returned state is the last inputs and outputs."""
    return tally_of(subject, _pairs(subject), ("state.inputs", "state.outputs"), True)


def gradient_of_x(subject: Subject) -> Tally:
    """The gradient of x agrees, summed over the channels of a shared input."""
    return tally_of(subject, _pairs(subject), ("gradient of x",), True)


def gradient_of_feedforward(subject: Subject) -> Tally:
    """The gradient of feedforward agrees, summed over the axes along which it does not vary."""
    return tally_of(subject, _pairs(subject), ("gradient of feedforward",), True)


def gradient_of_feedback(subject: Subject) -> Tally:
    """The gradient of feedback agrees, summed over the axes along which it does not vary."""
    return tally_of(subject, _pairs(subject), ("gradient of feedback",), True)


def gradient_of_state(subject: Subject) -> Tally:
    """The gradient of both parts of the state agrees."""
    return tally_of(subject, _pairs(subject), ("gradient of state.inputs", "gradient of state.outputs"), True)


def edge_sizes(subject: Subject) -> Tally:
    """Nothing, one of everything, and blocks shorter than the order: values and gradients agree."""
    return tally_of(subject, edge_cases(subject.dtype), None, True)


def large_sizes(subject: Subject) -> Tally:
    """Many channels, many examples and many samples: every value and gradient agrees, within what steps lose."""
    return tally_of(subject, large_cases(subject.dtype), None, True)


def memory(subject: Subject) -> Tally:
    """Strided, flipped, expanded, read-only and conjugated inputs are read right and never written to."""
    return tally_of(subject, _memories(subject), None, True)


def frozen_operands(subject: Subject) -> Tally:
    """Gradients are right where some operands want none: x is known for that of feedforward, y for that of feedback."""
    return tally_of(subject, frozen_cases(subject.dtype), None, True)


def wide_arithmetic(subject: Subject) -> Tally:
    """What is computed in float64 agrees to its precision where it is not rounded: values, states and gradients."""
    return tally_of(subject, [case for case in wide_cases() if case.dtype == subject.dtype], None, True)


def sequences(subject: Subject) -> Tally:
    """Several sequences in one row are what each is alone, whatever padding holds: values, states and gradients."""
    return tally_of(subject, sequence_cases(subject.dtype), None, True)


def refusals(subject: Subject) -> Tally:
    """What is refused is refused with a reason, by `explain` and by an error alike."""
    cases = (*_pairs(subject), *edge_cases(subject.dtype), *_memories(subject))
    tally = Tally()
    for case in cases:
        outcome = subject.outcome(case, True)
        tally.computed += outcome.computed
        if outcome.refused:
            tally.refused[outcome.refused] += 1
        if "refusals" in outcome.wrong:
            tally.failures.append(outcome.wrong["refusals"])
    return tally


def designed_filters(subject: Subject) -> Tally:
    """Designed filters: no error of any result is above three times that of stepping in the same precision."""
    return accuracy_tally(subject, trials(subject.dtype))


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        values_of_every_combination,
        values,
        returned_state,
        gradient_of_x,
        gradient_of_feedforward,
        gradient_of_feedback,
        gradient_of_state,
        edge_sizes,
        large_sizes,
        memory,
        frozen_operands,
        wide_arithmetic,
        cascades,
        sequences,
        frames,
        resuming,
        unstable_filters,
        non_finite_inputs,
        repeatability,
        repeated_calls,
        refusals,
        declarations,
        designed_filters,
    )
}
"""Every check by name."""

_ONLY = {
    # the other data types have the pairs
    "values_of_every_combination": ("float64",),
    "wide_arithmetic": (*HALF_DTYPES, "float32", "complex64"),
    # bits of bfloat16 are no numbers of NumPy
    "cascades": ("float16", *REAL_DTYPES, *COMPLEX_DTYPES),
    "frames": ("float16", *REAL_DTYPES),
    "unstable_filters": REAL_DTYPES,
    "non_finite_inputs": REAL_DTYPES,
}


def checks_of(subject: Subject) -> list[str]:
    """Return the names of the checks that ask something of a subject."""
    return [
        name
        for name in CHECKS
        if subject.dtype in _ONLY.get(name, (subject.dtype,))
        and (name != "cascades" or has_cascades(subject))
        and (name != "frames" or has_frames(subject))
        # what a library has not is the same problem again
        and (name != "memory" or subject.library.memories(subject.dtype))
        and (name != "frozen_operands" or subject.library.freezes)
        and (name != "repeatability" or subject.info.promise == "bitwise")
        # kernels are the same whatever the library: once for a device is enough
        and (name != "designed_filters" or (subject.library.name == "numpy") == (subject.library.device == "cpu"))
    ]


def checked(check: Check, subject: Subject) -> Tally:
    """Run a check; an error that it does not expect is a failure."""
    try:
        return check(subject)
    except (MultirecError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        return Tally(failures=[f"{type(error).__name__}: {error}"])
