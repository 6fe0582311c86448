"""Packages for torch that filter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..cases.case import Case, Feature, Mode
from .base import Loaded
from .torch_based import Function, TorchContestant, with_leading_one

_FILTER = TorchContestant.lacks


class Torchaudio(TorchContestant):
    """torchaudio's lfilter, one call for the whole bank."""

    name = "torchaudio"
    summary = "torchaudio.functional.lfilter on the whole bank, clamp=False"
    requires = ("torch", "torchaudio")
    install = "torchaudio"
    distribution = "torchaudio"
    copies = (3.0, 8.0)
    first = True
    lacks: Mapping[Feature, str] = {
        **_FILTER,
        "state": "torchaudio's lfilter takes no state",
        "time-varying": "torchaudio's lfilter has coefficients that stay",
        "complex": "torchaudio's lfilter is real",
    }

    def load(self) -> Loaded:
        loaded = super().load()
        from torchaudio.functional import lfilter

        self.lfilter = lfilter
        return loaded

    def function(self, case: Case, state: Any) -> Function:
        from torch.nn.functional import pad

        def bank(x: Any, feedback: Any, feedforward: Any = None) -> Any:
            a = with_leading_one(feedback)
            b = feedforward if feedforward is not None else pad(a[:, :1], (0, case.order))
            if case.shared:
                return self.lfilter(x[:, 0], a, b, clamp=False, batching=False)
            return self.lfilter(x, a, b, clamp=False, batching=True)

        return bank


class Philtorch(TorchContestant):
    """philtorch on copies of x, one row for each example and channel."""

    name = "philtorch"
    summary = "philtorch's lfilter, or its linear recurrence, one row for each example and channel"
    requires = ("torch", "philtorch")
    install = "philtorch"
    distribution = "philtorch"
    copies = (7.0, 14.0)
    first = True
    lacks: Mapping[Feature, str] = _FILTER

    def declines(self, case: Case, mode: Mode) -> str | None:
        if case.time_varying and (case.order > 1 or case.feedforward):
            return "its time-varying filters are driven here for order 1 without feedforward"
        if case.stateful and not case.feedforward:
            return "its linear recurrence returns no state"
        return super().declines(case, mode)

    def function(self, case: Case, state: Any) -> Function:
        import torch
        from philtorch import lpv, lti

        times = (case.batch, 1)

        def flat(array: Any) -> Any:
            return array.expand(-1, case.channels, -1).reshape(-1, array.shape[-1])

        def bank(x: Any, feedforward: Any, feedback: Any) -> Any:
            zi = None
            if state is not None:
                zi = _transposed_state(feedforward, feedback, flat(state[0]), flat(state[1]), case.batch)
            y = lti.lfilter(feedforward.repeat(times), feedback.repeat(times), flat(x), zi)
            return (y if zi is None else y[0]).view(case.y_shape)

        def poles(x: Any, feedback: Any) -> Any:
            if case.order > 1:
                ones = torch.ones_like(feedback[:, :1])
                return bank(x, ones, feedback)
            rows = flat(x)
            zero = rows.new_zeros(len(rows))
            if case.time_varying:
                gate = -feedback[..., 0].reshape(len(rows), -1)
                return lpv.linear_recurrence(gate, zero, rows).view(case.y_shape)
            return lti.linear_recurrence(-feedback[:, 0].repeat(case.batch), zero, rows).view(case.y_shape)

        return bank if case.feedforward else poles


def _transposed_state(b: Any, a: Any, inputs: Any, outputs: Any, batch: int) -> Any:
    """Return SciPy's zi of the last inputs and outputs: what the delays of the transposed form II hold."""
    import torch

    b, a = b.repeat(batch, 1), a.repeat(batch, 1)
    inputs, outputs = inputs.flip(-1), outputs.flip(-1)
    held = []
    for m in range(a.shape[-1]):
        past = (b[:, m + 1 :] * inputs[:, : b.shape[-1] - m - 1]).sum(-1)
        held.append(past - (a[:, m:] * outputs[:, : a.shape[-1] - m]).sum(-1))
    return torch.stack(held, -1)


class Torchlpc(TorchContestant):
    """torchlpc's all-pole filter after a convolution for the other half."""

    name = "torchlpc"
    summary = "torchlpc.sample_wise_lpc on copies of x, after a convolution"
    requires = ("torch", "torchlpc")
    install = "torchlpc"
    distribution = "torchlpc"
    lacks: Mapping[Feature, str] = {**_FILTER, "state": "its state is that of the all-pole half alone"}

    def memory(self, case: Case, mode: Mode) -> int:
        held = case.order + 3 if mode == "forward" else 2 * case.order + 6
        return 2 * (case.x_bytes + case.coefficient_bytes) + held * case.y_bytes

    def declines(self, case: Case, mode: Mode) -> str | None:
        if case.time_varying and case.feedforward:
            return "it has no feedforward half, and a convolution's taps stay"
        return super().declines(case, mode)

    def function(self, case: Case, state: Any) -> Function:
        from torch.nn.functional import conv1d, pad
        from torchlpc import sample_wise_lpc

        rows = case.batch * case.channels
        groups = 1 if case.shared else case.channels

        def bank(x: Any, feedback: Any, feedforward: Any = None) -> Any:
            if feedforward is not None:
                taps = feedforward.flip(-1)[:, None]
                x = conv1d(pad(x, (taps.shape[-1] - 1, 0)), taps, groups=groups)
            x = x.expand(-1, case.channels, -1)
            if not case.time_varying:
                feedback = feedback[None, :, None].expand(*case.y_shape, -1)
            y = sample_wise_lpc(x.reshape(rows, -1), feedback.reshape(rows, case.length, -1))
            return y.view(case.y_shape)

        return bank
