"""SciPy, one filter a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from multirec.bench._case import Case, Mode, Signals

from .base import Contestant, Loaded, Outputs


class ScipyLoop(Contestant):
    """scipy.signal.lfilter in a loop over the filters."""

    name = "scipy"
    summary = "scipy.signal.lfilter in a loop over the filters, one core"
    requires = ("scipy",)
    install = "scipy"
    distribution = "scipy"

    def declines(self, case: Case, mode: Mode) -> str | None:
        return "SciPy has no gradient" if mode != "forward" else None

    def load(self) -> Loaded:
        from scipy.signal import lfilter

        self.lfilter = lfilter
        return super().load()

    def prepare(self, signals: Signals, mode: Mode) -> Callable[[], Any]:
        lfilter = self.lfilter
        x, b, a, _ = signals

        def forward() -> Any:
            y = np.empty((x.shape[0], len(b), x.shape[-1]), x.dtype)
            for channel in range(len(b)):
                y[:, channel] = lfilter(b[channel], a[channel], x[:, 0])
            return y

        return forward

    def outputs(self, result: Any) -> Outputs:
        return {"y": result}
