"""A learnable equaliser: the cookbook's sections in turn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from multirec._core.problem import ComputeDtype
from multirec._core.scalars import check_sample_rate, whole
from multirec._core.validate import as_choices
from multirec.backend import Layout
from multirec.biquads import Kind, equaliser
from multirec.biquads._cookbook import BUTTERWORTH
from multirec.biquads._kinds import checked
from multirec.biquads._section import MOST_GAIN, MOST_Q
from multirec.errors import ArgumentError, ShapeError

from .._contract.arguments import check_weight_dtype
from .._weights import stable
from .._weights.frequencies import ladder, logit, share
from .cascade_unit import CascadeUnit
from .filter_unit import Pair
from .frozen import FrozenCascade
from .learned import LearnedUnit
from .sampled import SampledUnit
from .signal_bank import SignalBank

__all__ = ["ParametricEQ"]

_DB = 20 / math.log(10)
_KINDS = get_args(Kind)


class ParametricEQ(SampledUnit, CascadeUnit, LearnedUnit, SignalBank):
    """A parametric equaliser: sections in turn, each with a learnable frequency, Q and gain.

    The sections are those of `multirec.biquads`, from Robert Bristow-Johnson's cookbook. The weights are the logit of
    the frequency as a share of half the sample rate, and the natural logarithms of Q and of the gain: every value is a
    stable filter with finite gradients. With gains of 0 dB, as it begins, it passes the signal as it is.

    Parameters
    ----------
    bands
        The kinds of the S sections, as `multirec.biquads.equaliser` takes them, or their number: a low shelf, peaks and
        a high shelf; one band is a peak.
    sample_rate
        In Hz.
    channels
        Number of equalisers C; 1 serves signals of any number of channels.
    frequencies
        ``"log"``, ``"mel"``, ``"erb"`` or ``"linear"`` spacing from `f_min` to `f_max`, or frequencies in Hz: S, or
        (C, S).
    f_min, f_max
        The first and the last frequency in Hz, `f_max` below half the sample rate; None is a fifth of the sample rate.
    q
        Number above 0: one, S, or (C, S).
    gains
        In dB: one, S, or (C, S). They mean nothing to kinds without a gain, such as ``"high_pass"``.
    layout, reverse, backend, compute_dtype, device, dtype
        As in `FilterBank`.

    Shapes
    ------
    As in `FilterBank`: x [T], [B, T] or [B, 1|C, T] gives y [C, T] or [B, C, T]. The state is a tuple of a
    `multirec.State` a section.

    Raises
    ------
    ArgumentError
        No kind of that name; a frequency is not above 0 and below half the sample rate, or too near to them for
        `dtype`; a Q is not above 0; `load_state_dict` of an equaliser at another sample rate or of other kinds.
    ShapeError
        `frequencies`, `q` or `gains` have another shape; x has another number of channels.

    Example
    -------
    >>> eq = ParametricEQ(5, 48000, gains=[3.0, 0.0, -6.0, 0.0, 2.0])
    >>> y, state = eq(torch.randn(2, 480))
    >>> y, state = eq(torch.randn(2, 480), state)
    >>> y.shape, [round(hertz) for hertz in eq.frequencies[0].tolist()]
    (torch.Size([2, 1, 480]), [100, 313, 980, 3067, 9600])
    >>> ParametricEQ(["high_pass", "peak", "peak"], 48000).kinds
    ('high_pass', 'peak', 'peak')
    """

    def __init__(
        self,
        bands: int | Sequence[Kind],
        sample_rate: float,
        *,
        channels: int = 1,
        frequencies: str | npt.ArrayLike = "log",
        f_min: float = 100.0,
        f_max: float | None = None,
        q: npt.ArrayLike = BUTTERWORTH,
        gains: npt.ArrayLike = 0.0,
        layout: Layout = "BCT",
        reverse: bool = False,
        backend: str = "auto",
        compute_dtype: ComputeDtype | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_weight_dtype(self, dtype)
        kinds = checked(bands) if isinstance(bands, Sequence) else _usual(whole("bands", bands, 1))
        order = 2 * len(kinds)
        super().__init__(channels, order, order, as_choices(layout, reverse, backend, compute_dtype))
        self.kinds, self.sample_rate = kinds, check_sample_rate(sample_rate)
        if isinstance(frequencies, str):
            last = self.sample_rate / 5 if f_max is None else f_max
            frequencies = ladder("frequencies", len(kinds), frequencies, f_min, last, self.sample_rate)
        given = {"frequencies": frequencies, "q": q, "gains": gains}
        self._start = [self._rows(name, values) for name, values in given.items()]
        # says what is wrong with the values
        equaliser(kinds, *self._start, sample_rate=self.sample_rate)
        shape = self.channels, len(kinds)
        self.frequency_weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        self.q_weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        self.gain_weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Return to the frequencies, Q and gains that the equaliser was made with."""
        frequencies, q, gains = self._start
        dtype = self.frequency_weight.dtype
        with torch.no_grad():
            weight = logit("frequencies of a ParametricEQ", frequencies, self.sample_rate, self._bound, dtype)
            self.frequency_weight.copy_(weight)
            self.q_weight.copy_(torch.from_numpy(np.log(q)))
            self.gain_weight.copy_(torch.from_numpy(gains / _DB))

    def get_extra_state(self) -> torch.Tensor:
        """Return the sample rate and the kinds, by number: what filters the weights in a `state_dict` are."""
        kinds = [_KINDS.index(kind) for kind in self.kinds]
        return torch.cat([super().get_extra_state()[None], torch.tensor(kinds, device="cpu")])

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Raise unless a `state_dict` is of an equaliser at this sample rate, with these kinds."""
        super().set_extra_state(state[0])
        kinds = tuple(_KINDS[int(number)] for number in state[1:])
        if kinds != self.kinds:
            raise ArgumentError(
                f"the state_dict is of a ParametricEQ of {', '.join(kinds)}, and this one is of "
                f"{', '.join(self.kinds)}, where the same weights are other filters. Load it into one with "
                f"bands={list(kinds)}."
            )

    @property
    def frequencies(self) -> torch.Tensor:
        """The current frequencies (C, S) in Hz, differentiable."""
        return self._parameters_of(*self._weights())[0]

    @property
    def q(self) -> torch.Tensor:
        """The current Q (C, S), differentiable."""
        return self._parameters_of(*self._weights())[1]

    @property
    def gains(self) -> torch.Tensor:
        """The current gains (C, S) in dB, differentiable."""
        return self._parameters_of(*self._weights())[2]

    def _weights(self) -> tuple[torch.Tensor, ...]:
        return self.frequency_weight, self.q_weight, self.gain_weight

    def _made_of(self, *weights: torch.Tensor) -> Pair:
        sos = equaliser(self.kinds, *self._parameters_of(*weights), sample_rate=self.sample_rate)
        return sos[..., :3], -sos[..., 4:]

    def _parameters_of(self, *weights: torch.Tensor) -> list[torch.Tensor]:
        """Return frequencies, Q and gains in the precision of the coefficients."""
        frequency, q, gain = weights
        wide = [
            share(frequency, self._bound) * (self.sample_rate / 2),
            torch.exp(stable.limited(stable.wide(q), math.log(MOST_Q))),
            stable.limited(stable.wide(gain), MOST_GAIN / _DB) * _DB,
        ]
        return [part.to(self._taps_dtype) for part in wide]

    def freeze(self) -> FrozenCascade:
        """Return a cascade that keeps the coefficients as they are now: a call computes none, and it does not learn."""
        return FrozenCascade(self)

    @property
    def _taps_dtype(self) -> torch.dtype:
        return stable.coefficient_dtype(self.frequency_weight, self.compute_dtype)

    @property
    def _bound(self) -> float:
        """How far a frequency's weight goes: where `multirec.biquads` keeps the frequency."""
        least = 2 / math.pi * 1.02 * math.sqrt(torch.finfo(self._taps_dtype).eps)
        return math.log((1 - least) / least)

    def _rows(self, name: str, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return values (C, S) of one number, S or (C, S)."""
        array, shape = np.asarray(values, dtype=np.float64), (self.channels, self.order // 2)
        if array.shape not in (shape, shape[1:], ()):
            raise ShapeError(
                f"{name} of a ParametricEQ of {shape[1]} bands and {shape[0]} channels are one number, one a band or "
                f"(channels, bands), got shape {array.shape}."
            )
        return np.broadcast_to(array, shape).copy()

    def extra_repr(self) -> str:
        bands = ", ".join(self.kinds)
        return f"[{bands}], sample_rate={self.sample_rate:g}" + self._options(channels=1, layout="BCT")


def _usual(bands: int) -> tuple[Kind, ...]:
    kinds: list[Kind] = ["peak"] * bands
    if bands > 1:
        kinds[0], kinds[-1] = "low_shelf", "high_shelf"
    return tuple(kinds)
