"""What a numba user writes: a loop over the samples under @njit, on one core or on all, and its adjoint as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from multirec._machine.threads import num_threads

from ..cases.case import Case, Feature, Mode
from ..cases.signals import Outputs, Signals
from .base import ONE_DTYPE, Contestant, Loaded, Run


class NjitLoop(Contestant):
    """A loop that the numba package compiles; its gradient is a second such loop."""

    requires = ("numba",)
    install = "numba"
    distribution = "numba"
    copies = (1.0, 2.0)
    first = True
    lacks: Mapping[Feature, str] = {
        "layer": "it is a filter, not a layer of torch",
        "half": ONE_DTYPE,
        "layout": "it is written for layout BCT",
        "time-varying": "it is written for coefficients that stay",
        "state": "it begins from silence",
    }

    def __init__(self, name: str, summary: str, parallel: bool) -> None:
        self.name, self.summary, self.parallel = name, summary, parallel

    def load(self) -> Loaded:
        import numba

        from .njit_kernels import KERNELS

        loaded = super().load()
        config: Any = numba.config
        numba.set_num_threads(min(num_threads(), config.NUMBA_NUM_THREADS))
        self.kernels = KERNELS[self.parallel]
        return loaded

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        forward, backward = self.kernels
        x, a, grad_y = signals.x, signals.feedback, signals.grad_y
        b = np.zeros((case.channels, 0), a.dtype) if signals.feedforward is None else signals.feedforward

        def values() -> Any:
            y = np.empty(case.y_shape, case.dtype)
            forward(x, b, a, y)
            return {"y": y}

        def both() -> Any:
            y = values()["y"]
            grad_x = np.zeros(x.shape, case.dtype)
            grad_b, grad_a = (np.zeros((case.batch, *taps.shape), case.dtype) for taps in (b, a))
            backward(x, b, a, y, grad_y, grad_x, grad_b, grad_a)
            return {"y": y, "x": grad_x, "feedforward": grad_b.sum(0), "feedback": grad_a.sum(0)}

        return values if mode == "forward" else both

    def outputs(self, result: Any) -> Outputs:
        found: Outputs = result
        return found


LOOPS = (
    NjitLoop("njit", "an @njit loop over the samples, one core", False),
    NjitLoop("njit_parallel", "the same with prange over the filters, all cores", True),
)
