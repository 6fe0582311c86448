"""Where compiled code is kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder(variable: str, name: str) -> Path | None:
    """Return the folder of compiled kernels; None where there is no home folder to put it in.

    It is ``multirec`` in the folder that an environment variable names. Where that is not set it is ``multirec/NAME``
    where the system keeps what can be made again: in XDG_CACHE_HOME where that is set, else in LOCALAPPDATA on
    Windows, in ``~/Library/Caches`` on macOS, and in ``~/.cache`` elsewhere.

    Parameters
    ----------
    variable
        The environment variable.
    name
        The kind of kernels.

    Example
    -------
    >>> import os
    >>> os.environ["MY_CACHE_DIR"] = "caches"
    >>> cache_folder("MY_CACHE_DIR", "mine").parts
    ('caches', 'multirec')
    >>> del os.environ["MY_CACHE_DIR"]
    """
    chosen = os.environ.get(variable)
    if chosen:
        return Path(chosen) / "multirec"
    base = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else None)
    if base:
        return Path(base) / "multirec" / name
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "multirec" / name
