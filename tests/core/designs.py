"""Filters that float32 holds, those that it spoils, and those that float64 can hardly tell."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import signal

RNG = np.random.default_rng(0)
NOISE = RNG.standard_normal((1, 1, 20000)).astype(np.float32)


def normalised(b: Any, a: Any) -> tuple[np.ndarray, np.ndarray]:
    b, a = np.asarray(b, float), np.asarray(a, float)
    return b[None] / a[0], -a[None, 1:] / a[0]


def notch(quality: float) -> tuple[np.ndarray, np.ndarray]:
    return signal.iirnotch(50, quality, 48000)


def cookbook(kind: str, hertz: float, quality: float, decibel: float) -> tuple[list[float], list[float]]:
    """Return an equaliser's section at 48 kHz, by the equaliser cookbook."""
    gain, angle = 10 ** (decibel / 40), 2 * np.pi * hertz / 48000
    alpha, cosine = np.sin(angle) / 2 / quality, np.cos(angle)
    if kind == "peak":
        return [1 + alpha * gain, -2 * cosine, 1 - alpha * gain], [1 + alpha / gain, -2 * cosine, 1 - alpha / gain]
    sign = 1 if kind == "low shelf" else -1
    plus, minus, root = gain + 1, gain - 1, 2 * np.sqrt(gain) * alpha
    b = [plus - sign * minus * cosine + root, 2 * sign * (minus - sign * plus * cosine)]
    a = [plus + sign * minus * cosine + root, -2 * sign * (minus + sign * plus * cosine)]
    b, a = [*b, plus - sign * minus * cosine - root], [*a, plus + sign * minus * cosine - root]
    return [gain * tap for tap in b], a


HELD = {
    "high-pass 0.5 Hz @ 500, order 2": signal.butter(2, 0.5, "high", fs=500),
    "high-pass 20 Hz @ 48k": signal.butter(2, 20, "high", fs=48000),
    "low-pass 40 Hz @ 500, order 4": signal.butter(4, 40, fs=500),
    "low-pass 1 kHz @ 48k, order 4": signal.butter(4, 1000, fs=48000),
    "band-pass 300 to 3400 Hz @ 16k, order 4": signal.butter(4, [300, 3400], "bandpass", fs=16000),
    "band-pass 8 to 13 Hz @ 250": signal.butter(2, [8, 13], "bandpass", fs=250),
    "notch Q 10": notch(10),
    "notch 50 Hz @ 500": signal.iirnotch(50, 30, 500),
    "peak 1 kHz": cookbook("peak", 1000, 1, 6),
    "peak 100 Hz Q 30": cookbook("peak", 100, 30, 12),
    "low shelf 100 Hz": cookbook("low shelf", 100, 0.7, 6),
    "high shelf 8 kHz": cookbook("high shelf", 8000, 0.7, 6),
    "K-weighting, shelf": (
        [1.53512485958697, -2.69169619040638, 1.19839281085285],
        [1, -1.69065929318241, 0.73248077421585],
    ),
    "K-weighting, high-pass": ([1, -2, 1], [1, -1.99004745483398, 0.99007225036621]),
    "gammatone 4 kHz @ 16k": signal.gammatone(4000, "iir", fs=16000),
    "DC blocker": ([1, -1], [1, -0.9999]),
    "leaky sum": ([1e-5], [1, -0.99999]),
    "elliptic band-pass, order 8": signal.ellip(4, 1, 60, [0.2, 0.3], "bandpass"),
}
SPOILED = {
    "high-pass 0.1 Hz @ 500, order 4": signal.butter(4, 0.1, "high", fs=500),
    "high-pass 0.5 Hz @ 500, order 4": signal.butter(4, 0.5, "high", fs=500),
    "high-pass 0.1 Hz @ 16k": signal.butter(2, 0.1, "high", fs=16000),
    "high-pass 200 Hz @ 48k, order 4": signal.butter(4, 200, "high", fs=48000),
    "notch Q 30": notch(30),
    "notch Q 50": notch(50),
    "band-pass 8 to 13 Hz @ 250, order 4": signal.butter(4, [8, 13], "bandpass", fs=250),
    "Chebyshev band-pass, order 8": signal.cheby1(4, 1, [0.05, 0.1], "bandpass"),
    "gammatone 1 kHz @ 16k": signal.gammatone(1000, "iir", fs=16000),
    "low-pass, order 8": signal.butter(8, 0.1),
    "double pole 0.999": ([1], np.poly([0.999, 0.999])),
    "leaky sum of a million": ([1e-6], [1, -0.999999]),
}
EDGE = {
    "Bessel low-pass 1 Hz @ 48k, order 4": signal.bessel(4, 1, fs=48000),
    "band-pass 0.3 to 2.4 Hz @ 44.1k": signal.butter(2, [0.3, 2.4], "band", fs=44100),
    "Bessel high-pass 0.3 Hz @ 500, order 6": signal.bessel(6, 0.3, "high", fs=500),
    "elliptic high-pass 20 Hz @ 44.1k, order 6": signal.ellip(6, 1, 60, 20, "high", fs=44100),
    "high-pass 1 Hz @ 48k, order 4": signal.butter(4, 1, "high", fs=48000),
    "high-pass 1 Hz @ 48k, order 8": signal.butter(8, 1, "high", fs=48000),
    "zero on a pole at 1": [np.convolve(part, [1, -1]) for part in signal.butter(2, 0.05, "high", fs=48000)],
}
"""Whose poles float64 hardly finds inside the circle, or whose response it cannot tell at all frequencies."""
