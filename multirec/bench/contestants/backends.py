"""multirec's own backends, and those of other packages, called as users call them."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from multirec._probe import status_of
from multirec._problem import Spec
from multirec._registry import registry
from multirec._validate import build_call
from multirec.backend import BackendInfo
from multirec.bench._case import Case, Mode, Signals
from multirec.errors import BackendBrokenError, BackendMissingError

from .base import Contestant, Loaded, Outputs
from .jax_scans import JaxContestant
from .torch_based import TorchContestant


def from_info(info: BackendInfo) -> Contestant:
    """Return the contestant for a backend: on JAX arrays for JAX's, else on torch tensors where torch is there."""
    if info.family == "jax":
        return JaxBackend(info)
    return TorchBackend(info) if find_spec("torch") is not None else NumpyBackend(info)


class _Backend(Contestant):
    """What is known of a backend without importing it."""

    copies = (3.0, 6.0)

    def __init__(self, info: BackendInfo) -> None:
        self.name, self.summary = info.name, info.summary
        self.backend_devices = info.devices

    def missing(self) -> str | None:
        try:
            registry.info(self.name)
        except (BackendMissingError, BackendBrokenError) as error:
            return str(error)
        return None

    def declines(self, case: Case, mode: Mode) -> str | None:
        def spec(*shape: int) -> Spec:
            return Spec(shape, case.dtype, "torch", self.backend_devices[0])

        b, a = spec(case.channels, case.order + 1), spec(case.channels, case.order)
        call = build_call(spec(*case.x_shape), b, a, None, None, "BCT", False)
        support = registry.info(self.name).supports(call.problem)
        return None if support.ok else f"it does not support {support.reason}"

    def load(self) -> Loaded:
        loaded = super().load()
        status = status_of(self.name)
        if status.status != "ready":
            raise ImportError(f"{status.reason} {status.fix}".strip())
        return loaded._replace(version=status.version)


class TorchBackend(_Backend, TorchContestant):
    """A backend on torch tensors, differentiated through torch."""

    scipy_convention = False

    def __init__(self, info: BackendInfo) -> None:
        super().__init__(info)
        self.devices = info.devices

    def filter(self, x: Any, b: Any, a: Any) -> Any:
        from multirec import recurrence

        return recurrence(x, feedforward=b, feedback=a, backend=self.name)[0]


class JaxBackend(_Backend, JaxContestant):
    """A backend on JAX arrays, differentiated through JAX."""

    def filter(self, x: Any, b: Any, a: Any) -> Any:
        from multirec import recurrence

        return recurrence(x, feedforward=b, feedback=-a[:, 1:], backend=self.name)[0]


class NumpyBackend(_Backend):
    """A backend on NumPy arrays, where there is no torch; its gradient is `multirec.adjoint.vjp`."""

    def prepare(self, signals: Signals, mode: Mode) -> Callable[[], Any]:
        from multirec import recurrence
        from multirec.adjoint import vjp

        x, b, a, grad_y = signals
        how: dict[str, Any] = {"feedforward": b, "feedback": -a[:, 1:], "backend": self.name}

        def both() -> Any:
            y, _ = recurrence(x, **how)
            gradients = vjp(grad_y, x, y=y, **how)
            return y, gradients.x, gradients.feedforward, gradients.feedback

        return both if mode != "forward" else lambda: recurrence(x, **how)[:1]

    def outputs(self, result: Any) -> Outputs:
        return dict(zip(("y", "x", "feedforward", "feedback"), result, strict=False))
