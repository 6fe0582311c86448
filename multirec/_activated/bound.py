"""The call of a signature, validated once."""

from __future__ import annotations

from collections.abc import Hashable

from .._core.activated import Activation, Recurrence
from .._core.arrays import Array, is_compiling, spec_of
from .._core.problem import Spec
from .._core.validate import Choices
from .._engine.call import signed
from .._engine.table import Table
from .._sequences.marks import Marks, check
from .call import ActivatedCall, Given
from .check import build_envelope, build_independent, build_sru

__all__ = ["call_of"]

_calls: Table[ActivatedCall] = Table()


def call_of(
    kind: Recurrence, given: Given, activation: Activation, scale: float, choices: Choices, marks: Marks | None
) -> ActivatedCall:
    """Return the call of arrays, or raise; remembered by their signature."""

    def built() -> ActivatedCall:
        return _built(kind, given, activation, scale, choices, marks)

    if is_compiling():
        return built()
    try:
        parts = (*given.arrays, *(marks or ()))
        key: Hashable = (kind, activation, scale, choices, marks is None, len(given.signals), *map(signed, parts))
        found = _calls.get(key)
    except (AttributeError, TypeError, RuntimeError):
        # no arrays of ours, which validation says better
        return built()
    return found or _calls.find(key, built)


def _built(
    kind: Recurrence, given: Given, activation: Activation, scale: float, choices: Choices, marks: Marks | None
) -> ActivatedCall:
    x, *others = given.signals
    count = None if marks is None else marks.states
    one, *more = given.coefficients
    state = _spec(given.state, "state")
    if kind == "independent":
        signal = spec_of(x, "x")
        call = build_independent(signal, spec_of(one, "feedback"), state, activation, choices, count)
    elif kind == "sru":
        signal, highway = spec_of(x, "u"), _spec(others[0], "highway") if others else None
        both = spec_of(one, "weight"), spec_of(more[0], "bias")
        call = build_sru(signal, highway, both, state, scale, activation, choices, count)
    else:
        signal, both = spec_of(x, "x"), (spec_of(one, "attack"), spec_of(more[0], "release"))
        call = build_envelope(signal, both, state, choices, count)
    if marks is not None:
        check(marks, signal, call.plain)
    return call


def _spec(array: Array | None, name: str) -> Spec | None:
    return None if array is None else spec_of(array, name)
