"""A bank of band-pass filters with two weights each: centre frequency and bandwidth."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from multirec._core.problem import ComputeDtype
from multirec.errors import ArgumentError, ShapeError

from . import _stable
from ._filter_bank import SignalBank

__all__ = ["BandpassBank"]

Hertz = npt.NDArray[np.float64]
Warp = Callable[[Hertz], Hertz]

_SCALES: dict[str, tuple[Warp, Warp]] = {
    "linear": (lambda hertz: hertz, lambda value: value),
    "log": (np.log, np.exp),
    "mel": (lambda hertz: np.log1p(hertz / 700.0), lambda value: 700.0 * np.expm1(value)),
}


class BandpassBank(SignalBank):
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
        ``"mel"``, ``"log"`` or ``"linear"`` spacing between `f_min` and `f_max`, or C frequencies in Hz.
    f_min, f_max
        Edges of the grid in Hz; `f_max` None is 0.45 of the sample rate.
    bandwidths
        C bandwidths in Hz, or one for all; None is the distance between neighbouring centres.
    layout, reverse, backend, compute_dtype, device, dtype
        As in `FilterBank`.

    Shapes
    ------
    As in `FilterBank`: x [B, T] or [B, 1|C, T] gives y [B, C, T] and the `multirec.State`.

    Raises
    ------
    ArgumentError
        A frequency is not above 0 and below half the sample rate, or too near to them for `dtype`.
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
        layout: str = "BCT",
        reverse: bool = False,
        backend: str = "auto",
        compute_dtype: ComputeDtype | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(channels, 2, 2, layout, reverse, backend, compute_dtype, dtype)
        if not sample_rate > 0:
            raise ArgumentError(f"sample_rate is above 0 Hz, got {sample_rate!r}.")
        self.sample_rate = float(sample_rate)
        self.centre_weight = nn.Parameter(torch.empty(channels, device=device, dtype=dtype))
        self.bandwidth_weight = nn.Parameter(torch.empty(channels, device=device, dtype=dtype))
        if isinstance(centres, str):
            top = 0.45 * self.sample_rate if f_max is None else f_max
            self._centres, spacing = _grid(channels, centres, f_min, top)
        else:
            self._centres = _frequencies("centres", centres, channels)
            spacing = None
        if bandwidths is not None:
            self._bandwidths = _frequencies("bandwidths", bandwidths, channels)
        else:
            self._bandwidths = _spacing(self._centres) if spacing is None else spacing
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Return to the centre frequencies and bandwidths that the bank was made with."""
        with torch.no_grad():
            self.centre_weight.copy_(self._logit("centres", self._centres, self._centre_bound))
            self.bandwidth_weight.copy_(self._logit("bandwidths", self._bandwidths, self._bandwidth_bound))

    @property
    def centres(self) -> torch.Tensor:
        """The current centre frequencies (C,) in Hz, differentiable."""
        return self._hertz(self.centre_weight, self._centre_bound)

    @property
    def bandwidths(self) -> torch.Tensor:
        """The current -3 dB bandwidths (C,) in Hz, differentiable."""
        return self._hertz(self.bandwidth_weight, self._bandwidth_bound)

    def coefficients(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (feedforward (C, 3), feedback (C, 2)), differentiable."""
        dtype = _stable.coefficient_dtype(self.centre_weight, self.compute_dtype)
        k1 = -torch.cos(math.pi * self._share(self.centre_weight, self._centre_bound))
        k2 = torch.tan(math.pi / 4 * (1 - 2 * self._share(self.bandwidth_weight, self._bandwidth_bound)))
        k = _stable.rounded(torch.stack([k1, k2]), dtype)
        # from the rounded k2, so that the gain at the centre is 1 for narrow bands too
        gain = (1 - k[1]) / 2
        feedforward = torch.stack([gain, torch.zeros_like(gain), -gain])
        return feedforward.to(dtype).T, _stable.feedback(k).to(dtype).T

    # how near to 0 and to half the sample rate the rounded filter is still sure to be stable: 1 - |k| ≥ 2·eps

    @property
    def _centre_bound(self) -> float:
        least = math.sqrt(4 * self._eps) / math.pi * 1.01
        return math.log((1 - least) / least)

    @property
    def _bandwidth_bound(self) -> float:
        least = 2 * self._eps / math.pi * 1.01
        return math.log((1 - least) / least)

    @property
    def _eps(self) -> float:
        return torch.finfo(_stable.coefficient_dtype(self.centre_weight, self.compute_dtype)).eps

    def _hertz(self, weight: torch.Tensor, bound: float) -> torch.Tensor:
        return (self._share(weight, bound) * (self.sample_rate / 2)).to(_stable.coefficient_dtype(weight))

    @staticmethod
    def _share(weight: torch.Tensor, bound: float) -> torch.Tensor:
        """Return the share of half the sample rate, in wide."""
        return torch.sigmoid(_stable.limited(_stable.wide(weight), bound))

    def _logit(self, name: str, hertz: Hertz, bound: float) -> torch.Tensor:
        half = self.sample_rate / 2
        low = half / (1 + math.exp(bound))
        if not ((hertz > low) & (hertz < half - low)).all():
            raise ArgumentError(
                f"{name} of a BandpassBank are between 0 Hz and half the sample rate, {half:g} Hz, and as a "
                f"{self.centre_weight.dtype} filter at least {low:.3g} Hz from both, got {hertz.min():g} to "
                f"{hertz.max():g} Hz. Check the sample rate, or use dtype=torch.float64 together with "
                "compute_dtype='float64'."
            )
        return torch.logit(torch.from_numpy(hertz / half))

    def extra_repr(self) -> str:
        return f"{self.channels}, sample_rate={self.sample_rate:g}" + self._options(layout="BCT")


def _grid(channels: int, scale: str, f_min: float, f_max: float) -> tuple[Hertz, Hertz]:
    """Return C centres equally spaced on `scale` inside the edges, and half their neighbours' distance."""
    if scale not in _SCALES:
        raise ArgumentError(f"centres is 'mel', 'log', 'linear' or C frequencies in Hz, got {scale!r}.")
    if not 0 < f_min < f_max:
        raise ArgumentError(f"f_min is above 0 and below f_max, got f_min={f_min!r}, f_max={f_max!r} Hz.")
    warp, unwarp = _SCALES[scale]
    low, high = warp(np.array([f_min, f_max]))
    edges = unwarp(np.linspace(low, high, channels + 2))
    return edges[1:-1], (edges[2:] - edges[:-2]) / 2


def _spacing(centres: Hertz) -> Hertz:
    """Return half the distance between the neighbours of each centre."""
    if len(centres) < 2 or not (np.diff(centres) > 0).all():
        raise ArgumentError(
            "bandwidths may be left out for two or more ascending centres only, whose distances they are then. "
            "Pass bandwidths in Hz."
        )
    return np.gradient(centres)


def _frequencies(name: str, given: npt.ArrayLike, channels: int) -> Hertz:
    hertz = np.asarray(given, dtype=np.float64)
    if hertz.shape not in ((channels,), ()) or (hertz.ndim == 0 and name == "centres"):
        raise ShapeError(f"{name} are {channels} frequencies in Hz, one a channel, got shape {hertz.shape}.")
    return np.broadcast_to(hertz, (channels,)).copy()
