"""Loudness of programmes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from multirec.errors import ShapeError

from ._arguments import check_signal
from ._biquads import highpass_biquad, treble_biquad

# left, right, centre, left surround, right surround
_WEIGHTS = (1.0, 1.0, 1.0, 1.41, 1.41)
_BLOCK = 0.4
_OVERLAP = 0.75
_ABSOLUTE_GATE = -70.0
_RELATIVE_GATE = -10.0


def loudness(waveform: Tensor, sample_rate: int) -> Tensor:
    """Measure loudness in LKFS, as ITU-R BS.1770-4 gates it, with torchaudio's filters.

    Parameters
    ----------
    waveform
        (..., channels, time), full scale 1: up to five channels, in the order left, right, centre, left surround,
        right surround.
    sample_rate
        In Hz.

    Returns
    -------
    Tensor
        (...), one number for each signal; NaN where no block is above −70 LKFS.

    Raises
    ------
    ShapeError
        More than five channels, no axis of channels, or less than one block of 0.4 s.

    Notes
    -----
    As in torchaudio, both filters limit what they put out to [−1, 1]. The first one raises high frequencies by 4 dB, so
    signals near full scale read too low: a 997 Hz sine of full scale in one channel reads −3.28 LKFS, where the
    recommendation says −3.01. Half of it reads −9.07, which has an error of 0.04 dB: the filters are not exactly those
    that the recommendation gives for 48 kHz. The filters work in the waveform's precision.

    Example
    -------
    >>> import torch
    >>> from multirec.compat.torchaudio import loudness
    >>> tone = torch.sin(torch.arange(96000, dtype=torch.float64) * 2 * torch.pi * 997 / 48000)
    >>> loudness(0.5 * tone[None], 48000).round(decimals=2)
    tensor(-9.0700, dtype=torch.float64)
    """
    check_signal(waveform, clamp=True)
    block = round(_BLOCK * sample_rate)
    if waveform.ndim < 2 or waveform.shape[-2] > len(_WEIGHTS):
        raise ShapeError(
            f"waveform has shape {tuple(waveform.shape)}; it is (..., channels, time), with up to {len(_WEIGHTS)} "
            "channels."
        )
    if waveform.shape[-1] < block:
        raise ShapeError(
            f"waveform has {waveform.shape[-1]} samples; loudness is measured in blocks of {_BLOCK} s, which are "
            f"{block} samples at {sample_rate} Hz. Pass a longer signal."
        )
    weighted = treble_biquad(waveform, sample_rate, 4.0, 1500.0, 1 / math.sqrt(2))
    weighted = highpass_biquad(weighted, sample_rate, 38.0, 0.5)
    power = weighted.square().unfold(-1, block, round(block * (1 - _OVERLAP))).mean(-1)
    of_blocks = _level(power)
    loud = of_blocks > _ABSOLUTE_GATE
    relative = _level(_mean(power, loud)) + _RELATIVE_GATE
    return _level(_mean(power, loud & (of_blocks > relative)))[..., 0]


def _level(power: Tensor) -> Tensor:
    """Return the loudness of powers (..., channels, blocks) as (..., blocks)."""
    weights = torch.tensor(_WEIGHTS[: power.shape[-2]], dtype=power.dtype, device=power.device)
    return -0.691 + 10 * torch.log10((weights[:, None] * power).sum(-2))


def _mean(power: Tensor, which: Tensor) -> Tensor:
    """Return the mean over some blocks, (..., channels, 1)."""
    chosen = which.unsqueeze(-2)
    return (chosen * power).sum(-1, keepdim=True) / chosen.sum(-1, keepdim=True)
