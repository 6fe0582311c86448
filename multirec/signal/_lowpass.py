"""The low-pass filters that decimation uses: Chebyshev's of the first kind, and a windowed sinc.

A. V. Oppenheim and R. W. Schafer, Discrete-Time Signal Processing, 3rd ed., chapter 7 and appendix B.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["chebyshev_sos", "hamming_lowpass"]

Design = npt.NDArray[np.float64]


def chebyshev_sos(order: int, ripple: float, edge: float) -> Design:
    """Return second-order sections (S, 6) with a ripple in dB up to an edge, as a share of half the sample rate.

    The first has the gain of all, and the last the poles nearest to the unit circle.

    Example
    -------
    >>> chebyshev_sos(1, 3.0103, 0.5).round(4)
    array([[0.5, 0.5, 0. , 1. , 0. , 0. ]])
    """
    epsilon = np.sqrt(10 ** (ripple / 10) - 1)
    gain = 1 / np.sqrt(1 + epsilon**2) if order % 2 == 0 else 1.0
    width, tangent = np.arcsinh(1 / epsilon) / max(order, 1), np.tan(np.pi * edge / 2)
    rows = []
    # of each pair of poles one, a single real one first
    for place in range((order + 1) % 2, order, 2):
        analog = -tangent * np.sinh(width + 0.5j * np.pi * place / order)
        pole = (1 + analog) / (1 - analog)
        if place:
            rows.append([1, 2, 1, 1, -2 * pole.real, abs(pole) ** 2])
            gain *= abs(1 - pole) ** 2 / 4
        else:
            rows.append([1, 1, 0, 1, -pole.real, 0])
            gain *= (1 - pole.real) / 2
    sos = np.array(rows or [[1, 0, 0, 1, 0, 0]], np.float64)
    sos[0, :3] *= gain
    return sos


def hamming_lowpass(taps: int, edge: float) -> Design:
    """Return a symmetric FIR filter (taps,) of gain 1 at zero, with its edge as a share of half the sample rate.

    Example
    -------
    >>> hamming_lowpass(3, 0.5).round(4)
    array([0.0463, 0.9074, 0.0463])
    """
    response = np.hamming(taps) * np.sinc(edge * (np.arange(taps) - (taps - 1) / 2))
    return response / response.sum()
