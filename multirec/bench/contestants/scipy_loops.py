"""SciPy, one filter a call, and CuPy's copy of it on a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..cases.case import Case, Feature, Mode
from ..cases.changes import Change
from ..cases.signals import Array, Outputs, Signals
from ..cases.window import canonical
from .base import Contestant, Loaded, Run, Sample, Turn
from .gpu import measure

_LACKS: Mapping[Feature, str] = {
    "time-varying": "its coefficients stay",
    "layer": "it is a filter, not a layer of torch",
    "bfloat16": "NumPy has no bfloat16",
}


class ScipyLoop(Contestant):
    """scipy.signal.lfilter in a loop over the filters."""

    name = "scipy"
    summary = "scipy.signal.lfilter in a loop over the filters, one core"
    requires: tuple[str, ...] = ("scipy",)
    install = "scipy"
    distribution = "scipy"
    first = True
    lacks = _LACKS

    def load(self) -> Loaded:
        import scipy.signal  # noqa: F401

        return super().load()

    def declines(self, case: Case, mode: Mode) -> str | None:
        return super().declines(case, mode) or ("SciPy has no gradient" if mode != "forward" else None)

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        from scipy.signal import lfilter

        b, a = _polynomials(signals)
        x, zi = canonical(signals.x, case.layout), _initial(case, signals, b, a)

        def forward() -> Any:
            y = np.empty(case.y_shape, case.dtype)
            out = canonical(y, case.layout)
            for c in range(case.channels):
                source = x[:, 0 if case.shared else c]
                if zi is None:
                    out[:, c] = lfilter(b[c], a[c], source)
                else:
                    out[:, c], _ = lfilter(b[c], a[c], source, zi=zi[c])
            return {"y": y}

        return forward

    def outputs(self, result: Any) -> Outputs:
        found: Outputs = result
        return found


class ScipySections(ScipyLoop):
    """scipy.signal.sosfilt in a loop over the filters, each one section."""

    name = "scipy_sos"
    summary = "scipy.signal.sosfilt in a loop over the filters, each one section"
    lacks: Mapping[Feature, str] = {
        **_LACKS,
        "state": "its state is that of the sections",
        "taps": "its sections have as many taps in feedforward as in feedback",
    }

    def declines(self, case: Case, mode: Mode) -> str | None:
        if case.order > 2:
            return f"the case gives polynomials of order {case.order}, not second-order sections"
        if "complex" in case.needs:
            return "SciPy's sections are real"
        return super().declines(case, mode)

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        from scipy.signal import sosfilt

        sections = np.zeros((case.channels, 1, 6), case.computed)
        b, a = _polynomials(signals)
        sections[:, 0, : b.shape[1]], sections[:, 0, 3 : 3 + a.shape[1]] = b, a
        x = canonical(signals.x, case.layout)

        def forward() -> Any:
            y = np.empty(case.y_shape, case.dtype)
            out = canonical(y, case.layout)
            for c in range(case.channels):
                out[:, c] = sosfilt(sections[c], x[:, 0 if case.shared else c])
            return {"y": y}

        return forward


class CupyxLoop(Contestant):
    """cupyx.scipy.signal.lfilter in a loop over the filters."""

    name = "cupyx"
    summary = "cupyx.scipy.signal.lfilter in a loop over the filters, on a GPU"
    requires = ("cupy",)
    install = "cupy-cuda13x (CUDA 13) or cupy-cuda12x"
    distribution = "cupy-cuda13x"
    lacks: Mapping[Feature, str] = {
        "taps": "it is driven here for order + 1 feedforward taps, or none",
        **_LACKS,
        "half": "whether it takes half types has not been tried",
        "state": "its zi is not SciPy's",
        "layout": "it filters along the last axis; any other layout would be a transposed copy",
    }

    def declines(self, case: Case, mode: Mode) -> str | None:
        return super().declines(case, mode) or ("cupyx has no gradient" if mode != "forward" else None)

    def load(self) -> Loaded:
        import cupy

        loaded = super().load()
        try:
            cupy.cuda.runtime.getDeviceCount()
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise ImportError(f"it needs a GPU, and CuPy finds none here: {error}") from None
        return loaded._replace(device="cuda")

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        import cupy
        from cupyx.scipy.signal import lfilter

        b, a = (cupy.asarray(part) for part in _polynomials(signals))
        self.x = x = cupy.asarray(signals.x)

        def forward() -> Any:
            y = cupy.empty(case.y_shape, case.dtype)
            for c in range(case.channels):
                y[:, c] = lfilter(b[c], a[c], x[:, 0 if case.shared else c])
            return {"y": y}

        return forward

    def outputs(self, result: Any) -> Outputs:
        return {"y": result["y"].get()}

    def wait(self) -> None:
        import cupy

        cupy.cuda.get_current_stream().synchronize()

    def change(self, case: Case, signals: Signals, at: Change) -> None:
        self.x[..., at.x] *= -1

    def measure(self, run: Run, calls: int, turn: Turn) -> Sample:
        return measure(run, turn)


def _polynomials(signals: Signals) -> tuple[Array, Array]:
    """Return SciPy's b and a (C, taps)."""
    ones = np.ones_like(signals.feedback[:, :1])
    b = ones if signals.feedforward is None else signals.feedforward
    return b, np.concatenate([ones, -signals.feedback], axis=1)


def _initial(case: Case, signals: Signals, b: Array, a: Array) -> Array | None:
    """Return zi (C, B, delays) of the state, or None."""
    if signals.state is None:
        return None
    from scipy.signal import lfiltic

    inputs, outputs = (canonical(part, case.layout)[..., ::-1] for part in signals.state)
    rows = [
        [lfiltic(b[c], a[c], outputs[n, c], inputs[n, 0 if case.shared else c]) for n in range(case.batch)]
        for c in range(case.channels)
    ]
    return np.asarray(rows, case.computed)
