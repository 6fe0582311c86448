"""What a kernel of second-order sections is specialised for, what it is given, and the scratch memory that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from ._interface import SIGNAL, Interface
from ._memory import STORAGES
from ._numbers import Format
from ._spec import TILE, UNROLL
from ._stream import LINE, stage_bytes

TAPS = 5
"""Coefficients of a section: three of the feedforward, two of the feedback."""
ORDER = 2
_ROWS = ("batch", "channel", "row")
"""The axes of what every section has: coefficients or memory, section by section."""
_CONSTANTS = (
    *("items", "length", "batch", "channels", "span", "rows", "blocks", "run", "sections"),
    *("kept_bytes", "large", "flip"),
)
_KEPT = ("offsets_x", "offsets_y", "carry", "taps", "memory", "ends")
FORWARD = Interface(
    arrays={"x": SIGNAL, "y": SIGNAL} | dict.fromkeys(("taps", "memory", "to_memory", "ends"), _ROWS),
    call=("counter", "fronts"),
    constants=_CONSTANTS,
    turn=("offsets_any", "x", "y", "stage"),
    kept=_KEPT,
)
GRADIENT = Interface(
    arrays=dict.fromkeys(("x", "grad_y", "grad_x"), SIGNAL)
    | dict.fromkeys(("taps", "memory", "grad_memory", "grad_ends", "to_taps", "to_memory"), _ROWS),
    call=("counter", "fronts", "grad_shared", "grad_shared_row"),
    constants=(*_CONSTANTS, "stretch"),
    turn=("offsets_any", "x", "signals", "g", "stage"),
    kept=(*_KEPT, "offsets_grad_x", "lam", "sum_taps", "starts", "stretch_starts"),
)
WAVE = Interface(
    arrays=FORWARD.arrays,
    call=("counter", "fronts"),
    constants=("items", "length", "channels", "sections", "large", "flip"),
    turn=("taps", "memory", "ends", "buffer"),
    kept=(),
)
_CHUNK = 1 << 15
"""Bytes of a row that lie in the first-level cache while they go through the sections."""
_MOST_VECTORS = 4


@dataclass(frozen=True)
class CascadeSpec:
    """One specialisation; the number of sections is read at run time."""

    vjp: bool
    double: bool
    x: str
    y: str
    taps: str
    shared: bool
    vector_bytes: int
    grad_x: bool = False
    grad_taps: bool = False

    @property
    def interface(self) -> Interface:
        return GRADIENT if self.vjp else FORWARD

    @cached_property
    def format(self) -> Format:
        return Format(self.double, self.y.startswith("complex"), self.vector_bytes)

    @cached_property
    def compute(self) -> str:
        """The storage of memories and ends: in the precision computed in."""
        kind = "complex" if self.format.is_complex else "float"
        return f"{kind}{8 * self.format.parts * self.format.real_bytes}"

    def scratch(self, sections: int, stretch: int, stretches: int) -> tuple[dict[str, int], dict[str, int]]:
        """Return the bytes of every region of scratch memory: in turn, and kept by each group."""
        fmt = self.format
        row, table, spare = fmt.row_bytes, 8 * (fmt.lanes + 1), UNROLL + fmt.width
        delays = row * (ORDER * sections + spare)
        tile = row * (TILE + fmt.width)
        turn = {
            "words": 8 * len(self.interface.words),
            "offsets_any": table,
            "x": fmt.parts * fmt.real_bytes * TILE if self.shared else 0,
            "stage": max(stage_bytes(fmt, STORAGES[name], TILE) for name in (self.x, self.y)),
        }
        kept = dict.fromkeys(("offsets_x", "offsets_y", "offsets_grad_x"), table)
        kept |= {"carry": fmt.lanes * LINE, "taps": row * (TAPS * sections + spare), "memory": delays, "ends": delays}
        if not self.vjp:
            return turn | {"y": tile}, kept
        turn |= {"g": tile, "signals": tile + row * TILE * sections}
        kept |= {
            "lam": delays,
            "sum_taps": fmt.lanes * fmt.parts * 8 * TAPS * sections,
            "starts": row * ORDER * sections * stretch,
            "stretch_starts": row * ORDER * sections * stretches,
        }
        return turn, kept


@dataclass(frozen=True)
class WaveFormat(Format):
    """Lanes that are the sections of one row, in `vectors` vectors."""

    vectors: int

    @property
    def groups(self) -> int:
        return self.vectors


@dataclass(frozen=True)
class WaveSpec:
    """One specialisation for few rows, whose sections are lanes in `vectors` vectors, or in several blocks of them."""

    double: bool
    x: str
    y: str
    taps: str
    vector_bytes: int
    vectors: int

    interface: ClassVar[Interface] = WAVE
    shared: ClassVar[bool] = False
    """Rows of a shared x are read as they are."""

    @cached_property
    def format(self) -> Format:
        return WaveFormat(self.double, self.y.startswith("complex"), self.vector_bytes, self.vectors)

    @cached_property
    def compute(self) -> str:
        """The storage of memories and ends: in the precision computed in."""
        kind = "complex" if self.format.is_complex else "float"
        return f"{kind}{8 * self.format.parts * self.format.real_bytes}"

    @cached_property
    def chunk(self) -> int:
        """Samples of a row that are in scratch memory at a time."""
        return _CHUNK // (self.format.parts * self.format.real_bytes)

    def scratch(self, sections: int) -> dict[str, int]:
        """Return the bytes of every region of scratch memory."""
        fmt = self.format
        row, blocks = fmt.row_bytes, -(-sections // fmt.lanes)
        return {
            "words": 8 * len(WAVE.words),
            "taps": row * TAPS * blocks,
            "memory": row * ORDER * blocks,
            "ends": row * ORDER * blocks,
            # lanes that have no sample yet, or none left, read and write beyond the ends
            "buffer": (self.chunk + 4 * fmt.lanes + fmt.width) * fmt.parts * fmt.real_bytes,
        }


def wave_vectors(sections: int, double: bool, vector_bytes: int) -> int:
    """Return how many vectors the sections of a row take, or a block of them."""
    width = vector_bytes // (8 if double else 4)
    return min(-(-sections // width), _MOST_VECTORS)
