"""What every kernel shares: its specialisation, its arguments, its scratch memory, and the walk over groups of lanes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from llvmlite import ir

from ._emit import I32, I64, PTR, Format, Function, Int, Ptr, SharedTile, Tile
from ._tiles import STORAGES, Storage, Tiles

TILE = 64
"""Samples in a tile: three tiles of rows lie in the first-level cache together."""
UNROLL = 4
"""Samples processed by one turn of a loop; tiles are rounded up to it."""

_SIGNALS = ("x", "y", "inputs", "outputs", "grad_y", "grad_last", "grad_x", "grad_inputs", "grad_outputs")
_TAPS = ("feedforward", "feedback", "grad_feedforward", "grad_feedback")
REGIONS = (
    "offsets_x", "offsets_y", "offsets_g", "offsets_any", "b", "a", "x", "y", "g", "lam", "gx", "last", "sum_b", "sum_a", "out_b", "out_a",
)  # fmt: skip
FIELDS = (
    *("counter", "items", "length", "batch", "channels", "span", "rows", "blocks", "run", "order", "input_order"),
    *("last_steps", "grad_shared", "grad_shared_row"),
    *(f"{name}_{part}" for name in _SIGNALS for part in ("at", "batch", "channel", "time")),
    *(f"{name}_{part}" for name in _TAPS for part in ("at", "batch", "channel", "time", "tap")),
    *(f"at_{name}" for name in REGIONS),
)
"""The words of the argument block, in order. `_at` is an address, the rest of a signal's words are byte strides."""
FIELD = {name: index for index, name in enumerate(FIELDS)}


@dataclass(frozen=True)
class Spec:
    """One specialisation. Orders of None are read at run time."""

    vjp: bool
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
    grad_taps: bool = False

    @cached_property
    def format(self) -> Format:
        return Format(self.y in ("float64", "complex128"), self.y.startswith("complex"), self.vector_bytes)

    @property
    def compute(self) -> str:
        """The storage of results that are handed back in the precision computed in."""
        kind = "complex" if self.format.is_complex else "float"
        return f"{kind}{8 * self.format.parts * self.format.real_bytes}"

    @property
    def compute_x(self) -> str:
        """The same, for gradients of a signal of x's kind."""
        return self.compute if self.x.startswith("complex") else f"float{8 * self.format.real_bytes}"

    def scratch(self, order: int, input_order: int) -> dict[str, int]:
        """Return the bytes of every region of a thread's scratch memory."""
        fmt, history = self.format, max(order, input_order)
        row, table = fmt.row_bytes, 8 * (fmt.lanes + 1)
        one = fmt.parts * fmt.real_bytes if self.shared else row

        def taps(count: int, varies: bool) -> int:
            return row * (count * TILE if varies else count + UNROLL + fmt.width)

        deep = history + TILE + fmt.width
        sizes = dict.fromkeys(("offsets_x", "offsets_y", "offsets_g", "offsets_any"), table)
        sizes |= {
            "b": taps(input_order + 1, self.feedforward_varies),
            "a": taps(order, self.feedback_varies),
            "x": one * deep,
            "y": row * (deep + UNROLL),
        }
        if self.vjp:
            doubles = fmt.lanes * fmt.parts * 8
            sizes |= {
                "g": row * TILE,
                "lam": row * (deep + history),
                "gx": row * deep,
                "last": row * (order + fmt.width),
                "sum_b": doubles * (input_order + 1),
                "sum_a": doubles * order,
                "out_b": row * deep if self.feedforward_varies else 0,
                "out_a": row * deep if self.feedback_varies else 0,
            }
        return sizes


class Frame:
    """A kernel under construction: `kernel(arguments, scratch)`."""

    def __init__(self, module: ir.Module, name: str, spec: Spec) -> None:
        self.spec, self.fmt = spec, spec.format
        self.tiles = Tiles(module, self.fmt)
        self.f = Function(module, name, [PTR, PTR], public=True)
        self.arguments, self.scratch = self.f.arguments
        self.p = self.f.int(self.word("order") if spec.order is None else spec.order)
        self.q = self.f.int(self.word("input_order") if spec.input_order is None else spec.input_order)
        self.length = self.word("length")

    def word(self, name: str) -> Int:
        return (self.arguments + 8 * FIELD[name]).int()

    def pointer(self, name: str) -> Ptr:
        return Ptr(self.f, (self.arguments + 8 * FIELD[f"{name}_at"]).load(PTR))

    def region(self, name: str) -> Ptr:
        return self.scratch + self.word(f"at_{name}")

    def tile(self, name: str) -> Tile:
        kind = SharedTile if name == "x" and self.spec.shared else Tile
        return kind(self.f, self.fmt, self.region(name))

    def storage(self, name: str) -> Storage:
        return STORAGES[name]

    @contextmanager
    def groups(self) -> Iterator[Group]:
        """Take items off the shared counter, and visit every group of lanes of each."""
        f = self.f
        with flushed_subnormals(f):
            items, blocks, run = self.word("items"), self.word("blocks"), self.word("run")
            per_block = (blocks + run - 1) // f.maximum(run, 1)
            item = f.variable(I64)
            counter = self.f.b.bitcast(self.pointer_to("counter").v, I64.as_pointer())
            head, body, after = (f.b.append_basic_block(name) for name in ("take", "item", "done"))
            f.b.branch(head)
            f.b.position_at_end(head)
            item.store(f.b.atomic_rmw("add", counter, ir.Constant(I64, 1), "monotonic"))
            f.b.cbranch((item.int() < items).v, body, after)
            f.b.position_at_end(body)
            block = item.int() // per_block
            part = item.int() - block * per_block
            with f.loop(part * run, f.minimum(part * run + run, blocks)) as index:
                first = index * self.word("rows")
                lanes = f.minimum(self.word("rows"), self.word("span") - first)
                yield Group(self, block, part, index.equals(part * run), block * self.word("span") + first, lanes)
            f.b.branch(head)
            f.b.position_at_end(after)
        f.finish()

    def pointer_to(self, field: str) -> Ptr:
        """The word `field` names, as an address: the counter lives outside the block that threads only read."""
        return Ptr(self.f, (self.arguments + 8 * FIELD[field]).load(PTR))


class Group:
    """The lanes that are processed together, and their way to memory."""

    def __init__(self, frame: Frame, block: Int, part: Int, leads: Int, first: Int, lanes: Int) -> None:
        self.frame, self.f = frame, frame.f
        self.block, self.part, self.leads, self.first, self.lanes = block, part, leads, first, lanes

    def offsets(self, table: str, name: str, storage: str, *, channels: str = "channels") -> Ptr:
        """Fill a table with where the lanes of the signal or coefficients `name` start."""
        frame = self.frame
        pointer = frame.region(table)
        strides = (frame.word(f"{name}_batch"), frame.word(f"{name}_channel"))
        function = frame.tiles.offsets(STORAGES[storage])
        self.f.call(function, pointer, self.first, self.lanes, frame.word(channels), *strides)
        return pointer

    def load(
        self, tile: Tile, name: str, storage: str, offsets: Ptr, start: Int | int, steps: Int | int, *, tap: Int | int | None = None
    ) -> None:
        source, stride = self._place(name, start, tap)
        function = self.frame.tiles.load(STORAGES[storage])
        self.f.call(function, tile.base, source, stride, offsets, self.lanes, self.f.int(steps))

    def store(
        self, tile: Tile, name: str, storage: str, offsets: Ptr, start: Int | int, steps: Int | int, *, tap: Int | int | None = None
    ) -> None:
        target, stride = self._place(name, start, tap)
        function = self.frame.tiles.store(STORAGES[storage])
        self.f.call(function, tile.base, target, stride, offsets, self.lanes, self.f.int(steps))

    def load_x(self, tile: Tile, name: str, offsets: Ptr, start: Int | int, steps: Int | int) -> None:
        """Load a signal of x's channels: every lane's own, or the one number that serves them all."""
        if not self.frame.spec.shared:
            self.load(tile, name, self.frame.spec.x, offsets, start, steps)
            return
        source, stride = self._place(name, start, None)
        function = self.frame.tiles.load_shared(STORAGES[self.frame.spec.x])
        self.f.call(function, tile.base, source + offsets.int(), stride, self.f.int(steps))

    def load_taps(self, tile: Tile, name: str, storage: str, count: Int) -> None:
        """Load coefficients that do not change along time: one row a tap, zeros for a few rows more."""
        frame = self.frame
        offsets = self.offsets("offsets_any", name, storage)
        self.f.zero(tile.base, (count + UNROLL) * frame.fmt.row_bytes)
        function = frame.tiles.load(STORAGES[storage])
        self.f.call(function, tile.base, frame.pointer(name), frame.word(f"{name}_tap"), offsets, self.lanes, count)

    def _place(self, name: str, start: Int | int, tap: Int | int | None) -> tuple[Ptr, Int]:
        frame = self.frame
        stride = frame.word(f"{name}_time")
        place = frame.pointer(name) + self.f.int(start) * stride
        if tap is not None:
            place = place + self.f.int(tap) * frame.word(f"{name}_tap")
        return place, stride


@contextmanager
def flushed_subnormals(f: Function) -> Iterator[None]:
    """Flush subnormal numbers to zero while the kernel runs: decaying tails cost what noise costs."""
    if not f.module.triple.startswith("x86_64"):
        yield
        return
    saved, changed = f.variable(I32), f.variable(I32)
    f.intrinsic_void("llvm.x86.sse.stmxcsr", [saved.v])
    changed.store(f.b.or_(saved.load(I32), ir.Constant(I32, 0x8040)))
    f.intrinsic_void("llvm.x86.sse.ldmxcsr", [changed.v])
    yield
    f.intrinsic_void("llvm.x86.sse.ldmxcsr", [saved.v])
