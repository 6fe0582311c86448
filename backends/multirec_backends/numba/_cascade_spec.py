"""What a kernel of second-order sections is specialised for, what it is given, and the scratch memory that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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
FORWARD = Interface(
    arrays={"x": SIGNAL, "y": SIGNAL} | dict.fromkeys(("taps", "memory", "to_memory", "ends"), _ROWS),
    call=("counter", "fronts"),
    constants=(
        *("items", "length", "batch", "channels", "span", "rows", "blocks", "run", "sections"),
        *("kept_bytes", "large", "flip"),
    ),
    turn=("offsets_any", "x", "y", "stage"),
    kept=("offsets_x", "offsets_y", "carry", "taps", "memory", "ends"),
)


@dataclass(frozen=True)
class CascadeSpec:
    """One specialisation; the number of sections is read at run time."""

    double: bool
    x: str
    y: str
    taps: str
    shared: bool
    vector_bytes: int

    @property
    def interface(self) -> Interface:
        return FORWARD

    @cached_property
    def format(self) -> Format:
        return Format(self.double, self.y.startswith("complex"), self.vector_bytes)

    @cached_property
    def compute(self) -> str:
        """The storage of memories and ends: in the precision computed in."""
        kind = "complex" if self.format.is_complex else "float"
        return f"{kind}{8 * self.format.parts * self.format.real_bytes}"

    def scratch(self, sections: int) -> tuple[dict[str, int], dict[str, int]]:
        """Return the bytes of every region of scratch memory: in turn, and kept by each group."""
        fmt = self.format
        row, table, spare = fmt.row_bytes, 8 * (fmt.lanes + 1), UNROLL + fmt.width
        one = fmt.parts * fmt.real_bytes if self.shared else 0
        turn = {
            "words": 8 * len(self.interface.words),
            "offsets_any": table,
            "x": one * (TILE + fmt.width),
            "y": row * (TILE + fmt.width),
            "stage": max(stage_bytes(fmt, STORAGES[name], TILE) for name in (self.x, self.y)),
        }
        kept = {
            "offsets_x": table,
            "offsets_y": table,
            "carry": fmt.lanes * LINE,
            "taps": row * (TAPS * sections + spare),
            "memory": row * (ORDER * sections + spare),
            "ends": row * (ORDER * sections + spare),
        }
        return turn, kept
