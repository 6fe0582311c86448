"""Recurrences with an activation inside: arguments of `nonlinear.Nonlinear`."""

from __future__ import annotations

from .parts import Case

_UNITS: Case = {"kind": "independent", "activation": "tanh"}
_SRU: Case = {"kind": "sru", "activation": "tanh"}
_ENVELOPE: Case = {"kind": "envelope", "activation": "identity"}
SHORT: tuple[Case, ...] = (
    _UNITS | {"order": 2, "channels": 5, "marked": "states", "reverse": True},
    _SRU | {"channels": 6, "layout": "TBC", "dtype": "float16", "highway": "float32", "marked": "examples"},
)
LONG: tuple[Case, ...] = (
    _UNITS | {"activation": "relu", "channels": 35, "layout": "BTC", "nan": True, "stateless": True},
    _ENVELOPE | {"channels": 33, "varying": True, "shared": True},
    _UNITS | {"order": 3, "channels": 5, "marked": "examples", "activation": "sigmoid", "dtype": "bfloat16"},
    _UNITS | {"order": 32, "channels": 3, "layout": "BTC", "dtype": "float64", "marked": "states"},
    _UNITS | {"order": 32, "channels": 3, "activation": "identity", "reverse": True},
    _UNITS | {"order": 2, "channels": 7, "layout": "TBC", "marked": "examples", "reverse": True, "length": 1},
    _UNITS | {"channels": 7, "length": 0, "order": 2},
    _UNITS | {"channels": 7, "length": 64, "layout": "BTC", "dtype": "float16"},
    _SRU | {"channels": 9, "highway": "float64", "dtype": "float64", "marked": "states", "reverse": True},
    _SRU | {"channels": 40, "layout": "BTC", "activation": "identity", "highway": ""},
    _SRU | {"channels": 5, "activation": "relu", "dtype": "bfloat16", "highway": "bfloat16", "shared": True},
    _ENVELOPE | {"channels": 40, "layout": "BTC", "marked": "examples", "reverse": True},
    _ENVELOPE | {"channels": 4, "dtype": "float64", "varying": True, "marked": "states"},
    _ENVELOPE | {"channels": 4, "dtype": "float16", "varying": True, "layout": "TBC", "nan": True},
)
