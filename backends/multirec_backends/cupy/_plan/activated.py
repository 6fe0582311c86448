"""Recurrences with an activation inside: one thread for each example and channel, the samples of a warp in strips."""

from __future__ import annotations

from functools import lru_cache

from multirec.backend import Activated

from .parts import BYTES, STORED_BYTES, TYPES, WARP, Grid, Launch, blocks_for

HIGHEST_ORDER = 32
"""Up to which a state is in registers."""
PIECE = 64
"""Samples from one state that is kept to the next."""
_FEW_SIGNALS = 2
"""Signals up to which there is room for longer strips."""
_POINTERS = WARP * 8


def cell_of(problem: Activated) -> str:
    """Return what a step computes, as a template argument."""
    more = len(problem.dtypes)
    if problem.kind == "independent":
        return f"Independent<{problem.activation.upper()},{problem.order}>"
    if problem.kind == "sru":
        return f"Sru<{problem.activation.upper()},{more - 3}>"
    return f"Envelope<{int(more > 1)}>"


@lru_cache(maxsize=512)
def plan(problem: Activated, back: bool) -> Launch:
    """Return the launch of y and the state after the block, or of the gradient."""
    along, marked = (str(flag).lower() for flag in (problem.layout == "BCT", problem.numbered))
    types = f"{TYPES[problem.dtypes[0]]},{TYPES[problem.dtypes[-1]]}"
    name = f"activated_{'backward' if back else 'forward'}<{types},{cell_of(problem)},{along},{marked}>"
    items = -(-problem.batch * problem.channels // WARP)
    return Launch(name, blocks_for(items), WARP, _shared(problem, back), Grid(items=items))


def fold_name(problem: Activated) -> str:
    """Return the kernel that adds up the gradients of parameters."""
    return f"fold<{','.join([TYPES[problem.compute_dtype]] * 4)}>"


def _shared(problem: Activated, back: bool) -> int:
    """Return the bytes of shared memory, as the CUDA source divides it."""
    own, signals = BYTES[problem.compute_dtype], len(problem.dtypes)
    samples = (128 if not back and signals <= _FEW_SIGNALS else 64) // own

    def strip(dtype: str) -> int:
        slots = 2 * WARP * (samples + 1) * STORED_BYTES[dtype]
        return -(-slots // 16) * 16 + _POINTERS

    every = sum(map(strip, problem.dtypes)) + (strip("float32") if problem.numbered else 0)
    if not back:
        return every + _POINTERS
    states = (PIECE + problem.order) * WARP * own + (PIECE * WARP * 2 if problem.numbered else 0)
    return states + every + strip(problem.dtype) + signals * _POINTERS
