"""What a plan is made of: launches, how each one's work is cut up, and the memory that they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from multirec.backend import COMPLEX_DTYPES, HALF_DTYPES, Problem, Taps

WARP = 32
LARGEST_GRID = 1 << 30
SHARED_BYTES = 48 << 10
"""Shared memory that a block has on every GPU without asking."""
SLOT_BYTES = 16
"""What a lane reads or writes at once."""
TYPES = {
    "float16": "Half",
    "bfloat16": "BFloat",
    "float32": "float",
    "float64": "double",
    "complex64": "Complex<float>",
    "complex128": "Complex<double>",
}
BYTES = {"float32": 4, "float64": 8, "complex64": 8, "complex128": 16}
STORED_BYTES = BYTES | dict.fromkeys(HALF_DTYPES, 2)

Has: TypeAlias = Callable[[str], bool]
"""Says whether a device has a kernel, by its C++ name: all of them do, but a test may build only a few."""


class Grid(NamedTuple):
    """How the work of a launch is cut up, as kernels are told of it: rows of a block, blocks of an example, and so on.

    What each number counts is the kernel's to say; `items` are what blocks take one after another.
    """

    log_rows: int = 0
    groups: int = 1
    segments: int = 1
    tiles: int = 1
    items: int = 1
    shares_x: bool = False


class Launch(NamedTuple):
    """One launch of a kernel, by its C++ name."""

    kernel: str
    blocks: int
    threads: int
    shared: int
    grid: Grid
    phase: int = 0


class Direction(NamedTuple):
    """How y is computed, or a gradient.

    Attributes
    ----------
    launches
        One after another on one stream.
    scratch
        Bytes of the memory that launches share, by its name in the CUDA source: ends, starts, again, ring, powers.
    segments
        Of a row, each of which writes sums over its time: the gradient of coefficients before it is added up.
    groups
        Of an example's channels, each of which writes a gradient of a shared x.
    """

    launches: tuple[Launch, ...]
    scratch: tuple[tuple[str, int], ...] = ()
    segments: int = 1
    groups: int = 1


class Wanted(NamedTuple):
    """Which gradients are wanted. Without feedforward's x is not to be read; without feedback's y is not."""

    x: bool = True
    feedforward: bool = True
    feedback: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a problem is computed, in words and in launches; `way` says who computes what."""

    way: str
    forward: Direction
    backward: Callable[[Wanted], Direction]

    @property
    def note(self) -> str:
        """How y is computed, in words."""
        segments, launches = self.forward.segments, len(self.forward.launches)
        if segments == 1:
            return self.way
        return f"{self.way}, {segments} segments of time" + (f" in {launches} launches" if launches > 1 else "")


def compute_dtype(dtype: str) -> str:
    """Return the type that values of `dtype` are computed in."""
    return "float32" if dtype in HALF_DTYPES else dtype


def wide_dtype(dtype: str) -> str:
    """Return the type of carries and sums."""
    return "complex128" if dtype in COMPLEX_DTYPES else "float64"


def value_bytes(problem: Problem) -> int:
    """Return the bytes of a value of y as it is computed."""
    return BYTES[compute_dtype(problem.y_dtype)]


def varies(taps: Taps | None) -> bool:
    """Say whether coefficients change over time."""
    return taps is not None and taps.taps > 0 and taps.time != 1


def dtypes_of(problem: Problem) -> tuple[str, str, str, str]:
    """Return the data types of x, y, feedforward and feedback, as kernels are told of them."""
    b, a = problem.feedforward, problem.feedback
    b_dtype = b.dtype if b is not None else problem.compute_dtype
    a_dtype = a.dtype if a is not None and a.taps else problem.compute_dtype
    return problem.dtype, problem.y_dtype, b_dtype, a_dtype


def types_of(problem: Problem) -> str:
    """Return the same as template arguments."""
    return ",".join(TYPES[dtype] for dtype in dtypes_of(problem))


def blocks_for(items: int) -> int:
    """Return the blocks of a launch: one for each item, as long as there may be so many."""
    return max(min(items, LARGEST_GRID), 1)
