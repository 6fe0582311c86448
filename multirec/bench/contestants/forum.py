"""What people write first: the forum's two versions, and one filter after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from multirec.bench._case import Case, Mode

from .torch_based import TorchContestant


class VersionA(TorchContestant):
    """Copies of x, time first, and one Python step a sample, written in place."""

    name = "forum_a"
    summary = "the forum's version A: x copied C times, one Python step a sample, in place"
    copies = (2.5, 2.5)

    def declines(self, case: Case, mode: Mode) -> str | None:
        if mode != "forward":
            return "autograd refuses its in-place history"
        if case.order != 2:
            return f"it is written for band-pass filters of order 2, not for order {case.order}"
        return None

    def filter(self, x: Any, b: Any, a: Any) -> Any:
        b0, a1, a2 = b[:, 0], a[:, 1], a[:, 2]
        x = x.expand(-1, b0.shape[0], -1).permute(2, 0, 1).contiguous()
        out = x.new_zeros(x.shape)
        out[0] = b0 * x[0]
        if len(x) > 1:
            out[1] = b0 * x[1] - a1 * out[0]
        for n in range(2, len(x)):
            out[n] = b0 * (x[n] - x[n - 2]) - a1 * out[n - 1] - a2 * out[n - 2]
        return out.permute(1, 2, 0)


class VersionB(TorchContestant):
    """Gathered windows for the feedforward part, then one Python step a sample on cloned windows."""

    name = "forum_b"
    summary = "the forum's version B: gathered windows, one Python step a sample on cloned windows"

    def memory(self, case: Case, mode: Mode) -> int:
        taps = case.order + 1
        index = taps * case.y_bytes * 8 // np.dtype(case.dtype).itemsize
        return index + (taps + 4 if mode == "forward" else taps + 6) * case.y_bytes

    def filter(self, x: Any, b: Any, a: Any) -> Any:
        import torch

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


class OneByOne(TorchContestant):
    """A Python loop over the filters, and in it one over the samples."""

    name = "one_by_one"
    summary = "a Python loop over the C filters, each with one Python step a sample"
    copies = (2.0, 8.0)

    def filter(self, x: Any, b: Any, a: Any) -> Any:
        import torch

        samples = x[:, 0].unbind(-1)
        filters = zip(b.unbind(), a.unbind(), strict=True)
        return torch.stack([self._one(samples, b.unbind(), a.unbind()) for b, a in filters], dim=1)

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
