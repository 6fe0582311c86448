"""Band-pass filters of two weights each: their coefficients, and the derivatives of those."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from . import stable
from .closed_form import Tensors
from .frequencies import inside

__all__ = ["BandPass"]


class BandPass(NamedTuple):
    """(feedforward (C, 3), feedback (C, 2)) in `dtype` of the weights of centres (C,) and bandwidths (C,)."""

    dtype: torch.dtype

    # how near to 0 and to half the sample rate the rounded filter is still sure to be stable: 1 - |k| ≥ 2·eps

    @property
    def centre_bound(self) -> float:
        """How far the weight of a centre goes."""
        return _bound(math.sqrt(4 * self._eps))

    @property
    def bandwidth_bound(self) -> float:
        """How far the weight of a bandwidth goes."""
        return _bound(2 * self._eps)

    @property
    def _eps(self) -> float:
        return torch.finfo(self.dtype).eps

    def composed(self, weights: Tensors) -> Tensors:
        centre, bandwidth = weights
        within = torch.stack([inside(centre, self.centre_bound), inside(bandwidth, self.bandwidth_bound)])
        of_centre, of_bandwidth = torch.sigmoid(within).unbind()
        k1 = -torch.cos(math.pi * of_centre)
        k2 = torch.tan(math.pi / 4 - math.pi / 2 * of_bandwidth)
        k = stable.rounded(torch.stack([k1, k2]), self.dtype)
        # from the rounded k2, so that the gain at the centre is 1 for narrow bands too
        gain = (1 - k[1]) / 2
        feedforward = torch.stack([gain, torch.zeros_like(gain), -gain])
        return feedforward.to(self.dtype).T, stable.feedback(k).to(self.dtype).T

    def applies(self, weights: Tensors) -> bool:
        return _at_hand(self, weights[0].device)

    def run(self, weights: Tensors) -> tuple[Tensors, Tensors]:
        known = _constants(self, weights[0].device)
        rows = torch.stack(weights)
        shrink = rows.abs().div(known.bounds).clamp_min_(1.0)
        shares = rows.div(shrink).sigmoid_()
        angles = shares.mul(math.pi)
        of_centre, of_bandwidth = angles.unbind()
        # rows k2 and -k1, in the order in which the derivatives of taps ask for them
        k = torch.empty_like(angles, dtype=self.dtype)
        k2, minus_k1 = k.unbind()
        torch.cos(of_centre, out=minus_k1)
        torch.tan(torch.rsub(of_bandwidth, math.pi / 4, alpha=0.5), out=k2)
        taps = torch.addcmul(known.taps, known.of_k2, k2.unsqueeze(1))
        taps.select(1, 3).mul_(minus_k1)
        feedforward, feedback = torch.unsafe_split_with_sizes(taps.to(self.dtype), [3, 2], 1)
        return (feedforward, feedback), (shrink, shares, angles, k)

    def pull(self, weights: Tensors, kept: Tensors, grads: Tensors) -> Tensors:
        shrink, shares, angles, k = kept
        known = _constants(self, k.device)
        of_taps = torch.addcmul(known.slopes, known.of_k, k.unsqueeze(2)).mul_(torch.cat(grads, 1)).sum(2)
        # d cos α = -sin α, and with α = π·share, d tan(π/4 - α/2) = -1/(1 + sin α): well conditioned up to the bounds
        of_taps.mul_(angles.sin().add_(known.add).pow_(known.power))
        of_weights: Tensor = torch.ops.aten.sigmoid_backward(of_taps, shares).div_(shrink)
        return of_weights.to(weights[0].dtype).unbind()


def _bound(least: float) -> float:
    least = least / math.pi * 1.01
    return math.log((1 - least) / least)


class _Constants(NamedTuple):
    """Numbers as tensors, since arithmetic on all rows at once takes fewer operations than row by row."""

    bounds: Tensor
    """(2, 1), of the two weights."""
    taps: Tensor
    of_k2: Tensor
    """(5,) each: the three taps of feedforward, the first of feedback over -k1, and the second, are taps + of_k2·k2."""
    slopes: Tensor
    of_k: Tensor
    """(2, 1, 5) each: the derivatives of taps by -k1 and by k2, times -π, are slopes + of_k·k, with k of k2 and -k1."""
    add: Tensor
    power: Tensor
    """(2, 1) each: (sin α + add)^power is sin α and 1/(1 + sin α)."""


_made: dict[tuple[torch.dtype, torch.device], _Constants] = {}


def _at_hand(formula: BandPass, device: torch.device) -> bool:
    """Whether constants are on the device, or can be brought there: not while a graph is captured."""
    return (formula.dtype, device) in _made or device.type != "cuda" or not torch.cuda.is_current_stream_capturing()


def _constants(formula: BandPass, device: torch.device) -> _Constants:
    key = formula.dtype, device
    found = _made.get(key)
    if found is None:
        rows = [
            [[formula.centre_bound], [formula.bandwidth_bound]],
            [0.5, 0.0, -0.5, 1.0, -0.0],
            [-0.5, 0.0, 0.5, 1.0, -1.0],
            [[[0.0, 0.0, 0.0, -math.pi, 0.0]], [[math.pi / 2, 0.0, -math.pi / 2, 0.0, math.pi]]],
            [[[0.0, 0.0, 0.0, -math.pi, 0.0]], [[0.0, 0.0, 0.0, -math.pi, 0.0]]],
            [[0.0], [1.0]],
            [[1.0], [-1.0]],
        ]
        # not inference tensors, which no later call could keep for its derivatives
        with torch.inference_mode(False):
            found = _Constants(*(torch.tensor(row, dtype=stable.wide_dtype(device), device=device) for row in rows))
        _made[key] = found
    return found
