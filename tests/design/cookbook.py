"""The equaliser cookbook as it is printed."""

from __future__ import annotations

import numpy as np


def cookbook(name: str, frequency: float, q: float, gain: float, rate: float) -> np.ndarray:
    """Return the cookbook's row, term by term, in long double."""
    wide = np.longdouble
    w = 8 * np.arctan(wide(1)) * wide(frequency) / wide(rate)
    cos, alpha, amplitude = np.cos(w), np.sin(w) / (2 * wide(q)), wide(10) ** (wide(gain) / 40)
    a = [1 + alpha, -2 * cos, 1 - alpha]
    if name == "low_pass":
        b = [(1 - cos) / 2, 1 - cos, (1 - cos) / 2]
    elif name == "high_pass":
        b = [(1 + cos) / 2, -(1 + cos), (1 + cos) / 2]
    elif name == "band_pass":
        b = [alpha, 0, -alpha]
    elif name == "band_pass_skirt":
        b = [np.sin(w) / 2, 0, -np.sin(w) / 2]
    elif name == "notch":
        b = [1, -2 * cos, 1]
    elif name == "all_pass":
        b = [1 - alpha, -2 * cos, 1 + alpha]
    elif name == "peak":
        b = [1 + alpha * amplitude, -2 * cos, 1 - alpha * amplitude]
        a = [1 + alpha / amplitude, -2 * cos, 1 - alpha / amplitude]
    else:
        sign = 1 if name == "low_shelf" else -1
        more, less, root = amplitude + 1, (amplitude - 1) * cos * sign, 2 * np.sqrt(amplitude) * alpha
        turned = sign * (amplitude - 1), (amplitude + 1) * cos
        b = [more - less + root, 2 * (turned[0] - turned[1]), more - less - root]
        b = [amplitude * tap for tap in b]
        a = [more + less + root, -2 * (turned[0] + turned[1]), more + less - root]
    return np.array([*b, *a], dtype=wide) / a[0]
