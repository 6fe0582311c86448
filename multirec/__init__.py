"""Per-channel linear recurrences of any order, on the backend that suits the machine.

>>> import numpy as np, multirec as mr
>>> y, state = mr.recurrence(np.ones((1, 1, 3)), feedback=np.array([[0.5], [0.25]]))
>>> y.shape
(1, 2, 3)
"""

from . import adjoint, errors
from ._bank import RecurrenceBank
from ._cascade import RecurrenceCascade
from ._function import explain, recurrence
from ._probe import BackendStatus, backends
from ._registry import register_backend, unregister_backend
from ._select import Explanation
from ._state import State
from ._threads import num_threads, set_num_threads
from .errors import MultirecError

__version__ = "0.1.0"

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
]
