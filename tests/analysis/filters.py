"""Filters of all kinds, as SciPy's b and a."""

import numpy as np
from scipy import signal

DESIGNS = {
    "low-pass, order 4": signal.butter(4, 0.3),
    "high-pass 20 Hz @ 48k": signal.butter(2, 20, "high", fs=48000),
    "elliptic band-pass, order 8": signal.ellip(4, 1, 60, [0.2, 0.5], "bandpass"),
    "FIR of 31 taps": (signal.firwin(31, 0.21), np.ones(1)),
    "more zeros than poles": (np.array([1.0, 2.0, 0.5, 0.1]), np.array([1.0, -0.3])),
    "all-pole": (np.ones(1), np.array([1.0, -1.2, 0.7])),
    "a0 is not 1": (np.array([1.0, 0.5]), np.array([2.0, -1.0, 0.3])),
    "first order": (np.array([0.5, -0.5]), np.array([1.0, -0.999])),
}
