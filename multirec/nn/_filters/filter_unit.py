"""What banks and layers share: one recurrence with the coefficients of now, and SciPy's view of them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.utils.rnn import PackedSequence

from multirec import RecurrenceBank, RecurrenceCascade, State
from multirec._core.axes import unambiguous
from multirec._core.problem import ComputeDtype, join_shape, split_shape
from multirec._core.scalars import whole
from multirec._core.validate import Choices
from multirec._registry.choice import check_name

from .._contract.along_time import AlongTime
from .._contract.packed import packed
from .._contract.unit import add_time, drop_time, given_cuts, one_each

__all__ = ["FilterUnit", "Pair"]

Pair: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""(feedforward (C, q+1), feedback (C, p))."""

_DOUBLE = (torch.float64, torch.complex128)


class FilterUnit(AlongTime):
    """A recurrent unit of `channels` filters; a subclass says what they are, and what of x goes into them."""

    def __init__(self, channels: int, order: int, input_order: int, choices: Choices) -> None:
        super().__init__()
        check_name(choices.backend)
        self.channels = whole("channels", channels, 1)
        self.order = whole("order", order, 0)
        self.input_order = whole("input_order", input_order, 0)
        self.layout, self.reverse, self.backend, self.compute_dtype = choices

    def coefficients(self) -> Pair:
        """Return (feedforward (C, q+1), feedback (C, p)): `multirec.recurrence`'s arguments."""
        raise NotImplementedError

    def _read(self, x: torch.Tensor, cuts: dict[str, Any]) -> torch.Tensor:
        """Return what is read of a block x."""
        return x

    def _signal(self, x: torch.Tensor) -> torch.Tensor:
        """Return what is filtered of a block x, in the layout."""
        raise NotImplementedError

    def _sample(self, x: torch.Tensor) -> torch.Tensor:
        """Return what is filtered of one sample x, (batch…, channels)."""
        raise NotImplementedError

    def _outline(self, x: torch.Tensor) -> torch.Tensor:
        """Return a signal like that of a block x, but of any length."""
        return self._signal(x)

    def _now(self) -> Pair:
        """Return the coefficients, or such as were kept of the same weights."""
        return self.coefficients()

    def ba(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return SciPy's (b (C, q+1), a (C, p+1)), a[:, 0] = 1, as NumPy float64 arrays without gradient.

        Each row is a filter for `scipy.signal.lfilter`.
        """
        feedforward, feedback = (part.detach().cpu().double().numpy() for part in self.coefficients())
        return feedforward, np.concatenate([np.ones((*feedback.shape[:-1], 1)), -feedback], axis=-1)

    def to_bank(self) -> RecurrenceBank | RecurrenceCascade:
        """Return a `multirec.RecurrenceBank` with the coefficients of now, differentiable; of a cascade, a cascade.

        It does not follow the unit. `multirec.analysis` and `multirec.plot` look at units by way of it.
        """
        feedforward, feedback = self.coefficients()
        return RecurrenceBank(
            feedforward=feedforward,
            feedback=feedback,
            layout=self.layout,
            reverse=self.reverse,
            backend=self.backend,
            compute_dtype=self.compute_dtype,
        )

    def init_state(self, x: torch.Tensor) -> Any:
        """Return the zero state for a block like `x`."""
        return self._zeros(self._outline(x))

    def _zeros(self, signal: torch.Tensor) -> Any:
        """Return the zero state for what is filtered of a block."""
        batch, channels, _ = split_shape(tuple(signal.shape), self.layout)
        dtype = torch.promote_types(signal.dtype, getattr(torch, self._precision(signal)))
        own = channels if self.channels == 1 else self.channels
        return State(
            inputs=signal.new_zeros(join_shape(batch, channels, self.input_order, self.layout)),
            outputs=signal.new_zeros(join_shape(batch, own, self.order, self.layout), dtype=dtype),
        )

    def compute(self, x: torch.Tensor, state: Any, **cuts: Any) -> tuple[torch.Tensor, Any]:
        """Filter the block `x` from `state`; `cuts` are what `forward` was given of its keywords."""
        return self._filter(self._signal(self._read(x, cuts)), state, **cuts)

    def forward(
        self, x: Any, state: Any = None, *, resets: Any = None, lengths: Any = None, cu_seqlens: Any = None
    ) -> tuple[Any, Any]:
        """Return (outs, state); a `state` of None is the one of `init_state(x)`.

        `resets`, `lengths` and `cu_seqlens` say where sequences begin and end, as in `multirec.recurrence`. Where
        features are last, x may be a `torch.nn.utils.rnn.PackedSequence`, and so are the outputs.
        """
        if isinstance(x, PackedSequence) and self.layout != "BCT":
            return packed(self, x, state, resets=resets, lengths=lengths, cu_seqlens=cu_seqlens)
        if state is None and self._begins_otherwise():
            state = self.init_state(x if cu_seqlens is None else one_each(x, cu_seqlens, self.layout))
        return self.compute(x, state, **given_cuts(resets, lengths, cu_seqlens))

    def step(self, x: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Filter one sample: x and the outputs are those of a call without the time axis; forward hooks do not run."""
        if self._redefined("forward", "compute"):
            return super().step(x, state)
        self._check_whole()
        if state is None and self._begins_otherwise():
            state = self.init_state(self._block_of_one(x))
        sample = self._sample(x)
        found = self._at_once(sample, state)
        if found is not None:
            return found
        y, state = self._filter(add_time(sample, self.layout), state)
        return drop_time(y, self.layout), state

    def _at_once(self, sample: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any] | None:
        """Return what `step` does, of what is filtered, where there is a shorter way."""
        return None

    def _begins_otherwise(self) -> bool:
        """Whether a subclass has another first state than zeros, which need not be spelt out."""
        return bool(self._redefined("init_state"))

    def _redefined(self, *names: str) -> list[str]:
        """Return which of these methods a subclass has of its own."""
        own = type(self)
        return [name for name in names if getattr(own, name) is not getattr(FilterUnit, name)]

    def _filter(self, signal: torch.Tensor, state: Any, **cuts: Any) -> tuple[torch.Tensor, Any]:
        return self._through(signal, self._now(), state, cuts)

    def _through(
        self, signal: torch.Tensor, pair: Pair, state: Any, cuts: dict[str, Any]
    ) -> tuple[torch.Tensor, State]:
        """Return what one recurrence makes of a signal."""
        taps: tuple[Any, Any] = pair
        if signal.ndim == 2:
            taps = unambiguous(pair[0], signal, self.layout), unambiguous(pair[1], signal, self.layout)
        return self._recurrence(signal, *taps, state, cuts, self._precision(signal))

    def _precision(self, signal: torch.Tensor) -> ComputeDtype:
        # named always, so that the values of weights, which change, decide nothing
        return self.compute_dtype or ("float64" if signal.dtype in _DOUBLE else "float32")

    def _options(self, **usual: Any) -> str:
        """Return the options that differ from the usual ones, for `extra_repr`."""
        usual |= {"reverse": False, "backend": "auto", "compute_dtype": None}
        given = {name: getattr(self, name) for name in usual}
        return "".join(f", {name}={value!r}" for name, value in given.items() if value != usual[name])
