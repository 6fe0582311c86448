"""Per-channel linear recurrences of any order, on the backend that suits the machine.

>>> import numpy as np, multirec as mr
>>> y, state = mr.recurrence(np.ones((1, 1, 3)), feedback=np.array([[0.5], [0.25]]))
>>> y.shape
(1, 2, 3)
"""

from . import adjoint, errors
from ._core.state import State
from ._ema import ema
from ._filters.bank import RecurrenceBank
from ._filters.cascade import RecurrenceCascade
from ._frames import framed_recurrence
from ._machine.threads import num_threads, set_num_threads
from ._machine.when_loaded import when_loaded as _when_loaded
from ._nonlinear import envelope
from ._recurrence import explain, recurrence, zero_state
from ._registry.choice import Explanation
from ._registry.probe import BackendStatus, backends
from ._registry.registry import register_backend, unregister_backend
from ._returns import discounted_returns, gae
from ._scan import scan
from .errors import MultirecError


def _register_with_torch() -> None:
    # an exported program needs the operators before it calls anything of ours
    from ._torch import saved  # noqa: F401


_when_loaded("torch", _register_with_torch)

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
    "ema",
    "envelope",
    "errors",
    "explain",
    "framed_recurrence",
    "gae",
    "num_threads",
    "recurrence",
    "register_backend",
    "scan",
    "set_num_threads",
    "unregister_backend",
    "zero_state",
]
