"""multirec's own backends, and those of other packages, called as users call them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from multirec import memory
from multirec._core.problem import Problem, Spec
from multirec._core.validate import Choices, build_call
from multirec._registry.probe import status_of
from multirec._registry.registry import registry
from multirec.backend import BackendInfo
from multirec.errors import BackendBrokenError, BackendMissingError

from ..cases.case import Case, Feature, Mode
from ..cases.signals import Outputs, Signals
from .base import Contestant, Loaded, Run
from .jax_scans import JaxContestant
from .torch_based import Function, TorchContestant

_MAIN = ("numba", "cupy", "torch_loop", "unfold_scan", "jax")
_REUSE = 4 << 30


def from_info(info: BackendInfo) -> Contestant:
    """Return the contestant for a backend: on JAX arrays for JAX's, else on torch tensors where torch is there."""
    if info.family == "jax":
        return JaxBackend(info)
    return TorchBackend(info) if find_spec("torch") is not None else NumpyBackend(info)


def problem_of(case: Case, device: str) -> Problem:
    """Return what a backend is asked for."""

    def spec(*shape: int) -> Spec:
        return Spec(shape, case.computed, "torch", device)

    # a layer's recurrence has the channels of its linear layer's outputs
    x = case.y_shape if case.features else case.x_shape
    b = spec(case.channels, case.taps) if case.taps else None
    signal, a = spec(*x)._replace(dtype=case.dtype), spec(*case.feedback_shape)
    return build_call(signal, b, a, None, None, Choices(case.layout)).problem


class _Backend(Contestant):
    """What is known of a backend without importing it."""

    copies = (3.0, 6.0)
    backend = True

    def __init__(self, info: BackendInfo) -> None:
        # the name in reports may be another, where a backend takes part twice
        self.name, self.backend_name, self.summary = info.name, info.name, info.summary
        self.first = info.name in _MAIN
        self.backend_devices = info.devices

    def missing(self) -> str | None:
        try:
            registry.info(self.backend_name)
        except (BackendMissingError, BackendBrokenError) as error:
            return str(error)
        return None

    def declines(self, case: Case, mode: Mode) -> str | None:
        support = registry.info(self.backend_name).supports(problem_of(case, self.backend_devices[0]))
        return super().declines(case, mode) or (None if support.ok else f"it does not support {support.reason}")

    def memory(self, case: Case, mode: Mode) -> int:
        estimate = super().memory(case, mode)
        # beside an array of a half type there may be one of what it is computed in
        return estimate if case.computed == case.dtype else estimate + super().memory(case.as_computed(), mode)

    def load(self) -> Loaded:
        loaded = super().load()
        status = status_of(self.backend_name)
        if status.status != "ready":
            raise ImportError(f"{status.reason} {status.fix}".strip())
        # outputs are fresh memory, as everybody else's are
        memory.set_limit(0)
        return loaded._replace(version=status.version)


class TorchBackend(_Backend, TorchContestant):
    """A backend on torch tensors, differentiated through torch."""

    sign = 1
    lacks: Mapping[Feature, str] = {}

    def __init__(self, info: BackendInfo) -> None:
        super().__init__(info)
        self.devices = info.devices

    def function(self, case: Case, state: Any) -> Function:
        from multirec import recurrence

        how: dict[str, Any] = {"state": state, "layout": case.layout, "backend": self.backend_name}
        return lambda x, feedback, feedforward=None: recurrence(x, feedforward=feedforward, feedback=feedback, **how)[0]

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        if not case.features:
            return super().prepare(case, signals, mode)
        import torch

        from multirec.nn import RecurrenceLayer

        layer = RecurrenceLayer(
            case.features,
            case.channels,
            order=case.order,
            bias=False,
            layout=case.layout,
            backend=self.backend_name,
            dtype=getattr(torch, case.dtype),
        ).to(self.device)
        with torch.no_grad():
            layer.projection.weight.copy_(self.tensor(signals.weight))
            layer.reflection_weight.copy_(self.tensor(signals.reflection))
        weights = {"weight": layer.projection.weight, "reflection": layer.reflection_weight}
        leaves = {"x": self.tensor(signals.x), **weights}
        return self.runner(lambda x, **_: layer(x)[0], leaves, signals, mode)


class Reusing(TorchBackend):
    """A backend whose outputs come in the memory of earlier ones."""

    on_demand = True

    def __init__(self, info: BackendInfo) -> None:
        super().__init__(info)
        self.name, self.first = f"{info.name}_reuse", False
        self.summary = f"{info.name} with multirec.memory: outputs in the memory of earlier ones"

    def load(self) -> Loaded:
        loaded = super().load()
        memory.set_limit(_REUSE)
        return loaded


class JaxBackend(_Backend, JaxContestant):
    """A backend on JAX arrays, differentiated through JAX."""

    def function(self, case: Case, state: Any) -> Function:
        from multirec import recurrence

        how: dict[str, Any] = {"state": state, "layout": case.layout, "backend": self.backend_name}
        return lambda x, feedback, feedforward=None: recurrence(x, feedforward=feedforward, feedback=feedback, **how)[0]


class NumpyBackend(_Backend):
    """A backend on NumPy arrays, where there is no torch; its gradient is `multirec.adjoint.vjp`."""

    lacks: Mapping[Feature, str] = {
        "layer": "the layer needs torch, which is not installed",
        "bfloat16": "NumPy has no bfloat16; with torch installed it is measured on tensors",
    }

    def prepare(self, case: Case, signals: Signals, mode: Mode) -> Run:
        from multirec import recurrence
        from multirec.adjoint import vjp

        how: dict[str, Any] = {
            "feedforward": signals.feedforward,
            "feedback": signals.feedback,
            "state": signals.state,
            "layout": case.layout,
            "backend": self.backend_name,
        }
        x, grad_y = signals.x, signals.grad_y

        def both() -> Any:
            y, _ = recurrence(x, **how)
            gradients = vjp(grad_y, x, y=y, **how)
            found = {"y": y, "x": gradients.x, "feedforward": gradients.feedforward, "feedback": gradients.feedback}
            return {name: array for name, array in found.items() if array is not None}

        return both if mode != "forward" else lambda: {"y": recurrence(x, **how)[0]}

    def outputs(self, result: Any) -> Outputs:
        found: Outputs = result
        return found
