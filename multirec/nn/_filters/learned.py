"""Coefficients made of weights, and kept while the weights keep their values."""

from __future__ import annotations

from torch import Tensor

from .._weights.kept import Keeping
from .filter_unit import FilterUnit, Pair

__all__ = ["LearnedUnit"]


class LearnedUnit(Keeping, FilterUnit):
    """A unit whose coefficients are a function of its weights; `freeze` computes them once on any device."""

    def coefficients(self) -> Pair:
        """Return (feedforward (C, q+1), feedback (C, p)), differentiable: `multirec.recurrence`'s arguments.

        They have the weights' dtype, float32 for half types, or `compute_dtype` where that is wider.
        """
        return self._made_of(*self._weights())

    def _weights(self) -> tuple[Tensor, ...]:
        """Return all that coefficients depend on, besides `compute_dtype`."""
        raise NotImplementedError

    def _made_of(self, *weights: Tensor) -> Pair:
        """Return the coefficients that weights stand for."""
        raise NotImplementedError

    def _now(self) -> Pair:
        if type(self).coefficients is not LearnedUnit.coefficients:
            return self.coefficients()
        pair: Pair = self._once(self._made_of, self._weights(), self.compute_dtype)
        return pair
