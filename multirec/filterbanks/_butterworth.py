"""Butterworth band-pass filters as second-order sections."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["band_pass"]


def band_pass(edges: npt.NDArray[np.float64], sample_rate: float, order: int) -> npt.NDArray[np.float64]:
    """Return `order` sections (C, order, 6) of filters that are -3 dB at edges (C, 2) in Hz, and 1 between them.

    The prototype of that order, its poles on the left half of the unit circle, goes through s → (s² + w²)/(B·s) and the
    bilinear transform. A pole p of it gives the two roots of s² - p·B·s + w², each in a section with its conjugate.
    """
    low, high = np.tan(math.pi * edges / sample_rate).T
    centre, width = np.sqrt(low * high), high - low
    # half of the prototype's poles, each of which stands for its conjugate too
    angles = math.pi / 2 * (1 + np.arange(1, order, 2) / order)
    half = np.exp(1j * angles) * (width / 2)[:, None]
    root = np.sqrt(half**2 - centre[:, None] ** 2)
    poles = np.concatenate([half + root, half - root], -1)
    first, last = -2 * poles.real, np.abs(poles) ** 2
    if order % 2:
        # the real pole, -1, is a section by itself
        first, last = (np.c_[one, alone] for one, alone in ((first, width), (last, centre**2)))
    gain = np.abs(last - centre[:, None] ** 2 + 1j * centre[:, None] * first) / centre[:, None]
    zero, one = np.zeros_like(gain), np.ones_like(gain)
    total = 1 + first + last
    return np.stack([gain / total, zero, -gain / total, one, 2 * (last - 1) / total, (1 - first + last) / total], -1)
