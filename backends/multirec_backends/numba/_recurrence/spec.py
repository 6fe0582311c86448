"""What a kernel is specialised for, the words of its arguments, and the scratch memory that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from .._code.interface import SIGNAL, Interface
from .._code.memory import STORAGES
from .._code.numbers import Format
from .._code.stream import LINE, stage_bytes

TILE = 64
"""Samples in a tile: three tiles of rows lie in the first-level cache together."""
MARKS_BYTES = 64 + 3 * 8 * TILE
"""Where sequences begin and end in a tile: see `marks`."""
DIRECT = 2
"""Taps up to which signals are read where they are, in the gradient of `_scalar`; else several products are written
at once."""
UNROLL = 4
"""Samples processed by one turn of a loop; tiles are rounded up to it."""

_SIGNALS = ("x", "y", "inputs", "outputs", "ends", "grad_y", "grad_last", "grad_x", "grad_inputs", "grad_outputs")
_TAPS = ("feedforward", "feedback", "grad_feedforward", "grad_feedback")
_ARRAYS = dict.fromkeys(_SIGNALS, SIGNAL) | dict.fromkeys(_TAPS, (*SIGNAL, "tap"))
_CALL = ("counter", "fronts", "last_steps", "grad_shared", "grad_shared_row")
_CONSTANTS = (
    *("items", "length", "batch", "channels", "span", "rows", "blocks", "run", "order", "input_order"),
    *("kept_bytes", "large", "flip"),
)
_TURN = ("offsets_any", "x", "y", "g", "b", "a", "out_b", "out_a", "stage")
_KEPT = (
    *("offsets_x", "offsets_y", "offsets_g", "offsets_b", "offsets_a"),
    *("offsets_grad_x", "offsets_grad_b", "offsets_grad_a", "carry", "carry_b", "carry_a"),
    *("steady_b", "steady_a", "later_b", "later_a", "past_x", "past_y", "lam", "gx", "last", "sum_b", "sum_a"),
)
INTERFACE = Interface(_ARRAYS, _CALL, _CONSTANTS, _TURN, _KEPT)
SEQUENCES = Interface(
    _ARRAYS | {"numbers": SIGNAL},
    _CALL,
    _CONSTANTS,
    (*_TURN, "marks", "out", "aside_x", "aside_y"),
    (*_KEPT, "flags", "state_x", "state_y", "final_x", "final_y", "owed"),
)
"""The same for several sequences in one row of time."""
SWEPT = Interface(
    _ARRAYS,
    _CALL,
    ("items", "length", "batch", "channels", "examples", "lanes", "large", "flip"),
    ("words", "past_x", "past_y", "steady_feedforward", "steady_feedback", "lam", "last", "flat"),
    (),
)
"""For rows of time as they lie in memory: see `_sweep`."""
SCALAR = Interface(
    _ARRAYS,
    _CALL,
    ("items", "length", "batch", "channels", "flip"),
    (
        *("words", "past_x", "past_y", "steady_feedforward", "steady_feedback"),
        *("last", "pending", "flat", "g", "x", "y", "sums"),
    ),
    (),
)
"""For a few rows side by side: see `_scalar`."""


@dataclass(frozen=True)
class Spec:
    """One specialisation. Orders of None are read at run time."""

    vjp: bool
    double: bool
    x: str
    y: str
    feedforward: str | None
    feedback: str | None
    input_order: int | None
    order: int | None
    shared: bool
    feedforward_varies: bool
    feedback_varies: bool
    vector_bytes: int
    grad_x: bool = False
    grad_inputs: bool = False
    grad_feedforward: bool = False
    grad_feedback: bool = False
    along_time: bool = False
    """Whether vectors are samples of one row, in a kernel of `_fir.emit`."""
    swept: bool = False
    """Whether rows of time are taken as they lie in memory, in the kernels of `_sweep`."""
    side: int = 0
    """How many vectors of rows go side by side in the kernels of `_scalar`; 0 is another kernel."""
    neighbours: int = 1
    """How many rows are a vector there, since they are neighbours in memory."""
    sequences: bool = False
    counted: bool = False
    """Whether a row of time has several sequences, and whether each has a state of its own."""

    @property
    def emitter(self) -> str:
        """The module that writes the kernel."""
        if self.along_time:
            return "_fir.emit"
        others = ((self.swept, "_sweep"), (self.side, "_scalar"), (self.sequences, "_sequences"))
        room = next((room for chosen, room in others if chosen), "_recurrence")
        return f"{room}.vjp" if self.vjp else f"{room}.forward"

    @property
    def interface(self) -> Interface:
        others = ((self.swept, SWEPT), (self.side, SCALAR), (self.sequences, SEQUENCES))
        return next((interface for chosen, interface in others if chosen), INTERFACE)

    @cached_property
    def format(self) -> Format:
        return Format(self.double, self.y.startswith("complex"), self.vector_bytes)

    @property
    def in_registers(self) -> bool:
        """Whether the gradient keeps its history in registers."""
        return self.order is not None and self.input_order is not None

    @property
    def one_example(self) -> bool:
        """Whether the lanes of a group must end their sequences together: see `_sequences.vjp_memory`."""
        products = (self.grad_feedforward and self.feedforward_varies, self.grad_feedback and self.feedback_varies)
        return self.sequences and not self.in_registers and any(products)

    @cached_property
    def compute(self) -> str:
        """The storage of what is handed over in the precision computed in, such as past outputs."""
        return self.format.storage

    @cached_property
    def compute_x(self) -> str:
        """The same, for gradients of a signal of x's kind."""
        return self.compute if self.x.startswith("complex") else f"float{8 * self.format.real_bytes}"

    def swept_scratch(self, channels: int) -> dict[str, int]:
        """Return the bytes of every region that a swept item of so many channels has."""
        assert self.order is not None
        assert self.input_order is not None
        fmt, p, q = self.format, self.order, self.input_order
        counts = {"past_x": q, "past_y": p, "steady_feedforward": q + 1, "steady_feedback": p}
        counts |= {"lam": max(p, q), "last": p, "flat": 1} if self.vjp else {}
        one = channels * fmt.parts * fmt.real_bytes
        return {"words": 8 * len(self.interface.words)} | {name: one * count for name, count in counts.items()}

    def scalar_counts(self) -> dict[str, int]:
        """Return how many numbers of a row every region of the kernels of `_scalar` has."""
        assert self.order is not None
        assert self.input_order is not None
        p, q = self.order, self.input_order
        chunk = TILE if max(p, q) > DIRECT else DIRECT
        counts = {"past_x": q, "past_y": p, "steady_feedforward": q + 1, "steady_feedback": p}
        backward = {"last": p, "pending": p, "flat": 1, "g": chunk, "x": chunk + q, "y": chunk + p, "sums": 2}
        return counts | (backward if self.vjp else {})

    def scalar_scratch(self) -> dict[str, int]:
        """Return the bytes of every such region."""
        one = self.side * self.neighbours * self.format.parts * self.format.real_bytes
        return {"words": 8 * len(self.interface.words)} | {n: one * count for n, count in self.scalar_counts().items()}

    def scratch(self, order: int, input_order: int) -> tuple[dict[str, int], dict[str, int]]:
        """Return the bytes of every region of scratch memory: in turn, and kept by each group."""
        fmt, history = self.format, max(order, input_order)
        row, table = fmt.row_bytes, 8 * (fmt.lanes + 1)
        one = fmt.parts * fmt.real_bytes if self.shared else row
        doubles = fmt.lanes * fmt.parts * 8
        deep = history + TILE + fmt.width
        later = history if self.vjp and self.in_registers else 0

        def varying(count: int, varies: bool) -> int:
            return row * count * (TILE + later) if varies else 0

        def products(count: int, varies: bool) -> int:
            return row * (count * TILE if self.in_registers else deep) if varies else 0

        def steady(count: int, varies: bool) -> int:
            return 0 if varies else row * (count + UNROLL + fmt.width)

        turn = {
            "words": 8 * len(self.interface.words),
            "offsets_any": table,
            "x": one * deep,
            "y": row * (deep + UNROLL),
            "b": varying(input_order + 1, self.feedforward_varies),
            "a": varying(order, self.feedback_varies),
            "stage": max(stage_bytes(fmt, STORAGES[name], TILE) for name in (self.x, self.y, self.compute)),
        }
        kept = dict.fromkeys(("offsets_x", "offsets_y", "offsets_g", "offsets_b", "offsets_a"), table)
        kept |= {
            "carry": fmt.lanes * LINE,
            "past_x": one * (input_order + fmt.width),
            "past_y": row * (order + UNROLL + fmt.width),
            "steady_b": steady(input_order + 1, self.feedforward_varies),
            "steady_a": steady(order, self.feedback_varies),
        }
        if self.vjp:
            turn |= {"g": row * TILE}
            kept |= {"carry_b": kept["carry"] * (input_order + 1), "carry_a": kept["carry"] * order}
            turn |= {"out_b": products(input_order + 1, self.feedforward_varies)}
            turn |= {"out_a": products(order, self.feedback_varies)}
            kept |= dict.fromkeys(("offsets_grad_x", "offsets_grad_b", "offsets_grad_a"), table)
            kept |= {
                "later_b": row * (input_order + 1) * later if self.feedforward_varies else 0,
                "later_a": row * order * later if self.feedback_varies else 0,
                "lam": row * (deep + history),
                "gx": row * deep,
                "last": row * (order + fmt.width),
                "sum_b": doubles * (input_order + 1),
                "sum_a": doubles * order,
            }
        if self.sequences:
            past_x, past_y = kept["past_x"], kept["past_y"]
            turn |= {"marks": MARKS_BYTES, "out": row * (TILE + UNROLL), "aside_x": past_x, "aside_y": past_y}
            kept |= {"flags": LINE, "state_x": past_x, "state_y": past_y, "final_y": past_y}
            kept |= {"final_x": row * (input_order + fmt.width), "owed": row * (2 * order + fmt.width)}
        return turn, kept
