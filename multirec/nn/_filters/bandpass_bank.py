"""A bank of band-pass filters with two weights each: centre frequency and bandwidth."""

from __future__ import annotations

import numpy.typing as npt
import torch
from torch import nn

from multirec._core.problem import ComputeDtype
from multirec._core.scalars import check_sample_rate
from multirec._core.validate import as_choices
from multirec.backend import Layout

from .._contract.arguments import check_weight_dtype
from .._weights import stable
from .._weights.band_pass import BandPass
from .._weights.closed_form import coefficients
from .._weights.frequencies import Hertz, frequencies, grid, logit, share, spacing
from .filter_unit import Pair
from .frozen import FrozenBank
from .learned import LearnedUnit
from .sampled import SampledUnit
from .signal_bank import SignalBank

__all__ = ["BandpassBank"]


class BandpassBank(SampledUnit, LearnedUnit, SignalBank):
    """`channels` second-order band-pass filters, each with a learnable centre frequency and bandwidth.

    y[t] = b0·(x[t] - x[t-2]) + feedback[0]·y[t-1] + feedback[1]·y[t-2]: half the difference of the signal
    and Regalia and Mitra's tunable all-pass, whose reflection coefficients are
    k1 = -cos(2π·centre/sample_rate) and k2 = tan(π/4 - π·bandwidth/sample_rate), with b0 = (1 - k2)/2.
    So the gain is 1 at the centre, the bandwidth is where it is above -3 dB, and neither moves the other.
    Both weights are logits of the frequency as a share of half the sample rate: every value is a stable
    filter.

    Parameters
    ----------
    channels
        Number of filters C.
    sample_rate
        In Hz.
    centres
        ``"mel"``, ``"erb"``, ``"log"`` or ``"linear"`` spacing between `f_min` and `f_max`, or C frequencies in Hz.
    f_min, f_max
        Edges of the grid in Hz, `f_max` at most half the sample rate; None is 0.45 of the sample rate.
    bandwidths
        C bandwidths in Hz, or one for all; None is the distance between neighbouring centres.
    layout, reverse, backend, compute_dtype, device, dtype
        As in `FilterBank`.

    Shapes
    ------
    As in `FilterBank`: x [T], [B, T] or [B, 1|C, T] gives y [C, T] or [B, C, T] and the `multirec.State`.

    Raises
    ------
    ArgumentError
        A frequency is not above 0 and below half the sample rate, or too near to them for `dtype`; `load_state_dict` of
        a bank at another sample rate.
    ShapeError
        `centres` or `bandwidths` are not C numbers; x has another number of channels.

    Example
    -------
    >>> bank = BandpassBank(3, 16000, centres=[440.0, 1000.0, 5000.0], bandwidths=50.0)
    >>> y, state = bank(torch.randn(2, 400))
    >>> y.shape, [round(hertz) for hertz in bank.centres.tolist()]
    (torch.Size([2, 3, 400]), [440, 1000, 5000])
    """

    def __init__(
        self,
        channels: int,
        sample_rate: float,
        *,
        centres: str | npt.ArrayLike = "mel",
        f_min: float = 40.0,
        f_max: float | None = None,
        bandwidths: npt.ArrayLike | None = None,
        layout: Layout = "BCT",
        reverse: bool = False,
        backend: str = "auto",
        compute_dtype: ComputeDtype | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_weight_dtype(self, dtype)
        super().__init__(channels, 2, 2, as_choices(layout, reverse, backend, compute_dtype))
        self.sample_rate = check_sample_rate(sample_rate)
        self.centre_weight = nn.Parameter(torch.empty(channels, device=device, dtype=dtype))
        self.bandwidth_weight = nn.Parameter(torch.empty(channels, device=device, dtype=dtype))
        if isinstance(centres, str):
            self._centres, apart = grid(self.channels, centres, f_min, f_max, self.sample_rate)
        else:
            self._centres, apart = frequencies("centres", centres, self.channels), None
        if bandwidths is not None:
            self._bandwidths = frequencies("bandwidths", bandwidths, self.channels)
        else:
            self._bandwidths = spacing(self._centres) if apart is None else apart
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Return to the centre frequencies and bandwidths that the bank was made with."""
        with torch.no_grad():
            self.centre_weight.copy_(self._logit("centres", self._centres, self._formula.centre_bound))
            self.bandwidth_weight.copy_(self._logit("bandwidths", self._bandwidths, self._formula.bandwidth_bound))

    @property
    def centres(self) -> torch.Tensor:
        """The current centre frequencies (C,) in Hz, differentiable."""
        return self._hertz(self.centre_weight, self._formula.centre_bound)

    @property
    def bandwidths(self) -> torch.Tensor:
        """The current -3 dB bandwidths (C,) in Hz, differentiable."""
        return self._hertz(self.bandwidth_weight, self._formula.bandwidth_bound)

    def _weights(self) -> tuple[torch.Tensor, ...]:
        return self.centre_weight, self.bandwidth_weight

    def _made_of(self, *weights: torch.Tensor) -> Pair:
        feedforward, feedback = coefficients(self._formula, *weights)
        return feedforward, feedback

    def freeze(self) -> FrozenBank:
        """Return a bank that keeps the coefficients as they are now: a call computes none, and it does not learn."""
        return FrozenBank(self)

    @property
    def _formula(self) -> BandPass:
        return BandPass(stable.coefficient_dtype(self.centre_weight, self.compute_dtype))

    def _hertz(self, weight: torch.Tensor, bound: float) -> torch.Tensor:
        return (share(weight, bound) * (self.sample_rate / 2)).to(stable.coefficient_dtype(weight))

    def _logit(self, name: str, hertz: Hertz, bound: float) -> torch.Tensor:
        return logit(f"{name} of a BandpassBank", hertz, self.sample_rate, bound, self.centre_weight.dtype)

    def extra_repr(self) -> str:
        return f"{self.channels}, sample_rate={self.sample_rate:g}" + self._options(layout="BCT")
