"""What a bank computes in: whether float32 holds its coefficients, by their values of now."""

from __future__ import annotations

from typing import Any, TypeAlias

from .._core.arrays import is_compiling
from .._core.problem import ComputeDtype
from .._engine.precision import computes_wide, damage_of, has_double, has_float64, warn
from .design import Source, Taps

__all__ = ["Judgement"]

Array: TypeAlias = Any


class Judgement:
    """What rounding does to the coefficients of one bank, as far as was seen; a warning is given once a finding."""

    def __init__(self, backend: str, name: str = "") -> None:
        self.backend, self.name = backend, name
        self._mendable = computes_wide(backend)
        self._damage = self._warned = ""

    def look(self, taps: Taps, source: Source) -> None:
        """Judge coefficients as far as they can be looked at now: a compiled call relies on it."""
        if not has_double(taps) or any(getattr(part, "requires_grad", False) for part in source):
            self._damage = ""
            return
        found = damage_of(taps.feedforward, taps.feedback)
        if found is not None:
            self._damage = self.name + found if found else ""

    def precision(self, x: Array, taps: Taps, source: Source) -> ComputeDtype | None:
        """Return what to compute a signal in that is not of double precision."""
        if is_compiling():
            # with the values of before; where those say nothing, the operator looks at them when it runs
            return "float64" if self._damage and self._mendable and has_float64(x) else None
        if not has_double(taps):
            return None
        self.look(taps, source)
        if not self._damage:
            return "float32"
        if self._mendable and has_float64(x):
            return "float64"
        if self._warned != self._damage:
            self._warned = self._damage
            warn(self._damage, self.backend)
        return "float32"
