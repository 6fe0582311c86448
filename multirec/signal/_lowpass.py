"""The low-pass filters that decimation uses: Chebyshev's of the first kind, and a windowed sinc.

A. V. Oppenheim and R. W. Schafer, Discrete-Time Signal Processing, 3rd ed., chapter 7 and appendix B.
"""

from __future__ import annotations

import math

__all__ = ["chebyshev_sos", "hamming_lowpass"]


def chebyshev_sos(order: int, ripple: float, edge: float) -> list[list[float]]:
    """Return second-order sections (S, 6) with a ripple in dB up to an edge, as a share of half the sample rate.

    The first has the gain of all, and the last the poles nearest to the unit circle.

    Example
    -------
    >>> [[round(number, 4) for number in row] for row in chebyshev_sos(1, 0.05, 0.4)]
    [[0.871, 0.871, 0.0, 1.0, 0.742, 0.0]]
    """
    epsilon = math.sqrt(10 ** (ripple / 10) - 1)
    gain = 1 / math.sqrt(1 + epsilon**2) if order % 2 == 0 else 1.0
    width, tangent = math.asinh(1 / epsilon) / max(order, 1), math.tan(math.pi * edge / 2)
    rows = [] if order else [[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]]
    # of each pair of poles one, a single real one first; the bilinear transformation takes s to (1 + s) / (1 − s)
    for place in range((order + 1) % 2, order, 2):
        angle = 0.5 * math.pi * place / order
        real, imaginary = -tangent * math.sinh(width) * math.cos(angle), tangent * math.cosh(width) * math.sin(angle)
        if place:
            radius, below = real**2 + imaginary**2, (1 - real) ** 2 + imaginary**2
            rows.append([1.0, 2.0, 1.0, 1.0, -2 * (1 - radius) / below, ((1 + real) ** 2 + imaginary**2) / below])
            gain *= radius / below
        else:
            rows.append([1.0, 1.0, 0.0, 1.0, -(1 + real) / (1 - real), 0.0])
            gain *= -real / (1 - real)
    rows[0][:3] = [gain * tap for tap in rows[0][:3]]
    return rows


def hamming_lowpass(taps: int, edge: float) -> list[float]:
    """Return a symmetric FIR filter (taps,) of gain 1 at zero, with its edge as a share of half the sample rate.

    Example
    -------
    >>> [round(tap, 4) for tap in hamming_lowpass(3, 0.5)]
    [0.0462, 0.9076, 0.0462]
    """
    found = []
    for place in range(taps):
        angle = math.pi * edge * (place - (taps - 1) / 2)
        window = 0.54 - 0.46 * math.cos(2 * math.pi * place / (taps - 1)) if taps > 1 else 1.0
        found.append(window * (math.sin(angle) / angle if angle else 1.0))
    return [tap / sum(found) for tap in found]
