"""What a bank computes in: whether float32 holds its coefficients, by their values of now."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._core.arrays import is_compiling, is_double
from .._core.axes import cast_to
from .._core.problem import ComputeDtype
from .._engine.precision import computes_wide, damage_of, has_double, has_float64, warn
from .design import Source, Taps

__all__ = ["Judgement"]

_SINGLE = {"f": "float32", "c": "complex64"}

Array: TypeAlias = Any


class _Seen(NamedTuple):
    """NumPy's coefficients that were looked at, and what float32 makes of them."""

    content: Hashable
    narrow: Taps


class Judgement:
    """What rounding does to the coefficients of one bank, as far as was seen; a warning is given once a finding."""

    def __init__(self, backend: str, name: str = "") -> None:
        self.backend, self.name = backend, name
        self._mendable = computes_wide(backend)
        self._damage = self._warned = ""
        self._seen: _Seen | None = None

    def look(self, taps: Taps, source: Source) -> None:
        """Judge coefficients as far as they can be looked at now: a compiled call relies on it."""
        if not has_double(taps) or any(getattr(part, "requires_grad", False) for part in source):
            self._damage = ""
            return
        found = damage_of(taps.feedforward, taps.feedback)
        if found is not None:
            self._damage = self.name + found if found else ""

    def settle(self, x: Array, taps: Taps, source: Source) -> tuple[Taps, ComputeDtype | None]:
        """Return coefficients, and the precision to compute in, for a signal that is not of double precision."""
        if is_compiling():
            # with the values of before; where those say nothing, the operator looks at them when it runs
            return taps, "float64" if self._damage and self._mendable and has_float64(x) else None
        if not has_double(taps):
            return taps, None
        seen, content = self._seen, _content(taps)
        if content is None or seen is None or seen.content != content:
            self.look(taps, source)
            seen = self._seen = None if content is None else _Seen(content, _narrow(taps))
        if self._damage:
            if self._mendable and has_float64(x):
                return taps, "float64"
            if self._warned != self._damage:
                self._warned = self._damage
                warn(self._damage, self.backend)
        return taps if seen is None else seen.narrow, "float32"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_seen": None}


def _content(taps: Taps) -> Hashable:
    """Return what tells NumPy's coefficients from others; None if any are another library's."""
    told = []
    for part in taps:
        if part is not None and type(part) is not np.ndarray:
            return None
        told.append(None if part is None else (part.shape, part.dtype, part.tobytes()))
    return tuple(told)


def _narrow(taps: Taps) -> Taps:
    """Return NumPy's coefficients in single precision."""
    return Taps(
        *(part if part is None or not is_double(part) else cast_to(part, _SINGLE[part.dtype.kind]) for part in taps)
    )
