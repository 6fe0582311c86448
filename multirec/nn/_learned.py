"""Coefficients made of weights, and kept while the weights keep their values."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from multirec._core.arrays import is_traced
from multirec._torch.function import transformed

from ._filter_unit import FilterUnit, Pair

__all__ = ["LearnedUnit"]

_PLAIN = (Tensor, torch.nn.Parameter)


class _Kept(NamedTuple):
    """Coefficients, and copies of what they were made of."""

    weights: tuple[Tensor, ...]
    compute_dtype: str | None
    pair: Pair


class LearnedUnit(FilterUnit):
    """A unit whose coefficients are a function of its weights.

    Where no gradient is wanted and the weights are on the host they are computed once, and again when a weight has
    another value. It is values that are compared, because torch's version counters do not see edits by way of ``.data``
    or NumPy. On other devices that would wait for the device, so there they are computed at each call, or by `freeze`.
    """

    _kept: _Kept | None = None

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
        if torch.compiler.is_compiling() or type(self).coefficients is not LearnedUnit.coefficients:
            return self.coefficients()
        weights = self._weights()
        if not _lasting(weights):
            return self._made_of(*weights)
        kept = self._kept
        if kept is None or kept.compute_dtype != self.compute_dtype or not _same(weights, kept.weights):
            # not inference tensors, which no later call could differentiate through
            with torch.inference_mode(False), torch.no_grad():
                copies = tuple(weight.clone() for weight in weights)
                kept = self._kept = _Kept(copies, self.compute_dtype, self._made_of(*copies))
        return kept.pair

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_kept"}


def _lasting(weights: tuple[Tensor, ...]) -> bool:
    """Whether weights have values that can be looked at now, and that nothing differentiates."""
    learns = torch.is_grad_enabled()
    for weight in weights:
        if type(weight) not in _PLAIN or not weight.is_cpu or (learns and weight.requires_grad):
            return False
    return not (transformed() or is_traced(weights[0]))


def _same(weights: tuple[Tensor, ...], others: tuple[Tensor, ...]) -> bool:
    for weight, other in zip(weights, others, strict=True):
        if weight.dtype != other.dtype or not torch.equal(weight, other):
            return False
    return True
