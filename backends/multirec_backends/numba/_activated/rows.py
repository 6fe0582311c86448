"""What forward and gradient of kernels with an activation inside share: their tiles, and where sequences begin.

Lanes are examples and channels; a tile of each signal lies in the first-level cache, and states are in registers there.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .._code.emit import DOUBLE, I32, I64, Function, Int
from .._code.frame import Frame, Group
from .._code.functions import Functions
from .._code.memory import STORAGES
from .._code.numbers import SharedTile, Slot, Tile
from .._recurrence.spec import TILE
from .cells import CELLS, Row, Step
from .spec import ActivatedSpec

State = list[list[Slot]]
"""The numbers of a state, the newest first, of each vector."""


class ActivatedFrame(Frame):
    """The frame of a recurrence with an activation inside."""

    spec: ActivatedSpec


class Rows:
    """The tiles of one group of lanes."""

    def __init__(self, frame: ActivatedFrame, group: Group) -> None:
        self.frame, self.group, self.f, self.spec, self.fmt = frame, group, frame.f, frame.spec, frame.fmt
        self.vectors = range(self.fmt.groups)
        self.functions = Functions(self.f, self.fmt)
        scale = self.functions.spread((frame.arguments + self.spec.interface.field["scale"]).load(DOUBLE))
        self.cell = CELLS[self.spec.kind](self.functions, self.spec.activation, scale)
        self.signals = [frame.tile(f"signal_{index}") for index in range(len(self.spec.signals))]
        self.y, self.state = frame.tile("y"), frame.tile("state")
        kind = SharedTile if self.spec.together else Tile
        self.codes = kind(self.f, self.fmt, frame.region("codes"))

    def start(self) -> None:
        frame, group, spec = self.frame, self.group, self.spec
        for index, storage in enumerate(spec.signals):
            group.offsets(f"offsets_signal_{index}", f"signal_{index}", storage)
        group.offsets("offsets_starts", "starts", spec.compute)
        if spec.sequences:
            group.offsets("offsets_codes", "codes", spec.compute)
        at = 0
        for index, count in enumerate(spec.parameters):
            tile = frame.tile("parameters").shifted(at)
            group.load_taps(tile, f"parameter_{index}", spec.compute, self.f.int(count))
            at += count

    def load(self, time: Int, steps: Int, *, ahead: int) -> None:
        """Load the signals of a tile, and its codes."""
        frame, group, spec, f = self.frame, self.group, self.spec, self.f
        for index, (tile, storage) in enumerate(zip(self.signals, spec.signals, strict=True)):
            name = f"signal_{index}"
            group.load(tile, name, storage, frame.region(f"offsets_{name}"), time, steps, ahead=ahead)
        if not spec.sequences:
            return
        offsets = frame.region("offsets_codes")
        if spec.together:
            stride = frame.word("codes_time")
            source = frame.pointer("codes") + offsets.int() + time * stride
            f.call(frame.tiles.load_shared(STORAGES[spec.compute]), self.codes.base, source, stride, steps)
        else:
            group.load(self.codes, "codes", spec.compute, offsets, time, steps)

    def piece(self, time: Int) -> Int:
        """Return where the state before a tile is among the starts."""
        return time // TILE * self.spec.order

    def parameters(self) -> list[Row]:
        """Return the parameters of each vector."""
        tile, count = self.frame.tile("parameters"), sum(self.spec.parameters)
        return [[tile.get(index, g) for index in range(count)] for g in self.vectors]

    def taken(self, tile: Tile) -> State:
        """Return what a tile of a state has, in registers."""
        newest = self.spec.order - 1
        return [[Slot(self.f, self.fmt, tile.get(newest - k, g)) for k in range(self.spec.order)] for g in self.vectors]

    def put(self, state: State, tile: Tile) -> None:
        """Put a state from registers into a tile."""
        newest = self.spec.order - 1
        for g, slots in enumerate(state):
            for k, slot in enumerate(slots):
                tile.put(newest - k, g, slot.get())

    def set(self, state: State, tile: Tile) -> None:
        """Put what a tile has into registers."""
        for slots, found in zip(state, self.taken(tile), strict=True):
            for slot, own in zip(slots, found, strict=True):
                slot.set(own.get())

    def step(self, row: Int, g: int, parameters: Row, state: list[Slot]) -> tuple[Step, Row]:
        """Compute a step; return it, and the state that it found."""
        signals, before = [tile.get(row, g) for tile in self.signals], [slot.get() for slot in state]
        if self.spec.sequences != "examples":
            return self.cell.step(signals, parameters, before), before
        zero, select = self.functions.zero, self.functions.select
        begins, is_none = self.marks(row, g)
        found = [select(begins, zero, number) for number in before]
        # what is no sample may be NaN
        signals = [select(is_none, zero, signal) for signal in signals]
        y, after, saved = self.cell.step(signals, parameters, found)
        after = [select(is_none, old, new) for old, new in zip(before, after, strict=True)]
        return Step(select(is_none, zero, y), after, saved), found

    def marks(self, row: Int, g: int) -> tuple[Any, Any]:
        """Return whether each lane begins a sequence, and whether it has no sample."""
        code, of = self.codes.get(row, g), self.functions
        return of.is_("==", code, of.one), of.is_("<", code, of.zero)

    def begins(self, row: Int) -> Int:
        """Whether a sequence begins, where all lanes are of one example."""
        code = self.codes.row(row).load(self.fmt.real)
        return Int(self.f, self.f.b.fcmp_ordered("==", code, ir.Constant(self.fmt.real, 1.0)))

    def number(self, time: Int | int) -> Int:
        """Return the number of the sequence of a sample, where all lanes are of one example."""
        place = self.frame.pointer("numbers") + self.f.int(time) * self.frame.word("numbers_time")
        return Int(self.f, self.f.b.sext(place.load(I32), I64))

    def read(self, tile: Tile, name: str, number: Int | int) -> None:
        """Load the state of a sequence, or of every lane's own example; zeros where none are given."""
        tile.clear(self.spec.order)
        with self.f.when(self.frame.word(f"{name}_at").differs(0)):
            self._reach(self.frame.tiles.load(STORAGES[self.spec.compute]), tile, name, number, 0)

    def write(self, tile: Tile, name: str, number: Int | int) -> None:
        """Store the state of a sequence, or of every lane's own example, if it is wanted."""
        with self.f.when(self.frame.word(f"{name}_at").differs(0)):
            self._reach(self.frame.tiles.store(STORAGES[self.spec.compute]), tile, name, number)

    def _reach(self, function: Function, tile: Tile, name: str, number: Int | int, *ahead: int) -> None:
        frame, f = self.frame, self.f
        offsets = self.group.offsets("offsets_any", name, self.spec.compute)
        place = frame.pointer(name) + f.int(number) * frame.word(f"{name}_batch")
        f.call(
            function, tile.base, place, frame.word(f"{name}_time"), offsets, self.group.lanes, self.spec.order, *ahead
        )

    def edge(self, last: Int | int) -> Int | int:
        """Return which state a sample's is, counted from that of every lane's example."""
        return self.number(last) if self.spec.sequences == "states" else 0
