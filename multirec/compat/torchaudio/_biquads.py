"""Second-order filters by frequency, gain and Q; all limit their output to [−1, 1], as `biquad` does.

Frequencies are in Hz and gains in dB. They, and Q, are numbers or tensors of one. Coefficients are computed in the
waveform's precision (float32 for half types), as in torchaudio: for exact results at low frequencies, pass float64.
The formulas are those of R. Bristow-Johnson's audio equalizer cookbook, unless something else is said.
"""

from __future__ import annotations

import cmath
import math
from typing import TypeVar

import torch
from torch import Tensor

from multirec.errors import ArgumentError

from ._arguments import check_signal, number_for
from ._filters import biquad

Number = TypeVar("Number", float, Tensor)


def _angle(waveform: Tensor, sample_rate: int, name: str, frequency: float | Tensor) -> Tensor:
    """Return a frequency in radians per sample."""
    check_signal(waveform, clamp=True)
    return 2 * math.pi * number_for(waveform, name, frequency) / sample_rate


def _cosine_and_width(
    waveform: Tensor, sample_rate: int, name: str, frequency: float | Tensor, Q: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Return the cookbook's cos ω₀ and α."""
    angle = _angle(waveform, sample_rate, name, frequency)
    return torch.cos(angle), torch.sin(angle) / 2 / number_for(waveform, "Q", Q)


def _amplitude(waveform: Tensor, gain: float | Tensor) -> Tensor:
    """Return the cookbook's A, the square root of a gain in dB."""
    return torch.exp(number_for(waveform, "gain", gain) / 40 * math.log(10))


def allpass_biquad(
    waveform: Tensor, sample_rate: int, central_freq: float | Tensor, Q: float | Tensor = 0.707
) -> Tensor:
    """Turn the phase by 180° at `central_freq`, and let every frequency pass.

    Example
    -------
    >>> import torch
    >>> from multirec.compat.torchaudio import allpass_biquad
    >>> allpass_biquad(torch.eye(4)[0], 16000, 3000.0).round(decimals=3)
    tensor([ 0.2100, -0.3660,  0.7870,  0.4410])
    """
    cosine, alpha = _cosine_and_width(waveform, sample_rate, "central_freq", central_freq, Q)
    return biquad(waveform, 1 - alpha, -2 * cosine, 1 + alpha, 1 + alpha, -2 * cosine, 1 - alpha)


def band_biquad(
    waveform: Tensor,
    sample_rate: int,
    central_freq: float | Tensor,
    Q: float | Tensor = 0.707,
    noise: bool = False,
) -> Tensor:
    """Keep the neighbourhood of `central_freq`, with a resonator that has no zeros.

    Its bandwidth is central_freq / Q. The gain at the centre is 1; with `noise`, white noise keeps its power instead.
    The formula is that of the program SoX.

    Example
    -------
    >>> import torch
    >>> from multirec.compat.torchaudio import band_biquad
    >>> tone = torch.sin(torch.arange(800.0) * 2 * torch.pi * 440 / 16000)
    >>> band_biquad(0.5 * tone, 16000, 440.0)[400:].max().round(decimals=2)
    tensor(0.5000)
    """
    angle = _angle(waveform, sample_rate, "central_freq", central_freq)
    bandwidth = number_for(waveform, "central_freq", central_freq) / number_for(waveform, "Q", Q)
    a2 = torch.exp(-2 * math.pi * bandwidth / sample_rate)
    a1 = -4 * a2 / (1 + a2) * torch.cos(angle)
    if noise:
        b0 = torch.sqrt(((1 + a2) * (1 + a2) - a1 * a1) * (1 - a2) / (1 + a2))
    else:
        b0 = torch.sqrt(1 - a1 * a1 / (4 * a2)) * (1 - a2)
    return biquad(waveform, b0, 0.0, 0.0, 1.0, a1, a2)


def bandpass_biquad(
    waveform: Tensor,
    sample_rate: int,
    central_freq: float | Tensor,
    Q: float | Tensor = 0.707,
    const_skirt_gain: bool = False,
) -> Tensor:
    """Keep the neighbourhood of `central_freq`: with gain 1 there, or with gain Q if `const_skirt_gain`.

    Example
    -------
    >>> import torch
    >>> from multirec.compat.torchaudio import bandpass_biquad
    >>> bandpass_biquad(torch.eye(4)[0], 16000, 3000.0).round(decimals=3)
    tensor([ 0.3950,  0.1830, -0.3930, -0.2200])
    """
    cosine, alpha = _cosine_and_width(waveform, sample_rate, "central_freq", central_freq, Q)
    edge = torch.sin(_angle(waveform, sample_rate, "central_freq", central_freq)) / 2 if const_skirt_gain else alpha
    return biquad(waveform, edge, 0.0, -edge, 1 + alpha, -2 * cosine, 1 - alpha)


def bandreject_biquad(
    waveform: Tensor, sample_rate: int, central_freq: float | Tensor, Q: float | Tensor = 0.707
) -> Tensor:
    """Remove `central_freq`, in a notch of width central_freq / Q.

    Example
    -------
    >>> import torch
    >>> from multirec.compat.torchaudio import bandreject_biquad
    >>> tone = torch.sin(torch.arange(800.0) * 2 * torch.pi * 1000 / 16000)
    >>> bandreject_biquad(tone, 16000, 1000.0)[400:].abs().max().round(decimals=2)
    tensor(0.)
    """
    cosine, alpha = _cosine_and_width(waveform, sample_rate, "central_freq", central_freq, Q)
    return biquad(waveform, 1.0, -2 * cosine, 1.0, 1 + alpha, -2 * cosine, 1 - alpha)


def equalizer_biquad(
    waveform: Tensor, sample_rate: int, center_freq: float | Tensor, gain: float | Tensor, Q: float | Tensor = 0.707
) -> Tensor:
    """Raise or lower the neighbourhood of `center_freq` by `gain` dB.

    Example
    -------
    >>> import torch
    >>> from multirec.compat.torchaudio import equalizer_biquad
    >>> tone = torch.sin(torch.arange(800.0) * 2 * torch.pi * 1000 / 16000)
    >>> equalizer_biquad(0.1 * tone, 16000, 1000.0, 6.0)[400:].max().round(decimals=3)
    tensor(0.2000)
    """
    cosine, alpha = _cosine_and_width(waveform, sample_rate, "center_freq", center_freq, Q)
    root = _amplitude(waveform, gain)
    up, down = alpha * root, alpha / root
    return biquad(waveform, 1 + up, -2 * cosine, 1 - up, 1 + down, -2 * cosine, 1 - down)


def lowpass_biquad(
    waveform: Tensor, sample_rate: int, cutoff_freq: float | Tensor, Q: float | Tensor = 0.707
) -> Tensor:
    """Keep what is below `cutoff_freq`, where the gain is Q.

    Example
    -------
    >>> import torch
    >>> from multirec.compat.torchaudio import lowpass_biquad
    >>> lowpass_biquad(torch.full((4,), 0.5), 16000, 3000.0).round(decimals=3)
    tensor([0.0930, 0.3230, 0.5030, 0.5390])
    """
    cosine, alpha = _cosine_and_width(waveform, sample_rate, "cutoff_freq", cutoff_freq, Q)
    edge = (1 - cosine) / 2
    return biquad(waveform, edge, 1 - cosine, edge, 1 + alpha, -2 * cosine, 1 - alpha)


def highpass_biquad(
    waveform: Tensor, sample_rate: int, cutoff_freq: float | Tensor, Q: float | Tensor = 0.707
) -> Tensor:
    """Keep what is above `cutoff_freq`, where the gain is Q.

    Example
    -------
    >>> import torch
    >>> from multirec.compat.torchaudio import highpass_biquad
    >>> highpass_biquad(torch.ones(4), 16000, 3000.0).round(decimals=3)
    tensor([ 0.4180, -0.2250, -0.1920, -0.0420])
    """
    cosine, alpha = _cosine_and_width(waveform, sample_rate, "cutoff_freq", cutoff_freq, Q)
    edge = (1 + cosine) / 2
    return biquad(waveform, edge, -1 - cosine, edge, 1 + alpha, -2 * cosine, 1 - alpha)


def bass_biquad(
    waveform: Tensor,
    sample_rate: int,
    gain: float | Tensor,
    central_freq: float | Tensor = 100,
    Q: float | Tensor = 0.707,
) -> Tensor:
    """Raise or lower what is below `central_freq` by `gain` dB (a low shelf), half of them there.

    Example
    -------
    >>> import torch
    >>> from multirec.compat.torchaudio import bass_biquad
    >>> bass_biquad(torch.full((4000,), 0.1), 16000, 6.0)[-1].round(decimals=3)
    tensor(0.2000)
    """
    cosine, alpha = _cosine_and_width(waveform, sample_rate, "central_freq", central_freq, Q)
    return biquad(waveform, *_shelf(_amplitude(waveform, gain), cosine, alpha, 1))


def treble_biquad(
    waveform: Tensor,
    sample_rate: int,
    gain: float | Tensor,
    central_freq: float | Tensor = 3000,
    Q: float | Tensor = 0.707,
) -> Tensor:
    """Raise or lower what is above `central_freq` by `gain` dB (a high shelf), half of them there.

    Example
    -------
    >>> import torch
    >>> from multirec.compat.torchaudio import treble_biquad
    >>> alternating = 0.1 * (-1.0) ** torch.arange(400)
    >>> treble_biquad(alternating, 16000, 6.0)[-2].round(decimals=3)
    tensor(0.2000)
    """
    cosine, alpha = _cosine_and_width(waveform, sample_rate, "central_freq", central_freq, Q)
    return biquad(waveform, *_shelf(_amplitude(waveform, gain), cosine, alpha, -1))


def _shelf(root: Number, cosine: Number, alpha: Number, side: int) -> tuple[Number, ...]:
    """Return b and a of the low (`side` 1) or high (−1) shelf; the one is the other with z for −z."""
    width = 2 * root**0.5 * alpha
    less, more = side * (root - 1) * cosine, side * (root + 1) * cosine
    b0 = root * ((root + 1) - less + width)
    b1 = side * 2 * root * ((root - 1) - more)
    b2 = root * ((root + 1) - less - width)
    a0 = (root + 1) + less + width
    a1 = side * -2 * ((root - 1) + more)
    a2 = (root + 1) + less - width
    return b0, b1, b2, a0, a1, a2


# centre in Hz, slope, gain in dB
_DEEMPH = {44100: (5283, 0.4845, -9.477), 48000: (5356, 0.479, -9.62)}


def deemph_biquad(waveform: Tensor, sample_rate: int) -> Tensor:
    """Undo the pre-emphasis of compact discs, by the high shelf that SoX approximates it with.

    Raises
    ------
    ArgumentError
        `sample_rate` is neither 44100 nor 48000.

    Example
    -------
    >>> import torch
    >>> from multirec.compat.torchaudio import deemph_biquad
    >>> deemph_biquad(torch.full((400,), 0.1), 44100)[-1].round(decimals=3)
    tensor(0.1000)
    """
    if sample_rate not in _DEEMPH:
        raise ArgumentError(f"sample_rate is {sample_rate}; de-emphasis is defined for 44100 (CD) and 48000 (DAT).")
    centre, slope, gain = _DEEMPH[sample_rate]
    angle = 2 * math.pi * centre / sample_rate
    root = math.exp(gain / 40 * math.log(10))
    alpha = math.sin(angle) / 2 * math.sqrt((root + 1 / root) * (1 / slope - 1) + 2)
    return biquad(waveform, *_shelf(root, math.cos(angle), alpha, -1))


# zeros and poles at each sample rate
_RIAA = {
    44100: ((-0.2014898, 0.9233820), (0.7083149, 0.9924091)),
    48000: ((-0.1766069, 0.9321590), (0.7396325, 0.9931330)),
    88200: ((-0.1168735, 0.9648312), (0.8590646, 0.9964002)),
    96000: ((-0.1141486, 0.9676817), (0.8699137, 0.9966946)),
}


def riaa_biquad(waveform: Tensor, sample_rate: int) -> Tensor:
    """Equalise the playback of vinyl records (RIAA), with gain 1 at 1 kHz.

    It follows the curve from 20 Hz to 10 kHz to 0.5 dB at 44100 Hz, 0.3 dB at 48000, and 0.1 dB at 88200 and 96000.

    Raises
    ------
    ArgumentError
        `sample_rate` is none of 44100, 48000, 88200 and 96000.

    Example
    -------
    >>> import torch
    >>> from multirec.compat.torchaudio import riaa_biquad
    >>> tone = torch.sin(torch.arange(4800.0) * 2 * torch.pi * 1000 / 48000)
    >>> riaa_biquad(0.1 * tone, 48000)[2400:].max().round(decimals=3)
    tensor(0.1000)
    """
    if sample_rate not in _RIAA:
        raise ArgumentError(f"sample_rate is {sample_rate}; RIAA filters are known for {', '.join(map(str, _RIAA))}.")
    zeros, poles = _RIAA[sample_rate]
    (b1, b2), (a1, a2) = ((-(first + second), first * second) for first, second in (zeros, poles))
    delay = cmath.exp(-2j * math.pi * 1000 / sample_rate)
    scale = abs((1 + a1 * delay + a2 * delay**2) / (1 + b1 * delay + b2 * delay**2))
    return biquad(waveform, scale, scale * b1, scale * b2, 1.0, a1, a2)
