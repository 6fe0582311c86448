"""Learnable recurrences as PyTorch modules: `(y, state)` out, and nothing remembered between calls."""

from __future__ import annotations

from multirec._torch import door  # noqa: F401  registers the operators, which a loaded exported program calls by name

from ._bandpass_bank import BandpassBank
from ._chain import Chain
from ._filter_bank import FilterBank
from ._frozen import FrozenBank, FrozenCascade, FrozenLayer
from ._parametric_eq import ParametricEQ
from ._recurrence_layer import RecurrenceLayer
from ._unit import RecurrentUnit, detach_state

__all__ = [
    "BandpassBank",
    "Chain",
    "FilterBank",
    "FrozenBank",
    "FrozenCascade",
    "FrozenLayer",
    "ParametricEQ",
    "RecurrenceLayer",
    "RecurrentUnit",
    "detach_state",
]
