"""What is made of weights, and kept while the weights keep their values."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from multirec._core.arrays import is_traced
from multirec._torch.function import transformed

__all__ = ["Keeping"]

_PLAIN = (Tensor, torch.nn.Parameter)


class _Kept(NamedTuple):
    """What was made, and copies of what it was made of."""

    weights: tuple[Tensor, ...]
    about: Hashable
    made: Any


class Keeping:
    """A module that keeps what it makes of its weights.

    Where no gradient is wanted and the weights are on the host it is made once, and again when a weight has another
    value. It is values that are compared, because torch's version counters do not see edits by way of ``.data`` or
    NumPy. On other devices that would wait for the device, so there it is made at each call.
    """

    _kept: _Kept | None = None

    def _once(self, make: Callable[..., Any], weights: tuple[Tensor, ...], about: Hashable = None) -> Any:
        """Return what is made of weights, and of nothing else but `about`."""
        if torch.compiler.is_compiling() or not _lasting(weights):
            return make(*weights)
        kept = self._kept
        if kept is None or kept.about != about or not _same(weights, kept.weights):
            # not inference tensors, which no later call could differentiate through
            with torch.inference_mode(False), torch.no_grad():
                copies = tuple(weight.clone() for weight in weights)
                kept = self._kept = _Kept(copies, about, make(*copies))
        return kept.made

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
