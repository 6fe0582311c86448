"""What every kernel shares: its way to arguments and scratch memory, and the walk over time and groups of lanes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias

from llvmlite import ir

from .._recurrence.spec import TILE, UNROLL, Spec
from .emit import I32, I64, PTR, Function, Int, Ptr
from .headers import unpack
from .interface import Interface
from .memory import STORAGES
from .numbers import Format, SharedTile, Tile
from .stream import LINE
from .tiles import Tiles


class Kind(Protocol):
    """What a frame asks of a specialisation."""

    @property
    def interface(self) -> Interface: ...
    @property
    def format(self) -> Format: ...
    @property
    def x(self) -> str: ...
    @property
    def shared(self) -> bool: ...


Each: TypeAlias = Callable[[Callable[[Any], None]], None]
"""Does something for every group of an item in turn."""


class Frame:
    """A kernel under construction: `kernel(arguments, scratch)`."""

    def __init__(self, module: ir.Module, name: str, spec: Kind) -> None:
        self.spec, self.fmt = spec, spec.format
        self.tiles = Tiles(module, self.fmt, TILE)
        self.f = Function(module, name, [PTR, PTR], public=True)
        self.arguments: Ptr = self.f.arguments[0]
        self.scratch: Ptr = self.f.arguments[1]
        self.length = self.word("length")
        self.kept: Int = self.f.int(0)
        self.backward = False
        unpack(self)

    def word(self, name: str) -> Int:
        """Load an argument, or the address or a stride of an array."""
        words, field = self.spec.interface.words, self.spec.interface.field
        return (self.scratch + words[name]).int() if name in words else (self.arguments + field[name]).int()

    def pointer(self, name: str) -> Ptr:
        return Ptr(self.f, (self.scratch + self.spec.interface.words[f"{name}_at"]).load(PTR))

    def region(self, name: str) -> Ptr:
        start = self.scratch + self.word(f"at_{name}")
        return start + self.kept if name in self.spec.interface.kept else start

    def tile(self, name: str) -> Tile:
        kind = SharedTile if name in ("x", "past_x") and self.spec.shared else Tile
        return kind(self.f, self.fmt, self.region(name))

    def walk(self, kernel: type[Steps], *, backward: bool) -> None:
        """Take items off the shared counter; in each, go through time tile by tile, all its groups in turn."""
        self.backward = backward
        with self.groups(kernel) as each:
            count = (self.length + (TILE - 1)) // TILE
            each(lambda steps: steps.start())
            with self.f.loop(0, count) as index:
                time = (count - 1 - index if backward else index) * TILE
                length = self.f.minimum(self.length - time, TILE)
                each(lambda steps: steps.tile(time, length))
            each(lambda steps: steps.finish())

    @contextmanager
    def groups(self, kernel: Callable[[Any, Group], Any]) -> Iterator[Each]:
        """Take items off the shared counter; of each, give what goes through its groups of lanes."""
        f = self.f
        with self.items() as item:
            blocks, run = self.word("blocks"), self.word("run")
            per_block = (blocks + run - 1) // f.maximum(run, 1)
            block = item // per_block
            part = item - block * per_block
            first, end = part * run, f.minimum(part * run + run, blocks)

            def each(phase: Callable[[Any], None]) -> None:
                with f.loop(first, end) as index:
                    self.kept = (index - first) * self.word("kept_bytes")
                    row = index * self.word("rows")
                    lanes = f.minimum(self.word("rows"), self.word("span") - row)
                    group = Group(self, block, part, index.equals(first), block * self.word("span") + row, lanes)
                    phase(kernel(self, group))

            yield each

    @contextmanager
    def items(self) -> Iterator[Int]:
        """Take items off the shared counter until none is left, and finish the kernel."""
        with flushed_subnormals(self.f), self._taken() as item:
            yield item
        self.f.finish()

    @contextmanager
    def _taken(self) -> Iterator[Int]:
        f = self.f
        place = self.arguments + self.spec.interface.field["counter"]
        counter = f.b.bitcast(Ptr(f, place.load(PTR)).v, I64.as_pointer())
        head, body, after = (f.b.append_basic_block(name) for name in ("take", "item", "done"))
        f.b.branch(head)
        f.b.position_at_end(head)
        turn = Int(f, f.b.atomic_rmw("add", counter, ir.Constant(I64, 1), "monotonic"))
        # threads begin far apart: two that touch the same fresh page both wait for it to be cleared
        fronts = self.word("fronts")
        each = (self.word("items") + fronts - 1) // fronts
        step = turn // fronts
        item = (turn - step * fronts) * each + step
        f.b.cbranch((step < each).v, body, after)
        f.b.position_at_end(body)
        with f.when(item < self.word("items")):
            yield item
        f.b.branch(head)
        f.b.position_at_end(after)


class RecurrenceFrame(Frame):
    """The frame of one recurrence, of known orders or of any."""

    spec: Spec

    def __init__(self, module: ir.Module, name: str, spec: Spec) -> None:
        super().__init__(module, name, spec)
        self.p = self.f.int(self.word("order") if spec.order is None else spec.order)
        self.q = self.f.int(self.word("input_order") if spec.input_order is None else spec.input_order)


class Steps(Protocol):
    """What a kernel does for one group of lanes."""

    def __init__(self, frame: Any, group: Group) -> None: ...

    def start(self) -> None: ...

    def tile(self, time: Int, steps: Int) -> None:
        """Process `steps` samples from `time` on."""

    def finish(self) -> None: ...


class Group:
    """The lanes that are processed together, and their way to memory."""

    def __init__(self, frame: Frame, block: Int, part: Int, leads: Int, first: Int, lanes: Int) -> None:
        self.frame, self.f = frame, frame.f
        self.block, self.part, self.leads, self.first, self.lanes = block, part, leads, first, lanes

    def offsets(self, table: str, name: str, storage: str) -> Ptr:
        """Fill a table with where the lanes of the signal or coefficients `name` start."""
        frame = self.frame
        pointer = frame.region(table)
        strides = (frame.word(f"{name}_batch"), frame.word(f"{name}_channel"))
        function = frame.tiles.offsets(STORAGES[storage])
        self.f.call(function, pointer, self.first, self.lanes, frame.word("channels"), *strides)
        return pointer

    def load(
        self, tile: Tile, name: str, storage: str, offsets: Ptr, start: Int | int, steps: Int | int, *,
        tap: Int | int | None = None, ahead: int = 0, further: Int | int | None = None,
    ) -> None:  # fmt: skip
        """Load `steps` samples from `start`, and ask for what lies `ahead` samples later; `further` counts examples."""
        source, stride = self._place(name, start, tap, further)
        function = self.frame.tiles.load(STORAGES[storage])
        self.f.call(function, tile.base, source, stride, offsets, self.lanes, self.f.int(steps), stride * ahead)

    def store(
        self, tile: Tile, name: str, storage: str, offsets: Ptr, start: Int | int, steps: Int | int, *,
        tap: Int | int | None = None, further: Int | int | None = None,
    ) -> None:  # fmt: skip
        """Store `steps` samples from `start`."""
        target, stride = self._place(name, start, tap, further)
        function = self.frame.tiles.store(STORAGES[storage])
        self.f.call(function, tile.base, target, stride, offsets, self.lanes, self.f.int(steps))

    def stream(
        self, tile: Tile, name: str, storage: str, offsets: Ptr, carry: Ptr, start: Int, steps: Int, *,
        tap: int | None = None,
    ) -> None:  # fmt: skip
        """Store the samples of a tile, and past the caches where outputs are large; no tile is left out."""
        frame, f = self.frame, self.f
        target, stride = self._place(name, start, tap)
        place = (tile.base, target, stride, offsets, self.lanes, steps)
        behind = frame.length - start - steps
        visited, left = (behind, start) if frame.backward else (start, behind)
        with f.choice(frame.word("large").differs(0)) as (large, small):
            with large:
                descends = (stride > 0) if frame.backward else (stride < 0)
                ends = (f.minimum(visited, LINE) * STORAGES[storage].bytes, left.equals(0), descends)
                f.call(frame.tiles.stream(STORAGES[storage]), *place, frame.region("stage"), carry, *ends)
            with small:
                f.call(frame.tiles.store(STORAGES[storage]), *place)

    def load_x(
        self, tile: Tile, name: str, offsets: Ptr, start: Int | int, steps: Int | int, *, ahead: int = 0,
        further: Int | int | None = None,
    ) -> None:  # fmt: skip
        """Load a signal of x's channels: every lane's own, or the one number that serves them all."""
        if not self.frame.spec.shared:
            self.load(tile, name, self.frame.spec.x, offsets, start, steps, ahead=ahead, further=further)
            return
        source, stride = self._place(name, start, None, further)
        function = self.frame.tiles.load_shared(STORAGES[self.frame.spec.x])
        self.f.call(function, tile.base, source + offsets.int(), stride, self.f.int(steps))

    def load_taps(self, tile: Tile, name: str, storage: str, count: Int) -> None:
        """Load coefficients that do not change along time: one row a tap, zeros for a few rows more."""
        frame = self.frame
        offsets = self.offsets("offsets_any", name, storage)
        self.f.zero(tile.base, (count + UNROLL) * frame.fmt.row_bytes)
        function = frame.tiles.load(STORAGES[storage])
        self.f.call(function, tile.base, frame.pointer(name), frame.word(f"{name}_tap"), offsets, self.lanes, count, 0)

    def _place(
        self, name: str, start: Int | int, tap: Int | int | None, further: Int | int | None = None
    ) -> tuple[Ptr, Int]:
        frame = self.frame
        stride = frame.word(f"{name}_time")
        place = frame.pointer(name) + self.f.int(start) * stride
        if further is not None:
            place = place + self.f.int(further) * frame.word(f"{name}_batch")
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
