"""What a kernel of second-order sections is specialised for, what it is given, and the scratch memory that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from .._code.interface import SIGNAL, Interface
from .._code.memory import STORAGES
from .._code.numbers import Format
from .._code.stream import LINE, stage_bytes
from .._recurrence.spec import TILE, UNROLL

TAPS = 5
"""Coefficients of a section: three of the feedforward, two of the feedback."""
ORDER = 2
_EACH = ("batch", "channel", "section", "order")
"""The axes of what every section has: coefficients, memory, or ends."""
_ALL = ("items", "length", "channels", "sections", "large", "flip")
_GROUPS = (*_ALL, "batch", "span", "rows", "blocks", "run", "kept_bytes")
_KEPT = ("offsets_x", "offsets_y", "carry", "taps", "memory", "ends")
_CALL, _CALL_BACK = ("counter", "fronts"), ("counter", "fronts", "grad_shared", "grad_shared_row")
_FORWARD: dict[str, tuple[str, ...]] = dict.fromkeys(("x", "y"), SIGNAL)
_FORWARD |= dict.fromkeys(("taps", "memory", "to_memory", "ends"), _EACH)
_BACK: dict[str, tuple[str, ...]] = dict.fromkeys(("x", "grad_y", "grad_x"), SIGNAL)
_BACK |= dict.fromkeys(("taps", "memory", "grad_memory", "grad_ends", "to_taps", "to_memory"), _EACH)
LANES = Interface(_FORWARD, _CALL, _GROUPS, ("offsets_any", "x", "y", "stage"), _KEPT)
LANES_BACK = Interface(
    arrays=_BACK,
    call=_CALL_BACK,
    constants=(*_GROUPS, "stretch"),
    turn=("offsets_any", "x", "signals", "g", "stage"),
    kept=(*_KEPT, "offsets_grad_x", "lam", "sum_taps", "starts", "stretch_starts"),
)
WAVE = Interface(_FORWARD, _CALL, _ALL, ("taps", "memory", "ends", "buffer"), ())
WAVE_BACK = Interface(
    arrays=_BACK,
    call=_CALL_BACK,
    constants=(*_ALL, "stretch"),
    turn=(*WAVE.regions[1:], "lam", "sum_taps", "inputs", "outputs", "starts", "stretch_starts"),
    kept=(),
)
LAG = 2
"""Steps by which a section is behind the one before it: what moves on to it is not waited for."""
_CHUNK, _CHUNK_BACK = 1 << 15, 512
"""Bytes of a row that go through the sections at a time, in the first-level cache; samples of one, on the way back."""
MOST_VECTORS = 4
"""Vectors that the sections of a row are in at a time."""


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
    def emitter(self) -> str:
        return "_cascade.vjp" if self.vjp else "_cascade.forward"

    @property
    def interface(self) -> Interface:
        return LANES_BACK if self.vjp else LANES

    @cached_property
    def format(self) -> Format:
        return Format(self.double, self.y.startswith("complex"), self.vector_bytes)

    @property
    def compute(self) -> str:
        """The storage of memories and ends: in the precision computed in."""
        return self.format.storage

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
    """Lanes that are the sections of `side` rows, `vectors` vectors for each."""

    vectors: int
    side: int

    @property
    def groups(self) -> int:
        return self.vectors * self.side


@dataclass(frozen=True)
class WaveSpec:
    """One specialisation for few rows, `side` of them side by side, their sections lanes in `vectors` vectors.

    More sections than lanes take several blocks of them. `grad_x` is the data type of x's gradient, if that is wanted.
    """

    vjp: bool
    double: bool
    x: str
    y: str
    taps: str
    vector_bytes: int
    vectors: int
    side: int
    grad_x: str = ""
    grad_taps: bool = False

    shared: ClassVar[bool] = False
    """Rows of a shared x are read as they are, and its gradients are written row by row."""

    @property
    def emitter(self) -> str:
        return "_cascade.wave_vjp" if self.vjp else "_cascade.wave"

    @property
    def interface(self) -> Interface:
        return WAVE_BACK if self.vjp else WAVE

    @cached_property
    def format(self) -> Format:
        return WaveFormat(self.double, self.y.startswith("complex"), self.vector_bytes, self.vectors, self.side)

    @cached_property
    def lanes(self) -> int:
        """Lanes of one row."""
        return self.vectors * self.format.width

    @property
    def compute(self) -> str:
        """The storage of memories and ends: in the precision computed in."""
        return self.format.storage

    @cached_property
    def chunk(self) -> int:
        """Samples of a row that are in scratch memory at a time."""
        return _CHUNK_BACK if self.vjp else _CHUNK // (self.format.parts * self.format.real_bytes)

    def delay_bytes(self, sections: int) -> int:
        """Return the bytes of what every section has two of."""
        return self.format.row_bytes * ORDER * -(-sections // self.lanes)

    @cached_property
    def record_rows(self) -> int:
        """Steps that a chunk takes at most."""
        return self.chunk + LAG * self.lanes

    @cached_property
    def buffer_bytes(self) -> int:
        """Bytes for a chunk of one row; lanes that have no sample yet, or none left, read and write beyond its ends."""
        fmt = self.format
        return (self.chunk + 2 * LAG * self.lanes + fmt.width) * fmt.parts * fmt.real_bytes

    def scratch(self, sections: int, stretch: int, stretches: int) -> dict[str, int]:
        """Return the bytes of every region of scratch memory."""
        fmt = self.format
        row, blocks = fmt.row_bytes, -(-sections // self.lanes)
        delays, records = self.delay_bytes(sections), row * blocks * self.record_rows
        sizes = {
            "words": 8 * len(self.interface.words),
            "taps": row * TAPS * blocks,
            "memory": delays,
            "ends": delays,
            "buffer": self.side * self.buffer_bytes,
        }
        if self.vjp:
            sizes |= {
                "lam": delays,
                "sum_taps": fmt.lanes * fmt.parts * 8 * TAPS * blocks,
                "inputs": records,
                "outputs": records if self.grad_taps else 0,
                "starts": delays * stretch,
                "stretch_starts": delays * stretches,
            }
        return sizes
