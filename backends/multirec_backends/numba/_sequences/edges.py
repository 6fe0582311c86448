"""What lies at the edges of sequences: the states that they begin from, and what of them is handed out."""

from __future__ import annotations

from .._code.emit import I32, I64, Int
from .._code.frame import Group, RecurrenceFrame
from .._code.numbers import Tile
from .._recurrence.marks import Lanes, Piece

_FLAGS = {"padded": 0, "current": 8, "owed": 16, "stop": 24}


class Edges:
    """The states of a group's lanes, `depth` rows of past outputs, and what it remembers from tile to tile.

    There is one state an example, or one a sequence; then all lanes are of one example.
    """

    def __init__(self, frame: RecurrenceFrame, group: Group, depth: Int | int) -> None:
        self.frame, self.group, self.f, self.spec, self.depth = frame, group, frame.f, frame.spec, depth
        self.counted = frame.spec.counted
        kind = type(frame.tile("x"))
        self.x, self.y = kind(frame.f, frame.fmt, frame.region("state_x")), frame.tile("state_y")
        self._flags = frame.region("flags")

    def get(self, flag: str) -> Int:
        """Return a flag: which lanes were `padded` where the walk came from, the `current` sequence and where it stops.

        `owed` says whether any gradients of last outputs are still to be given to outputs.
        """
        return (self._flags + _FLAGS[flag]).int()

    def put(self, flag: str, value: Int | int) -> None:
        (self._flags + _FLAGS[flag]).store(self.f.value(value))

    def load(self, sequence: Int | None = None) -> None:
        """Load the states, zeros where none are given."""
        frame, group, f, spec = self.frame, self.group, self.f, self.spec
        self.x.clear(frame.q)
        self.y.clear(self.depth)
        with f.when(frame.word("inputs_at").differs(0)):
            offsets = group.offsets("offsets_any", "inputs", spec.x)
            group.load_x(self.x, "inputs", offsets, 0, frame.q, further=sequence)
        with f.when(frame.word("outputs_at").differs(0)):
            offsets = group.offsets("offsets_any", "outputs", spec.compute)
            target = self.y.shifted(self.depth - frame.p)
            group.load(target, "outputs", spec.compute, offsets, 0, frame.p, further=sequence)

    def apart(self, lanes: Lanes) -> tuple[Tile, Tile]:
        """Return copies of the states in some lanes, with zeros in the others."""
        frame = self.frame
        x, y = type(self.x)(frame.f, frame.fmt, frame.region("aside_x")), frame.tile("aside_y")
        for copy, state, rows in ((x, self.x, frame.q), (y, self.y, self.f.int(self.depth))):
            copy.clear(rows)
            lanes.assign(copy, state, rows)
        return x, y

    def take_last(self, tile: Tile, sequence: Int | None = None) -> None:
        """Load the gradients of last outputs, zeros where there are none, or where they are of no output."""
        frame, group, storage = self.frame, self.group, self.spec.compute
        tile.clear(frame.p)
        with self.f.when(frame.word("grad_last_at").differs(0)):
            offsets = group.offsets("offsets_any", "grad_last", storage)
            group.load(tile, "grad_last", storage, offsets, 0, frame.p, further=sequence)
        if sequence is None:
            self.beyond().assign(tile, None, frame.p)

    def store(self, tile: Tile, name: str, storage: str, rows: Int, sequence: Int | None = None) -> None:
        """Store rows of an edge, if they are asked for."""
        group = self.group
        with self.f.when(self.frame.word(f"{name}_at").differs(0)):
            group.store(tile, name, storage, group.offsets("offsets_any", name, storage), 0, rows, further=sequence)

    def number(self, time: Int, example: Int | int = 0) -> Int:
        """Return the number of the sequence that a sample belongs to."""
        frame, f = self.frame, self.f
        place = frame.pointer("numbers") + time * frame.word("numbers_time")
        place = place + f.int(example) * frame.word("numbers_batch")
        return Int(f, f.b.sext(place.load(I32), I64))

    def begins(self, piece: Piece) -> tuple[Lanes, Lanes]:
        """Return the lanes that begin a sequence, and those of them that begin from a state."""
        lanes = Lanes(self.frame, piece.begin)
        return lanes, lanes if self.counted else Lanes(self.frame, piece.edge)

    def beyond(self) -> Lanes:
        """Return the lanes whose last sequence in running order is not that of the edge there."""
        frame, group, f = self.frame, self.group, self.f
        found = f.variable(I64)
        found.store(f.value(0))
        with f.when(frame.word("flip").differs(0)), f.loop(0, group.lanes) as lane:
            example = (group.first + lane) // frame.word("channels")
            bit = f.select(self.number(frame.length - 1, example) > 0, 1, 0)
            found.store(f.b.or_(found.load(I64), f.b.shl(bit.v, lane.v)))
        return Lanes(frame, found.int())
