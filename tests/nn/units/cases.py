"""The units that tests go through, each with its formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

import multirec as mr
from multirec import nn as mnn

from . import formulas


class Case(NamedTuple):
    """A unit of `inputs` to 4 features, and what computes it sample by sample."""

    kind: Any
    formula: Callable[[Any, Tensor, mr.State], tuple[Tensor, mr.State]]
    options: Mapping[str, Any] = MappingProxyType({})
    inputs: int = 3

    def unit(self, **others: Any) -> Any:
        torch.manual_seed(0)
        return self.kind(self.inputs, 4, **{"dtype": torch.float64, **self.options, **others})

    def by_torch(self, **others: Any) -> Any:
        """Return the unit on a backend that compiles nothing, for what is the unit's own and not its kernel's."""
        return self.unit(**others, **({} if self.kind is mnn.RNN else {"backend": "torch_loop"}))

    def x(self, *axes: int, **kind: Any) -> Tensor:
        return torch.randn(*axes, self.inputs, **{"dtype": torch.float64, **kind})


CASES = {
    "RNN": Case(mnn.RNN, formulas.rnn),
    "MinGRU": Case(mnn.MinGRU, formulas.min_gru),
    "MinGRU-positive": Case(mnn.MinGRU, formulas.min_gru, {"positive": True}),
    "MinLSTM": Case(mnn.MinLSTM, formulas.min_lstm),
    "MinLSTM-positive": Case(mnn.MinLSTM, formulas.min_lstm, {"positive": True}),
    "QRNN": Case(mnn.QRNN, formulas.qrnn),
    "QRNN-f": Case(mnn.QRNN, formulas.qrnn, {"output_gate": False}),
    "QRNN-window": Case(mnn.QRNN, formulas.qrnn, {"window": 3}),
    "SRU": Case(mnn.SRU, formulas.sru, inputs=4),
    "SRU-projected": Case(mnn.SRU, formulas.sru, {"activation": "tanh"}),
    "SRU-v1": Case(mnn.SRU, formulas.sru, {"v1": True}, inputs=4),
    "SRU-v1-projected": Case(mnn.SRU, formulas.sru, {"v1": True, "activation": "tanh"}),
    "SRU-v1-bare": Case(mnn.SRU, formulas.sru, {"v1": True, "highway": False}),
    "IndRNN": Case(mnn.IndRNN, formulas.ind_rnn),
    "IndRNN-3": Case(mnn.IndRNN, formulas.ind_rnn, {"order": 3, "activation": "tanh"}),
    "LRU": Case(mnn.LRU, formulas.lru, {"state_dim": 5}),
    "LRU-diagonal": Case(mnn.LRU, formulas.lru, inputs=4),
    "RGLRU": Case(mnn.RGLRU, formulas.rg_lru, {"heads": 2}, inputs=4),
    "RGLRU-projected": Case(mnn.RGLRU, formulas.rg_lru),
    "RGLRUBlock": Case(mnn.RGLRUBlock, formulas.rg_lru_block, {"width": 6, "heads": 3}),
}
ONE_EACH = [name for name in CASES if "-" not in name] + ["QRNN-window", "SRU-v1", "IndRNN-3"]


def parts(state: Any) -> list[Tensor]:
    """Return what is in a state."""
    return [part for part in state if part is not None]


def perturb(unit: torch.nn.Module) -> torch.nn.Module:
    """Move every weight, since some begin with zeros, which would hide what they do."""
    with torch.no_grad():
        for weight in unit.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return unit
