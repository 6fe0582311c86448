"""Units of second-order sections in turn."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from multirec import RecurrenceBank, RecurrenceCascade, State
from multirec._core.problem import ComputeDtype, join_shape, split_shape
from multirec.errors import ArgumentError

from .filter_unit import FilterUnit, Pair

__all__ = ["CascadeUnit"]


class CascadeUnit(FilterUnit):
    """A unit of `channels` cascades, whose coefficients are (C, S, 3) and (C, S, 2), and whose state is one a section.

    `order` is that of a whole cascade.
    """

    def sos(self) -> npt.NDArray[np.float64]:
        """Return SciPy's second-order sections (C, S, 6), as a NumPy float64 array without gradient."""
        return np.concatenate(self.ba(), axis=-1)

    def ba(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return SciPy's (b, a) of each section, (C, S, 3) each, as NumPy float64 arrays without gradient."""
        return super().ba()

    def _zeros(self, signal: torch.Tensor) -> tuple[State, ...]:
        batch, channels, _ = split_shape(tuple(signal.shape), self.layout)
        dtype = torch.promote_types(signal.dtype, getattr(torch, self._precision(signal)))
        own = channels if self.channels == 1 else self.channels
        shapes = [join_shape(batch, count, 2, self.layout) for count in [channels] + [own] * (self.order // 2 - 1)]
        outputs = join_shape(batch, own, 2, self.layout)
        return tuple(State(signal.new_zeros(shape), signal.new_zeros(outputs, dtype=dtype)) for shape in shapes)

    def to_bank(self) -> Any:
        """Return the sections with the coefficients of now, differentiable, as a `multirec.RecurrenceCascade`.

        It does not follow the unit.
        """
        return self._cascade(self.coefficients(), self.compute_dtype)

    def _filter(self, signal: torch.Tensor, state: Any, **cuts: Any) -> tuple[torch.Tensor, Any]:
        if self._time_mesh is None:
            return self._cascade(self._now(), self._precision(signal))(signal, state, **cuts)
        count = self.order // 2
        states = (None,) * count if state is None else state
        if not isinstance(states, tuple) or len(states) != count:
            raise ArgumentError(
                f"the state of this {type(self).__name__} is a tuple of {count} States, got a {type(state).__name__}. "
                "Pass what the previous call returned."
            )
        after = []
        for b, a, before in zip(*(part.unbind(1) for part in self._now()), states, strict=True):
            signal, own = self._through(signal, (b, a), before, cuts)
            after.append(own)
        return signal, tuple(after)

    def _cascade(self, pair: Pair, compute_dtype: ComputeDtype | None) -> RecurrenceCascade:
        options: Any = {"layout": self.layout, "reverse": self.reverse, "backend": self.backend}
        rows = zip(*(part.unbind(1) for part in pair), strict=True)
        return RecurrenceCascade(
            [RecurrenceBank(feedforward=b, feedback=a, compute_dtype=compute_dtype, **options) for b, a in rows]
        )
