"""Packages of audio effects that have biquads: a filter a channel, each called on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..cases.case import Case, Feature, Mode
from ..cases.signals import Signals
from .base import Run
from .torch_based import Function, TorchContestant, with_leading_one

_LACKS: Mapping[Feature, str] = {
    **TorchContestant.lacks,
    "state": "its filters are called for whole signals here",
    "time-varying": "its coefficients stay",
    "complex": "its filters are real",
}


class Torchfx(TorchContestant):
    """torchfx's Biquad, a module for each filter."""

    name = "torchfx"
    summary = "torchfx's Biquad, one module for each filter; it has no gradient"
    requires = ("torch", "torchfx")
    install = "torchfx"
    distribution = "torchfx"
    copies = (3.0, 3.0)
    lacks = _LACKS

    def declines(self, case: Case, mode: Mode) -> str | None:
        if case.order != 2:
            return "it is driven here for order 2, which its Biquad is"
        if mode != "forward":
            return "its filters run without gradients"
        return super().declines(case, mode)

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        import torch
        from torchfx.filter.biquad import Biquad

        class Given(Biquad):  # type: ignore[misc]
            def __init__(self, taps: list[float]) -> None:
                super().__init__(cutoff=1.0, q=1.0, fs=4)
                self.taps = taps

            def compute_coefficients(self) -> None:
                self._finalize_coeffs(*self.taps)

        ones = [1.0, 0.0, 0.0]
        taps = signals.feedforward
        filters = [
            Given([*(ones if taps is None else map(float, taps[c])), 1.0, *map(float, -signals.feedback[c])])
            for c in range(case.channels)
        ]

        def bank(x: Any) -> Any:
            rows = []
            for c, each in enumerate(filters):
                # a module goes on from its last call
                each.reset_state()
                rows.append(each(x[:, min(c, x.shape[1] - 1)]))
            return torch.stack(rows, 1)

        return self.runner(bank, {"x": self.tensor(signals.x)}, signals, mode)

    def function(self, case: Case, state: Any) -> Function:
        raise NotImplementedError


class Fluxion(TorchContestant):
    """fluxion's differentiable second-order section, a call for each example and channel."""

    name = "fluxion"
    summary = "fluxion.torch.sos_filter, one call for each example and channel"
    requires = ("torch", "fluxion")
    install = "fluxion-dsp"
    distribution = "fluxion-dsp"
    devices = ("cpu",)
    copies = (3.0, 8.0)
    lacks = _LACKS

    def declines(self, case: Case, mode: Mode) -> str | None:
        if case.order != 2:
            return "it is driven here for order 2, which its sections are"
        if case.dtype != "float32":
            return "it computes in float32"
        return super().declines(case, mode)

    def function(self, case: Case, state: Any) -> Function:
        import torch
        from fluxion.torch import sos_filter

        def bank(x: Any, feedback: Any, feedforward: Any = None) -> Any:
            a = with_leading_one(feedback)
            b = torch.nn.functional.pad(a[:, :1], (0, 2)) if feedforward is None else feedforward
            taps = torch.cat([b, a[:, 1:]], -1)
            signals = [[x[n, min(c, x.shape[1] - 1)] for c in range(case.channels)] for n in range(case.batch)]
            rows = [[sos_filter(row, taps[c]) for c, row in enumerate(rows)] for rows in signals]
            return torch.stack([torch.stack(each) for each in rows])

        return bank
