"""What every contestant that works on torch tensors shares."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..cases.case import Case, Feature, Mode
from ..cases.changes import Change
from ..cases.signals import Array, Outputs, Signals
from .base import ONE_DTYPE, Contestant, Loaded, Peak, Run, Sample, Turn

Function = Callable[..., Any]
"""Takes leaves by name and returns y."""


class TorchContestant(Contestant):
    """A function of torch tensors, differentiated by torch's autograd.

    `sign` is -1 where its feedback is SciPy's: a without the leading 1, which is minus multirec's.
    """

    requires: tuple[str, ...] = ("torch",)
    distribution = "torch"
    devices: tuple[str, ...] = ("cpu", "cuda")
    sign = -1
    lacks: Mapping[Feature, str] = {
        "layer": "it is a filter, not a layer",
        "half": ONE_DTYPE,
        "taps": "it is written for order + 1 feedforward taps, or none",
        "layout": "it filters along the last axis; any other layout would be a transposed copy",
    }

    def load(self) -> Loaded:
        import torch

        loaded = super().load()
        self.device = "cuda" if "cuda" in self.devices and torch.cuda.is_available() else "cpu"
        if "cpu" not in self.devices and self.device == "cpu":
            raise ImportError("it needs a GPU, and torch sees none here")
        return loaded._replace(device=self.device)

    @abstractmethod
    def function(self, case: Case, state: Any) -> Function:
        """Return a function of x, feedforward (or None) and feedback, times `sign`, that returns y."""

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        state = None if signals.state is None else tuple(self.tensor(part) for part in signals.state)
        leaves = {"x": self.tensor(signals.x)}
        if signals.feedforward is not None:
            leaves["feedforward"] = self.tensor(signals.feedforward)
        leaves["feedback"] = self.tensor(self.sign * signals.feedback)
        return self.runner(self.function(case, state), leaves, signals, mode)

    def runner(self, function: Function, leaves: dict[str, Any], signals: Signals, mode: Mode) -> Run:
        """Return the function that does the work once, with gradients of all leaves where `mode` asks for them."""
        import torch

        def forward() -> Any:
            with torch.no_grad():
                y = function(**leaves)
            return {"y": y}

        self.changing = (leaves["x"], None)
        if mode == "forward":
            return forward
        for leaf in leaves.values():
            leaf.requires_grad_()
        names, inputs = ["y", *leaves], list(leaves.values())
        grad_y = self.tensor(signals.grad_y)
        self.changing = (leaves["x"], grad_y)

        def both() -> Any:
            y = function(**leaves)
            gradients = torch.autograd.grad(y, inputs, grad_y)
            return dict(zip(names, (y, *gradients), strict=True))

        return both

    def outputs(self, result: Any) -> Outputs:
        found = {name: _array(tensor.detach().resolve_conj().cpu()) for name, tensor in result.items()}
        if "feedback" in found:
            found["feedback"] = self.sign * found["feedback"]
        return found

    def wait(self) -> None:
        import torch

        if self.device == "cuda":
            torch.cuda.synchronize()

    def change(self, case: Case, signals: Signals, at: Change) -> None:
        if self.device == "cpu":
            # tensors on a CPU are views of the arrays
            super().change(case, signals, at)
            return
        for tensor, time in zip(self.changing, at, strict=True):
            if tensor is not None:
                tensor.detach().select(case.layout.index("T"), time).neg_()

    def measure(self, run: Run, calls: int, turn: Turn) -> Sample:
        if self.device == "cpu":
            return super().measure(run, calls, turn)
        from .gpu import measure

        return measure(run, turn)

    def cache(self) -> int | None:
        if self.device == "cpu":
            return super().cache()
        from .gpu import cache_bytes

        return cache_bytes()

    def reset_peak(self) -> None:
        import torch

        super().reset_peak()
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self.held = torch.cuda.memory_allocated()

    def growth(self) -> Peak:
        import torch

        peak = super().growth()
        if self.device == "cpu":
            return peak
        return peak._replace(allocator=int(torch.cuda.max_memory_allocated()) - self.held)

    def tensor(self, array: Any) -> Any:
        """Return an array as a tensor on the contestant's device."""
        import torch

        array = np.ascontiguousarray(array)
        if array.dtype == np.uint16:
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).to(self.device)
        return torch.from_numpy(array).to(self.device)


def _array(tensor: Any) -> Array:
    import torch

    if tensor.dtype != torch.bfloat16:
        return np.asarray(tensor)
    return np.asarray(tensor.view(torch.int16)).view(np.uint16)


def with_leading_one(feedback: Any) -> Any:
    """Return SciPy's a, of its taps without the leading 1."""
    import torch

    return torch.cat([torch.ones_like(feedback[..., :1]), feedback], -1)
