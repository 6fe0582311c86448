"""Per-channel linear recurrences of any order, on the backend that suits the machine.

>>> import numpy as np, multirec as mr
>>> y, state = mr.recurrence(np.ones((1, 1, 3)), feedback=np.array([[0.5], [0.25]]))
>>> y.shape
(1, 2, 3)
"""

import sys

from . import adjoint, errors
from ._core.state import State
from ._filters.bank import RecurrenceBank
from ._filters.cascade import RecurrenceCascade
from ._machine.threads import num_threads, set_num_threads
from ._recurrence import explain, recurrence, zero_state
from ._registry.choice import Explanation
from ._registry.probe import BackendStatus, backends
from ._registry.registry import register_backend, unregister_backend
from .errors import MultirecError

if "torch" in sys.modules:
    # an exported program needs the operators before it calls anything of ours
    from ._torch import door as _door  # noqa: F401

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
    "errors",
    "explain",
    "num_threads",
    "recurrence",
    "register_backend",
    "set_num_threads",
    "unregister_backend",
    "zero_state",
]
