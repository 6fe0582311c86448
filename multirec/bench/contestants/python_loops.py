"""What people write first: a Python loop over the samples, in three forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..cases.case import Case, Feature, Mode
from .torch_based import Function, TorchContestant, with_leading_one

_BANK: Mapping[Feature, str] = {
    **TorchContestant.lacks,
    "dense": "it is written for one input that all filters share",
    "time-varying": "it is written for coefficients that stay",
    "state": "it begins from silence",
    "complex": "it is written for real signals",
}


class LoopInPlace(TorchContestant):
    """Copies of x, time first, and one Python step a sample, written in place."""

    name = "loop_in_place"
    first = True
    summary = "one Python step a sample for all filters, written in place"
    copies = (2.5, 2.5)
    lacks = _BANK

    def declines(self, case: Case, mode: Mode) -> str | None:
        if mode != "forward":
            return "autograd refuses its in-place history"
        if case.order != 2 or not case.feedforward:
            return f"it is written for band-pass filters of order 2, not for order {case.order}"
        return super().declines(case, mode)

    def function(self, case: Case, state: Any) -> Function:
        return self._filter

    @staticmethod
    def _filter(x: Any, feedforward: Any, feedback: Any) -> Any:
        b0, a1, a2 = feedforward[:, 0], feedback[:, 0], feedback[:, 1]
        x = x.expand(-1, b0.shape[0], -1).permute(2, 0, 1).contiguous()
        out = x.new_zeros(x.shape)
        out[0] = b0 * x[0]
        if len(x) > 1:
            out[1] = b0 * x[1] - a1 * out[0]
        for n in range(2, len(x)):
            out[n] = b0 * (x[n] - x[n - 2]) - a1 * out[n - 1] - a2 * out[n - 2]
        return out.permute(1, 2, 0)


class LoopCloned(TorchContestant):
    """Gathered windows for the feedforward part, then one Python step a sample on cloned windows."""

    name = "loop_cloned"
    first = True
    summary = "one Python step a sample for all filters, on gathered and cloned windows"
    lacks = _BANK

    def memory(self, case: Case, mode: Mode) -> int:
        taps = case.order + 1
        index = taps * case.y_bytes * 8 // case.itemsize
        return index + (taps + 4 if mode == "forward" else taps + 6) * case.y_bytes

    def function(self, case: Case, state: Any) -> Function:
        return self._filter

    @staticmethod
    def _filter(x: Any, feedforward: Any, feedback: Any) -> Any:
        import torch

        b, a = feedforward, with_leading_one(feedback)
        (channels, taps), (batch, _, length) = b.shape, x.shape
        order = taps - 1
        padded = torch.nn.functional.pad(x.expand(-1, channels, -1), (order, 0))
        rows = torch.arange(batch * channels, device=x.device).view(batch, channels, 1, 1) * (length + order)
        window = torch.arange(taps, device=x.device)[:, None] + torch.arange(length, device=x.device)
        gathered = torch.take(padded.contiguous(), rows + window)
        forward = torch.matmul(b.flip(-1)[:, None], gathered).squeeze(-2)
        flipped, out = a[:, 1:].flip(-1), padded.new_zeros(padded.shape)
        for n in range(length):
            past = out[..., n : n + order].clone()
            out[..., n + order] = (forward[..., n] - (flipped * past).sum(-1)) / a[:, 0]
        return out[..., order:]


class LoopPerFilter(TorchContestant):
    """A Python loop over the filters, and in it one over the samples."""

    name = "loop_per_filter"
    summary = "one Python step a sample, one filter after the other"
    copies = (2.0, 8.0)
    lacks = _BANK

    def function(self, case: Case, state: Any) -> Function:
        import torch

        def bank(x: Any, feedforward: Any, feedback: Any) -> Any:
            samples = x[:, 0].unbind(-1)
            filters = zip(feedforward.unbind(), with_leading_one(feedback).unbind(), strict=True)
            return torch.stack([self._one(samples, b.unbind(), a.unbind()) for b, a in filters], dim=1)

        return bank

    @staticmethod
    def _one(x: Any, b: Any, a: Any) -> Any:
        import torch

        y: list[Any] = []
        for n in range(len(x)):
            value = b[0] * x[n]
            for j in range(1, min(len(b), n + 1)):
                value = value + b[j] * x[n - j]
            for k in range(1, min(len(a), n + 1)):
                value = value - a[k] * y[n - k]
            y.append(value)
        return torch.stack(y, dim=-1)
