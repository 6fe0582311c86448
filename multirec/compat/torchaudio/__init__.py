"""The filters of `torchaudio.functional`, with its signatures and its results to rounding, also where it clamps.

Change the import, and nothing else:

>>> import torch
>>> import multirec.compat.torchaudio as F
>>> F.lowpass_biquad(torch.full((4,), 0.5), 16000, 3000.0).round(decimals=3)
tensor([0.0930, 0.3230, 0.5030, 0.5390])

It takes more than torchaudio does: half and complex types, coefficients of another data type than the waveform's, and
signals without samples. Every argument that is a tensor has a gradient, of any order, also inside `torch.func` and
`torch.compile`. `torch.jit.script` does not work.
"""

from ._biquads import (
    allpass_biquad,
    band_biquad,
    bandpass_biquad,
    bandreject_biquad,
    bass_biquad,
    deemph_biquad,
    equalizer_biquad,
    highpass_biquad,
    lowpass_biquad,
    riaa_biquad,
    treble_biquad,
)
from ._filters import biquad, deemphasis, filtfilt, lfilter, preemphasis
from ._loudness import loudness

__all__ = [
    "allpass_biquad",
    "band_biquad",
    "bandpass_biquad",
    "bandreject_biquad",
    "bass_biquad",
    "biquad",
    "deemph_biquad",
    "deemphasis",
    "equalizer_biquad",
    "filtfilt",
    "highpass_biquad",
    "lfilter",
    "loudness",
    "lowpass_biquad",
    "preemphasis",
    "riaa_biquad",
    "treble_biquad",
]
