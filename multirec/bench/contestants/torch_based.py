"""What every contestant that works on torch tensors shares, and the packages for torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from multirec.bench._case import Case, Mode, Signals

from .base import Contestant, Loaded, Outputs


class TorchContestant(Contestant):
    """A function of torch tensors, differentiated by torch's autograd.

    `scipy_convention` says whether its leaves are b and a (C, p+1), or feedforward and feedback.
    """

    requires: tuple[str, ...] = ("torch",)
    distribution = "torch"
    devices: tuple[str, ...] = ("cpu", "cuda")
    scipy_convention = True

    def load(self) -> Loaded:
        import torch

        loaded = super().load()
        self.device = "cuda" if "cuda" in self.devices and torch.cuda.is_available() else "cpu"
        if "cpu" not in self.devices and self.device == "cpu":
            raise ImportError("it needs a GPU, and torch sees none here")
        return loaded._replace(device=self.device)

    @abstractmethod
    def filter(self, x: Any, b: Any, a: Any) -> Any:
        """Return y (B, C, T) of x (B, 1, T) and the two sets of coefficients."""

    def prepare(self, signals: Signals, mode: Mode) -> Callable[[], Any]:
        import torch

        second = signals.a if self.scipy_convention else -signals.a[:, 1:]
        leaves = [self._tensor(array) for array in (signals.x, signals.b, second)]
        wait = torch.cuda.synchronize if self.device == "cuda" else _nothing

        def forward() -> Any:
            with torch.no_grad():
                y = self.filter(*leaves)
            wait()
            return (y,)

        if mode == "forward":
            return forward
        for leaf in leaves:
            leaf.requires_grad_()
        grad_y = self._tensor(signals.grad_y)

        def both() -> Any:
            y = self.filter(*leaves)
            gradients = torch.autograd.grad(y, leaves, grad_y)
            wait()
            return (y, *gradients)

        return both

    def outputs(self, result: Any) -> Outputs:
        arrays = [tensor.detach().cpu().numpy() for tensor in result]
        found = dict(zip(("y", "x", "feedforward", "feedback"), arrays, strict=False))
        if self.scipy_convention and "feedback" in found:
            found["feedback"] = -found["feedback"][:, 1:]
        return found

    def reset_peak(self) -> None:
        import torch

        if self.device == "cpu":
            return super().reset_peak()
        torch.cuda.reset_peak_memory_stats()
        self.held = torch.cuda.memory_allocated()
        return None

    def growth(self) -> int | None:
        import torch

        if self.device == "cpu":
            return super().growth()
        return int(torch.cuda.max_memory_allocated()) - self.held

    def _tensor(self, array: Any) -> Any:
        import torch

        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def _nothing() -> None:
    """A CPU call is done when it returns."""


class Torchaudio(TorchContestant):
    """torchaudio's lfilter, one call for the whole bank."""

    name = "torchaudio"
    summary = "torchaudio.functional.lfilter on the whole bank, clamp=False"
    requires = ("torch", "torchaudio")
    install = "torchaudio"
    distribution = "torchaudio"
    copies = (3.0, 8.0)

    def load(self) -> Loaded:
        loaded = super().load()
        from torchaudio.functional import lfilter

        self.lfilter = lfilter
        return loaded

    def filter(self, x: Any, b: Any, a: Any) -> Any:
        return self.lfilter(x[:, 0], a, b, clamp=False, batching=False)


class Philtorch(TorchContestant):
    """philtorch's lfilter on copies of x, one row for each example and channel."""

    name = "philtorch"
    summary = "philtorch.lti.lfilter on copies of x"
    requires = ("torch", "philtorch")
    install = "philtorch"
    distribution = "philtorch"
    copies = (7.0, 14.0)

    def load(self) -> Loaded:
        loaded = super().load()
        from philtorch.lti import lfilter

        self.lfilter = lfilter
        return loaded

    def filter(self, x: Any, b: Any, a: Any) -> Any:
        rows = _rows(x, b.shape[0])
        times = (x.shape[0], 1)
        return self.lfilter(b.repeat(times), a[:, 1:].repeat(times), rows).view(x.shape[0], -1, x.shape[-1])


class Torchlpc(TorchContestant):
    """torchlpc's all-pole filter after a convolution for the other half."""

    name = "torchlpc"
    summary = "torchlpc.sample_wise_lpc on copies of x, after a convolution"
    requires = ("torch", "torchlpc")
    install = "torchlpc"
    distribution = "torchlpc"

    def load(self) -> Loaded:
        loaded = super().load()
        from torchlpc import sample_wise_lpc

        self.lpc = sample_wise_lpc
        return loaded

    def memory(self, case: Case, mode: Mode) -> int:
        held = case.order + 3 if mode == "forward" else 2 * case.order + 6
        return 2 * case.x_bytes + held * case.y_bytes

    def filter(self, x: Any, b: Any, a: Any) -> Any:
        from torch.nn import functional

        batch, _, length = x.shape
        channels, taps = b.shape
        forward = functional.conv1d(functional.pad(x, (taps - 1, 0)), b.flip(-1)[:, None])
        feedback = a[None, :, None, 1:].expand(batch, channels, length, taps - 1)
        rows = batch * channels
        return self.lpc(forward.reshape(rows, length), feedback.reshape(rows, length, -1)).view(forward.shape)


def _rows(x: Any, channels: int) -> Any:
    return x.expand(-1, channels, -1).reshape(-1, x.shape[-1])
