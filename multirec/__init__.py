"""Per-channel linear recurrences of any order, on the backend that suits the machine.

>>> import numpy as np, multirec as mr
>>> y, state = mr.recurrence(np.ones((1, 1, 3)), feedback=np.array([[0.5], [0.25]]))
>>> y.shape
(1, 2, 3)
"""

from importlib import import_module as _import_module

from ._machine.threads import no_fork as _no_fork
from ._machine.when_loaded import when_loaded as _when_loaded

# importing typing takes longer than all of this
TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import adjoint, distributed, errors, memory
    from ._core.state import State
    from ._ema import ema
    from ._filters.bank import RecurrenceBank
    from ._filters.cascade import RecurrenceCascade
    from ._frames import framed_recurrence
    from ._machine.threads import num_threads, set_num_threads
    from ._nonlinear import envelope
    from ._recurrence import explain, recurrence, zero_state
    from ._registry.choice import Explanation
    from ._registry.probe import BackendStatus, backends
    from ._registry.registry import register_backend, unregister_backend
    from ._returns import discounted_returns, gae
    from ._scan import scan
    from .errors import MultirecError

__version__ = "0.2.0"

__all__ = [
    "BackendStatus",
    "Explanation",
    "MultirecError",
    "RecurrenceBank",
    "RecurrenceCascade",
    "State",
    "__version__",
    "adjoint",
    "backends",
    "discounted_returns",
    "distributed",
    "ema",
    "envelope",
    "errors",
    "explain",
    "framed_recurrence",
    "gae",
    "memory",
    "num_threads",
    "recurrence",
    "register_backend",
    "scan",
    "set_num_threads",
    "unregister_backend",
    "zero_state",
]

_MODULES = {
    "BackendStatus": "_registry.probe",
    "Explanation": "_registry.choice",
    "MultirecError": "errors",
    "RecurrenceBank": "_filters.bank",
    "RecurrenceCascade": "_filters.cascade",
    "State": "_core.state",
    "adjoint": "adjoint",
    "backends": "_registry.probe",
    "discounted_returns": "_returns",
    "distributed": "distributed",
    "ema": "_ema",
    "envelope": "_nonlinear",
    "errors": "errors",
    "explain": "_recurrence",
    "framed_recurrence": "_frames",
    "gae": "_returns",
    "memory": "memory",
    "num_threads": "_machine.threads",
    "recurrence": "_recurrence",
    "register_backend": "_registry.registry",
    "scan": "_scan",
    "set_num_threads": "_machine.threads",
    "unregister_backend": "_registry.registry",
    "zero_state": "_recurrence",
}
"""Where each name is from: imported when it is first asked for (PEP 562)."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # forks wait: a child would wait for a module that is half imported
        with _no_fork:
            module = _import_module(f".{_MODULES[name]}", __name__)
        found = module if _MODULES[name] == name else getattr(module, name)
        return globals().setdefault(name, found)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _register_with_torch() -> None:
    # an exported program needs the operators before it calls anything of ours
    from ._torch import saved  # noqa: F401


_when_loaded("torch", _register_with_torch)
