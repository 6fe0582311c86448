"""Units whose coefficients are computed once: what `freeze()` of a bank or a layer returns."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from multirec._core.validate import Choices
from multirec.errors import ArgumentError

from .cascade_unit import CascadeUnit
from .filter_unit import FilterUnit, Pair
from .projected import ProjectedUnit
from .signal_bank import SignalBank

__all__ = ["FrozenBank", "FrozenCascade", "FrozenLayer"]


class _Frozen(FilterUnit):
    """A unit that holds its coefficients as buffers, in the precision that they were computed in."""

    feedforward: Tensor
    feedback: Tensor

    def __init__(self, unit: FilterUnit) -> None:
        own = unit._redefined("init_state", "forward", "compute", "step")
        if own:
            raise ArgumentError(
                f"{type(unit).__name__} has its own {' and '.join(own)}, and what freeze returns would not: it takes "
                "the coefficients alone. Give the class a freeze of its own, or call it under torch.no_grad, where it "
                "keeps its coefficients too."
            )
        choices = Choices(unit.layout, unit.reverse, unit.backend, unit.compute_dtype)
        super().__init__(unit.channels, unit.order, unit.input_order, choices)
        self._time_mesh = unit._time_mesh
        with torch.inference_mode(False), torch.no_grad():
            for name, taps in zip(("feedforward", "feedback"), unit.coefficients(), strict=True):
                self.register_buffer(name, taps.clone(memory_format=torch.contiguous_format))

    def coefficients(self) -> Pair:
        """Return (feedforward (C, q+1), feedback (C, p)), as they were when the unit was frozen."""
        return self.feedforward, self.feedback

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        before = dict(self._buffers)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, taps in before.items():
            moved = self._buffers[name]
            # a narrower type would spoil filters; the recurrence rounds them as a signal needs it
            if taps is not None and moved is not None and moved.dtype != taps.dtype:
                self._buffers[name] = taps.to(moved.device)
        return self

    def extra_repr(self) -> str:
        return f"{self.channels}, order={self.order}" + self._options(input_order=self.order, layout="BCT")


class FrozenBank(_Frozen, SignalBank):
    """A bank with the coefficients that another had when its `freeze` was called. It does not follow it.

    It is called and stepped as that bank is. The coefficients are buffers: they are in the `state_dict` and move with
    ``.to(device)``, and ``.to(dtype)`` leaves them as they are, since signals of any precision go in. There are no
    parameters; gradients reach x and the state.

    Attributes
    ----------
    feedforward, feedback
        (C, q+1) and (C, p), as in `multirec.recurrence`.

    Raises
    ------
    ArgumentError
        The unit's class has its own `init_state`, `forward`, `compute` or `step`, which would be lost.

    Example
    -------
    >>> from multirec import nn as mnn
    >>> bank = mnn.FilterBank(3)
    >>> frozen = bank.freeze()
    >>> x, state = torch.randn(2, 160), None
    >>> y, state = frozen(x, state)
    >>> torch.equal(y, bank(x)[0]), y.requires_grad
    (True, False)
    """


class FrozenCascade(CascadeUnit, _Frozen, SignalBank):
    """Second-order sections with the coefficients that a unit had when its `freeze` was called.

    As `FrozenBank` is of a bank, with `feedforward` (C, S, 3) and `feedback` (C, S, 2).

    Example
    -------
    >>> from multirec import nn as mnn
    >>> eq = mnn.ParametricEQ(3, 48000)
    >>> x = torch.randn(2, 160)
    >>> torch.equal(eq.freeze()(x)[0], eq(x)[0])
    True
    """


class FrozenLayer(_Frozen, ProjectedUnit):
    """A layer with the coefficients and the projection that another had when its `freeze` was called.

    As `FrozenBank` is of a bank. The projection is a copy whose weights want no gradient, and ``.to(dtype)`` casts it.

    Example
    -------
    >>> from multirec import nn as mnn
    >>> layer = mnn.RecurrenceLayer(3, 8)
    >>> frozen, x = layer.freeze(), torch.randn(2, 3)
    >>> out, state = frozen.step(x)
    >>> torch.equal(out, layer.step(x)[0])
    True
    """

    def __init__(self, layer: ProjectedUnit) -> None:
        super().__init__(layer)
        with torch.inference_mode(False):
            self.projection = deepcopy(layer.projection).requires_grad_(False)

    def extra_repr(self) -> str:
        return f"{self.inputs_dim}, {self.hidden_dim}, order={self.order}" + self._options(layout="TBC")
