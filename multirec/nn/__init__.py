"""Learnable recurrences as PyTorch modules: `(y, state)` out, and nothing remembered between calls."""

from __future__ import annotations

from multirec._torch import saved  # noqa: F401  registers what exported programs name

from ._bandpass_bank import BandpassBank
from ._bidirectional import Bidirectional
from ._chain import Chain
from ._filter_bank import FilterBank
from ._frozen import FrozenBank, FrozenCascade, FrozenLayer
from ._ind_rnn import IndRNN
from ._lpc_synth import LPCSynth
from ._lru import LRU
from ._min_gru import MinGRU
from ._min_lstm import MinLSTM
from ._parametric_eq import ParametricEQ
from ._qrnn import QRNN
from ._recurrence_layer import RecurrenceLayer
from ._rglru import RGLRU
from ._rglru_block import RGLRUBlock
from ._rnn import RNN
from ._sequence_unit import SequenceUnit
from ._sru import SRU
from ._stack import Stack
from ._unit import RecurrentUnit, detach_state

__all__ = [
    "LRU",
    "QRNN",
    "RGLRU",
    "RNN",
    "SRU",
    "BandpassBank",
    "Bidirectional",
    "Chain",
    "FilterBank",
    "FrozenBank",
    "FrozenCascade",
    "FrozenLayer",
    "IndRNN",
    "LPCSynth",
    "MinGRU",
    "MinLSTM",
    "ParametricEQ",
    "RGLRUBlock",
    "RecurrenceLayer",
    "RecurrentUnit",
    "SequenceUnit",
    "Stack",
    "detach_state",
]
