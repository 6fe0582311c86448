"""torch's own recurrent layers, which compute something else, and the linear layer alone, which is the limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..cases.case import Case, Feature, Mode
from ..cases.signals import Outputs, Signals
from .base import Run
from .torch_based import Function, TorchContestant


class TorchLayer(TorchContestant):
    """A layer of torch.nn of as many features and units; its own equation, checked against itself in float64."""

    needs_layer = True
    own_equation = True
    lacks: Mapping[Feature, str] = {"complex": "torch's recurrent layers are real"}
    kind: str

    def __init__(self, name: str, kind: str, summary: str, copies: tuple[float, float]) -> None:
        self.name, self.kind, self.summary, self.copies = name, kind, summary, copies

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        module = self._module(case).to(self.device)
        leaves = {"x": self.tensor(signals.x)} | dict(module.named_parameters())

        def layer(x: Any, **parameters: Any) -> Any:
            y = module(x)
            return y[0] if isinstance(y, tuple) else y

        return self.runner(layer, leaves, signals, mode)

    def outputs(self, result: Any) -> Outputs:
        return super().outputs({name: result[name] for name in ("y", "x") if name in result})

    def own_reference(self, case: Case, signals: Signals, mode: Mode) -> Outputs:
        import torch

        module = self._module(case).double()
        x = torch.from_numpy(signals.x).double().requires_grad_()
        y = module(x)
        y = y[0] if isinstance(y, tuple) else y
        found = {"y": y.detach().numpy()}
        if mode != "forward":
            (gradient,) = torch.autograd.grad(y, x, torch.from_numpy(signals.grad_y).double())
            found["x"] = gradient.numpy()
        return found

    def _module(self, case: Case) -> Any:
        import torch

        torch.manual_seed(case.seed)
        how = {} if self.kind == "Linear" else {"batch_first": case.layout == "BTC"}
        return getattr(torch.nn, self.kind)(case.features, case.channels, **how).to(getattr(torch, case.dtype))

    def function(self, case: Case, state: Any) -> Function:
        raise NotImplementedError


LAYERS = (
    TorchLayer("nn.Linear", "Linear", "the linear layer alone: the limit", (1.0, 2.0)),
    TorchLayer("nn.RNN", "RNN", "torch.nn.RNN: each unit sees all others, and a tanh", (3.0, 6.0)),
    TorchLayer("nn.GRU", "GRU", "torch.nn.GRU", (8.0, 16.0)),
    TorchLayer("nn.LSTM", "LSTM", "torch.nn.LSTM", (10.0, 20.0)),
)
