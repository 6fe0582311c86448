"""Learnable recurrences as PyTorch modules: `(y, state)` out, and nothing remembered between calls.

Rooms: `_contract` is what all have in common, `_weights` how weights become coefficients, `_units` the recurrent units,
and `_filters` banks and layers of filters; the last two do not know each other.
"""

from __future__ import annotations

from multirec._torch import saved  # noqa: F401  registers what exported programs name

from ._contract.bidirectional import Bidirectional
from ._contract.chain import Chain
from ._contract.stack import Stack
from ._contract.unit import RecurrentUnit, detach_state
from ._filters.bandpass_bank import BandpassBank
from ._filters.filter_bank import FilterBank
from ._filters.frozen import FrozenBank, FrozenCascade, FrozenLayer
from ._filters.lpc_synth import LPCSynth
from ._filters.parametric_eq import ParametricEQ
from ._filters.recurrence_layer import RecurrenceLayer
from ._units.ind_rnn import IndRNN
from ._units.lru import LRU
from ._units.min_gru import MinGRU
from ._units.min_lstm import MinLSTM
from ._units.qrnn import QRNN
from ._units.rglru import RGLRU
from ._units.rglru_block import RGLRUBlock
from ._units.rnn import RNN
from ._units.sequence_unit import SequenceUnit
from ._units.sru import SRU

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
