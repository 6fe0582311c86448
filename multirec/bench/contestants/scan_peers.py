"""Scans of torch, and of packages for sequence models: order 1 with a gate for each sample, or a loop over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multirec._core.problem import COMPLEX_DTYPES

from ..cases.case import Case, Feature, Mode
from ..cases.signals import Outputs, Signals
from .base import Run
from .torch_based import Function, TorchContestant

_FROM_ZERO: Mapping[Feature, str] = {**TorchContestant.lacks, "state": "a scan begins from zero"}
_ONE_ORDER = "it is written for order 1 without feedforward"


class TorchAssociativeScan(TorchContestant):
    """torch.associative_scan of (gate, value) pairs."""

    name = "torch_assoc"
    summary = "torch's associative_scan of (gate, value) pairs"
    copies = (12.0, 30.0)
    sign = 1
    lacks = _FROM_ZERO

    def declines(self, case: Case, mode: Mode) -> str | None:
        if case.order != 1 or case.feedforward:
            return f"{_ONE_ORDER}; a higher order scans matrices"
        return super().declines(case, mode)

    def function(self, case: Case, state: Any) -> Function:
        # it has no public name yet
        from torch._higher_order_ops.associative_scan import associative_scan

        def combine(first: Any, second: Any) -> Any:
            return first[0] * second[0], second[0] * first[1] + second[1]

        def scan(x: Any, feedback: Any) -> Any:
            gate, value = _pair(case, x, feedback)
            return associative_scan(combine, (gate, value), dim=2, combine_mode="generic")[1]

        return scan


class TorchScan(TorchContestant):
    """torch's scan, the higher-order operator: a step that is traced once, over time."""

    name = "torch_scan"
    summary = "torch's scan over time, the operator that loops over a traced step"
    copies = (4.0, 12.0)
    # it takes a thousand times as long as the others
    on_demand = True
    sign = 1
    lacks: Mapping[Feature, str] = {need: reason for need, reason in TorchContestant.lacks.items() if need != "taps"}

    def declines(self, case: Case, mode: Mode) -> str | None:
        if mode != "forward" and case.dtype in COMPLEX_DTYPES:
            return "torch's scan has no gradient of complex numbers"
        return super().declines(case, mode)

    def function(self, case: Case, state: Any) -> Function:
        import torch

        # it has no public name yet
        from torch._higher_order_ops.scan import scan

        order, taps = case.order, case.taps

        def bank(x: Any, feedback: Any, feedforward: Any = None) -> Any:
            inputs, outputs = (None, None) if state is None else state
            drive = _driven(x, feedforward, inputs, taps).expand(case.y_shape).movedim(-1, 0).contiguous()
            # past[k] is y[t-1-k], (B, C)
            past = drive.new_zeros((order, *drive.shape[1:]))
            if outputs is not None:
                past = outputs.movedim(-1, 0).flip(0).contiguous()
            gates = feedback.movedim(2, 0).contiguous() if case.time_varying else feedback.T[:, None]

            def step(past: Any, now: Any) -> Any:
                value, a = (now[0], now[1].movedim(-1, 0)) if case.time_varying else (now, gates)
                y = value + (a * past).sum(0)
                # what is returned twice may not be one memory
                return torch.cat([y[None], past[:-1]]), y.clone()

            _, y = scan(step, past, (drive, gates) if case.time_varying else drive)
            return y.movedim(0, -1).contiguous()

        return bank


class AcceleratedScan(TorchContestant):
    """accelerated-scan's Triton kernel of (gate, token) pairs."""

    name = "accelerated_scan"
    summary = "accelerated-scan's scan in Triton, a gate for each sample"
    requires = ("torch", "accelerated_scan", "triton")
    install = "accelerated-scan"
    distribution = "accelerated-scan"
    devices = ("cuda",)
    copies = (2.0, 5.0)
    sign = 1
    lacks: Mapping[Feature, str] = {**_FROM_ZERO, "complex": "its scan of complex numbers is another function"}

    def declines(self, case: Case, mode: Mode) -> str | None:
        if case.order != 1 or case.feedforward:
            return _ONE_ORDER
        if case.length & (case.length - 1):
            return f"it takes lengths that are powers of two, and this is {case.length}"
        if case.dtype != "float32":
            return "it is measured in float32"
        return super().declines(case, mode)

    def function(self, case: Case, state: Any) -> Function:
        from accelerated_scan.scalar import scan

        return lambda x, feedback: scan(*_pair(case, x, feedback))


class FlaHgrn(TorchContestant):
    """The recurrence of HGRN in flash-linear-attention: h ← exp(g)·h + x, channels last."""

    name = "fla_hgrn"
    summary = "flash-linear-attention's fused_recurrent_hgrn, whose gates are given as logarithms"
    requires = ("torch", "fla", "triton")
    install = "flash-linear-attention"
    distribution = "flash-linear-attention"
    devices = ("cuda",)
    copies = (2.0, 5.0)
    sign = 1
    lacks: Mapping[Feature, str] = {
        **{need: reason for need, reason in _FROM_ZERO.items() if need != "layout"},
        "complex": "it is real",
    }

    def declines(self, case: Case, mode: Mode) -> str | None:
        if case.order != 1 or case.feedforward or not case.time_varying:
            return "it is order 1 with a gate for each sample, without feedforward"
        if case.layout != "BTC" or case.shared:
            return "its x and gates are in layout BTC; any other would be a transposed copy"
        return super().declines(case, mode)

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        # models compute logarithms of gates: making them is no part of the work
        self.gates = self.tensor(signals.feedback[..., 0])
        leaves = {"x": self.tensor(signals.x), "feedback": self.gates.log()}
        return self.runner(self.function(case, None), leaves, signals, mode)

    def function(self, case: Case, state: Any) -> Function:
        from fla.ops.hgrn import fused_recurrent_hgrn

        return lambda x, feedback: fused_recurrent_hgrn(x, feedback)[0]

    def outputs(self, result: Any) -> Outputs:
        if "feedback" in result and result["feedback"].shape != self.gates.shape:
            # of a part of its results, the gates of that part are not known
            result = {name: array for name, array in result.items() if name != "feedback"}
        elif "feedback" in result:
            result = result | {"feedback": (result["feedback"] / self.gates)[..., None]}
        return super().outputs(result)


def _pair(case: Case, x: Any, feedback: Any) -> tuple[Any, Any]:
    gate = feedback[..., 0] if case.time_varying else feedback
    return gate.expand(case.y_shape).contiguous(), x.expand(case.y_shape).contiguous()


def _driven(x: Any, feedforward: Any, inputs: Any, taps: int) -> Any:
    """Return what feedforward makes of x (B, C, T), with the last inputs before it."""
    import torch

    if feedforward is None:
        return x
    before = x.new_zeros((*x.shape[:2], taps - 1)) if inputs is None else inputs
    padded, length = torch.cat([before, x], -1), x.shape[-1]
    return sum(feedforward[:, j, None] * padded[..., taps - 1 - j :][..., :length] for j in range(taps))
