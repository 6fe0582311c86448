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
