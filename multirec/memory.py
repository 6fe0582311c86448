"""Memory of large outputs, in host memory, that is used again.

The system gives fresh memory page by page, and takes longer for it than most kernels take to fill it. So an output of
4 MiB or more, once nobody holds it or a view of it, leaves its memory to later outputs of about that size: within
12.5 %. What is kept has a limit, beyond which the oldest goes back to the system.
"""

from __future__ import annotations

from operator import index

from ._machine.libc import give_back
from ._memory.reuse import blocks
from .errors import ArgumentError

__all__ = ["clear", "limit", "retained", "set_limit"]


def limit() -> int:
    """Return how many bytes may be kept for later outputs; 0 is none.

    By default it is an eighth of the memory that is available when it is first needed, limits of containers included;
    0 where less than 4 GiB are, and where the system does not say.

    Example
    -------
    >>> limit() >= 0
    True
    """
    return blocks.limit


def set_limit(count: int | None) -> None:
    """Set how many bytes this process may keep, and let go of what is beyond. Results do not depend on it.

    Parameters
    ----------
    count
        At least 0, which is to keep nothing; None for the default, of what is available now.

    Raises
    ------
    ArgumentError
        If it is neither.

    Example
    -------
    >>> set_limit(2**30)
    >>> limit() == 2**30
    True
    >>> set_limit(None)
    """
    if count is not None and (isinstance(count, bool) or not hasattr(count, "__index__") or index(count) < 0):
        raise ArgumentError(
            f"set_limit needs a whole number of bytes of at least 0, or None for the default, got {count!r}. "
            "Pass 0 to keep nothing."
        )
    blocks.choose(None if count is None else index(count))


def retained() -> int:
    """Return how many bytes are kept now: not those of outputs that somebody holds.

    Example
    -------
    >>> import numpy as np, multirec as mr
    >>> set_limit(2**30)
    >>> y, _ = mr.recurrence(np.ones((1, 1, 2**20), "float32"), feedback=np.array([[0.5]]))
    >>> before = retained()
    >>> del y
    >>> retained() - before >= 4 * 2**20
    True
    >>> clear()
    >>> retained()
    0
    >>> set_limit(None)
    """
    return blocks.retained()


def clear() -> None:
    """Give back to the system all that is kept, and what its allocator keeps.

    Example
    -------
    >>> clear()
    """
    blocks.clear()
    give_back()
