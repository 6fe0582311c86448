"""What a kernel of frames is specialised for, what it is given, and the scratch memory that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from .._code.interface import SIGNAL, Interface
from .._code.numbers import Format

_FRAMES, _PAST = ("batch", "channel", "frame", "tap"), ("batch", "channel", "order")
_CALL = ("counter", "fronts", "offset")
_CONSTANTS = ("items", "length", "channels", "flip", "rows", "hop", "frames", "order")
_TAPS = ("feedback", "gain")
_FORWARD: dict[str, tuple[str, ...]] = dict.fromkeys(("x", "y"), SIGNAL)
_FORWARD |= dict.fromkeys(_TAPS, _FRAMES) | dict.fromkeys(("outputs", "ends"), _PAST)
_BACK: dict[str, tuple[str, ...]] = dict.fromkeys(("x", "y", "grad_y", "grad_x"), SIGNAL)
_BACK |= dict.fromkeys((*_TAPS, *(f"to_{name}" for name in _TAPS)), _FRAMES)
_BACK |= dict.fromkeys(("outputs", "grad_ends", "to_outputs"), _PAST)
FORWARD = Interface(_FORWARD, _CALL, _CONSTANTS, ("values", "slopes", "past"), ())
BACK = Interface(_BACK, _CALL, _CONSTANTS, (*FORWARD.regions[1:], "sums", "sums_after", "left"), ())
MOST_TAPS = 64
PIECE = 512
"""Samples of a frame that are in scratch memory at a time, and whose products are summed in the kernel's precision."""


@dataclass(frozen=True)
class FramesSpec:
    """One specialisation: `side` rows go side by side, with up to as many taps as `vectors` have lanes.

    x and y are of one real type, and `grad_x` is that of x's gradient, if it is wanted.
    """

    vjp: bool
    double: bool
    x: str
    vector_bytes: int
    vectors: int
    side: int
    linear: bool
    gain: bool
    grad_x: str = ""
    grad_feedback: bool = False
    grad_gain: bool = False

    shared: ClassVar[bool] = False
    """Rows of a shared x are read as they are, and its gradients are written row by row."""

    @property
    def emitter(self) -> str:
        return "_frames.vjp" if self.vjp else "_frames.forward"

    @property
    def interface(self) -> Interface:
        return BACK if self.vjp else FORWARD

    @cached_property
    def format(self) -> Format:
        return Format(self.double, False, self.vector_bytes)

    @property
    def lanes(self) -> int:
        return self.vectors * self.format.width

    @cached_property
    def table_bytes(self) -> int:
        """Bytes of a row's coefficients of a frame, by how far they look back, zeros beyond the order."""
        return (2 * self.lanes + self.format.width) * self.format.real_bytes

    @cached_property
    def past_bytes(self) -> int:
        """Bytes of a piece of a row's outputs and those before it."""
        return (self.lanes + PIECE) * self.format.real_bytes

    @cached_property
    def sums_bytes(self) -> int:
        """Bytes of a row's sums of products, and one for its gain."""
        return 8 * (self.lanes + 1)

    def scratch(self) -> dict[str, int]:
        """Return the bytes of every region of scratch memory."""
        sizes = {
            "words": 8 * len(self.interface.words),
            "values": self.side * self.table_bytes,
            "slopes": self.side * self.table_bytes,
            "past": self.side * self.past_bytes,
        }
        if self.vjp:
            sizes |= dict.fromkeys(("sums", "sums_after", "left"), self.side * self.sums_bytes)
        return sizes
