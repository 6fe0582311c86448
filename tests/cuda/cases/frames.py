"""Coefficients that come at a frame rate: arguments of `framed.FramedCase`."""

from __future__ import annotations

from .parts import Case

SHORT: tuple[Case, ...] = (
    # segments of time, of which one frame has several and others a part; taps that rows share
    {"order": 2, "length": 700, "hop": 90, "offset": 41, "taps": (1, 2), "gain_taps": (2, 1)},
    # blocks that are shorter than a state, or than a frame
    {"order": 2, "length": 1, "hop": 8, "offset": 5, "extra": 1},
    {"order": 2, "length": 30, "hop": 64, "offset": 9, "taps": (1, 1), "gain_taps": (2, 2), "extra": 1},
)
LONG: tuple[Case, ...] = (
    {"order": 4, "length": 900, "hop": 8, "layout": "BTC", "shared": True, "linear": False},
    {"order": 4, "length": 900, "hop": 500, "offset": 3, "extra": 1, "growing": True},
    {"order": 16, "length": 1300, "hop": 100, "dtype": "float64", "extra": 1, "taps": (2, 1)},
    {"order": 1, "length": 200, "hop": 16, "layout": "TBC", "gain": False},
    {"order": 2, "length": 300, "hop": 32, "dtype": "float16"},
    {"order": 2, "length": 700, "hop": 32, "q": 3, "dtype": "complex64"},
    {"order": 31, "length": 200, "hop": 10, "offset": 9, "linear": False},
    {"order": 2, "length": 0, "hop": 32},
    {"order": 4, "length": 700, "hop": 100, "dtype": "float64", "growing": True, "linear": False},
)
