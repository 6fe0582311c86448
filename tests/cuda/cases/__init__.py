"""The cases that emulated kernels are tried with, a module for each kind of kernels, and the kernels that are built.

`BUILT` has the forward kernels, by their C++ names: whatever is not among them goes to the sequential kernels, so that
the build stays small.
"""

from __future__ import annotations

from . import channels, lanes, products, sequences, tiles
from .parts import Case

_KINDS = {"tiles": tiles, "channels": channels, "lanes": lanes, "products": products}
CASES: dict[str, tuple[Case, ...]] = {name: kind.CASES for name, kind in _KINDS.items()}
LONG: dict[str, tuple[Case, ...]] = {"channels": channels.LONG, "lanes": lanes.LONG}
"""Those that take minutes."""
BUILT = frozenset(name for kind in (*_KINDS.values(), sequences) for name in kind.BUILT)
