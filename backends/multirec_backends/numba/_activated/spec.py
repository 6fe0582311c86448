"""What a kernel with an activation inside is specialised for and given, and the scratch memory that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from .._code.interface import SIGNAL, Interface
from .._code.memory import STORAGES
from .._code.numbers import Format
from .._code.stream import LINE, stage_bytes
from .._recurrence.spec import TILE, UNROLL

MOST_SIGNALS, MOST_PARAMETERS = 4, 2
_SIGNALS = tuple(f"signal_{index}" for index in range(MOST_SIGNALS))
_PARAMETERS = tuple(f"parameter_{index}" for index in range(MOST_PARAMETERS))
_GRADIENTS = tuple(f"to_signal_{index}" for index in range(MOST_SIGNALS))
_ARRAYS: dict[str, tuple[str, ...]] = dict.fromkeys((*_SIGNALS, "state", "starts", "codes", "numbers"), SIGNAL)
_ARRAYS |= dict.fromkeys(_PARAMETERS, ("batch", "channel", "tap"))
_FORWARD = _ARRAYS | dict.fromkeys(("y", "last"), SIGNAL)
_BACK = _ARRAYS | dict.fromkeys(("grad_y", "grad_last", *_GRADIENTS, "to_state"), SIGNAL)
_BACK["to_parameters"] = ("batch", "channel", "tap")
_CALL = ("counter", "fronts")
_CONSTANTS = (
    *("items", "length", "batch", "channels", "span", "rows", "blocks", "run", "kept_bytes", "large", "flip", "scale"),
)
_TURN = ("offsets_any", *_SIGNALS, "y", "saved", "codes", "stage")
_KEPT = (
    *("offsets_codes", "offsets_starts", "offsets_y", *(f"offsets_{name}" for name in _SIGNALS)),
    *("carry", "parameters", "state"),
)
FORWARD = Interface(_FORWARD, _CALL, _CONSTANTS, _TURN, _KEPT)
BACK = Interface(
    arrays=_BACK,
    call=_CALL,
    constants=_CONSTANTS,
    turn=_TURN,
    kept=(*_KEPT, *(f"offsets_{name}" for name in _GRADIENTS), "carries", "lam", "sum_parameters"),
)


@dataclass(frozen=True)
class ActivatedSpec:
    """One specialisation.

    `sequences` is "" where a row is one; "examples" where codes say of each sample whether it begins a sequence (1), is
    none (-1), or neither (0); "states" where besides each sequence has a state of its own. `together` says that the
    lanes of a group are of one example.
    """

    vjp: bool
    kind: str
    activation: str
    order: int
    double: bool
    signals: tuple[str, ...]
    parameters: tuple[int, ...]
    """How many numbers each parameter has."""
    sequences: str
    together: bool
    vector_bytes: int
    ahead: int
    """How many samples ahead of time signals are asked for."""
    to_signals: tuple[bool, ...] = ()
    to_parameters: bool = False

    shared: ClassVar[bool] = False

    @property
    def emitter(self) -> str:
        return "_activated.vjp" if self.vjp else "_activated.forward"

    @property
    def interface(self) -> Interface:
        return BACK if self.vjp else FORWARD

    @property
    def x(self) -> str:
        """The data type of x, which y has, too."""
        return self.signals[0]

    @cached_property
    def format(self) -> Format:
        return Format(self.double, False, self.vector_bytes)

    @property
    def compute(self) -> str:
        """The storage of states."""
        return self.format.storage

    @property
    def saved(self) -> int:
        """How many numbers of a step are saved for its adjoint: the state before it, and what it saves itself."""
        return self.order + {"independent": 1, "sru": 3, "envelope": 0}[self.kind]

    def scratch(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the bytes of every region of scratch memory: in turn, and kept by each group."""
        fmt = self.format
        row, table = fmt.row_bytes, 8 * (fmt.lanes + 1)
        tile, spare = row * (TILE + fmt.width), UNROLL + fmt.width
        count = len(self.signals)
        turn = {
            "words": 8 * len(self.interface.words),
            "offsets_any": table,
            **dict.fromkeys(_SIGNALS[:count], tile),
            "y": tile,
            "saved": row * TILE * self.saved if self.vjp else 0,
            "codes": tile if self.sequences else 0,
            "stage": max(stage_bytes(fmt, STORAGES[name], TILE) for name in self.signals),
        }
        tables = ("codes", "starts", "y", *_SIGNALS[:count])
        kept = dict.fromkeys((f"offsets_{name}" for name in tables), table)
        kept |= {
            "carry": fmt.lanes * LINE,
            "parameters": row * (sum(self.parameters) + spare),
            "state": row * (self.order + spare),
        }
        if self.vjp:
            kept |= dict.fromkeys((f"offsets_{name}" for name in _GRADIENTS[:count]), table)
            kept |= {
                "carries": fmt.lanes * LINE * count,
                "lam": row * (self.order + spare),
                "sum_parameters": fmt.lanes * 8 * sum(self.parameters),
            }
        return turn, kept
