"""What the banks and layers share: coefficients read at each call, one recurrence, and SciPy's view of it."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from multirec import State, recurrence
from multirec._core.arrays import is_double
from multirec._core.axes import unambiguous
from multirec._core.problem import ComputeDtype, join_shape, split_shape
from multirec._core.validate import as_choices
from multirec._registry.choice import check_name
from multirec.errors import ArgumentError, DtypeError, FamilyError

from ._unit import RecurrentUnit

__all__ = ["FilterUnit", "require_tensor", "whole"]


_REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def whole(name: str, size: int, least: int) -> int:
    """Return a size, of whatever type of integers, as an int; raise unless it is at least `least`."""
    if isinstance(size, bool) or not hasattr(size, "__index__") or size < least:
        raise ArgumentError(f"{name} is a whole number of at least {least}, got {size!r}.")
    return index(size)


def require_tensor(unit: RecurrentUnit, x: object) -> None:
    """Raise unless x is a torch tensor."""
    if not isinstance(x, torch.Tensor):
        raise FamilyError(
            f"{type(unit).__name__} takes a torch tensor, got {type(x).__module__}.{type(x).__qualname__}. Convert "
            f"it with torch.as_tensor, or use multirec.RecurrenceBank, which takes arrays of other libraries."
        )


class FilterUnit(RecurrentUnit):
    """A recurrent unit of `channels` filters whose coefficients a subclass derives from its weights."""

    def __init__(
        self,
        channels: int,
        order: int,
        input_order: int,
        layout: str,
        reverse: bool,
        backend: str,
        compute_dtype: ComputeDtype | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        if dtype is not None and dtype not in _REAL:
            raise DtypeError(
                f"the weights of a {type(self).__name__} are {', '.join(map(str, _REAL))}, got dtype={dtype}. "
                "For coefficients that are complex numbers use multirec.RecurrenceBank."
            )
        choices = as_choices(layout, reverse, backend, compute_dtype)
        check_name(backend)
        self.channels = whole("channels", channels, 1)
        self.order = whole("order", order, 0)
        self.input_order = whole("input_order", input_order, 0)
        self.layout, self.reverse, self.backend, self.compute_dtype = choices

    def coefficients(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (feedforward (C, q+1), feedback (C, p)), differentiable: `multirec.recurrence`'s arguments.

        They have the weights' dtype, float32 for half types, or `compute_dtype` where that is wider. A loop over
        small blocks with frozen weights is faster with ``multirec.RecurrenceBank(feedforward=…, feedback=…)`` made of
        them once.
        """
        raise NotImplementedError

    def ba(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return SciPy's (b (C, q+1), a (C, p+1)), a[:, 0] = 1, as NumPy float64 arrays without gradient.

        Each row is a filter for `scipy.signal.lfilter`.
        """
        feedforward, feedback = (part.detach().cpu().double().numpy() for part in self.coefficients())
        return feedforward, np.concatenate([np.ones((self.channels, 1)), -feedback], axis=-1)

    def _filter(self, x: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        feedforward, feedback = (unambiguous(taps, x, self.layout) for taps in self.coefficients())
        y, after = recurrence(
            x,
            feedforward=feedforward,
            feedback=feedback,
            state=state,
            layout=self.layout,
            reverse=self.reverse,
            backend=self.backend,
            compute_dtype=self._precision(x),
        )
        return y, after

    def _zeros(self, x: torch.Tensor) -> State:
        """Return the zero state for a signal x that goes into `_filter`."""
        batch, channels, _ = split_shape(tuple(x.shape), self.layout)
        dtype = torch.promote_types(x.dtype, getattr(torch, self._precision(x)))
        return State(
            inputs=x.new_zeros(join_shape(batch, channels, self.input_order, self.layout)),
            outputs=x.new_zeros(join_shape(batch, self.channels, self.order, self.layout), dtype=dtype),
        )

    def _precision(self, x: torch.Tensor) -> ComputeDtype:
        # named always, so that the values of weights, which change, decide nothing
        return self.compute_dtype or ("float64" if is_double(x) else "float32")

    def _options(self, **usual: Any) -> str:
        """Return the options that differ from the usual ones, for `extra_repr`."""
        usual |= {"reverse": False, "backend": "auto", "compute_dtype": None}
        given = {name: getattr(self, name) for name in usual}
        return "".join(f", {name}={value!r}" for name, value in given.items() if value != usual[name])
