"""The forward kernel for several sequences in one row of time.

Tiles are those of any other row, so that memory is read and written as everywhere. Within a tile the pieces of
sequences are computed one after the other, and the history, which is apart from the tile, begins anew between them: in
the lanes whose sequence ends, while the others go on.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

from llvmlite import ir

from .._code.emit import Int
from .._code.frame import Group, RecurrenceFrame
from .._code.numbers import Num, Tile
from .._code.stream import fence
from .._recurrence.forward import Forward
from .._recurrence.marks import Lanes, Marks, Piece
from .._recurrence.spec import TILE, UNROLL, Spec
from .edges import Edges


def emit(module: ir.Module, name: str, spec: Spec) -> None:
    """Add the forward kernel of `spec` to `module`."""
    RecurrenceFrame(module, name, spec).walk(_Forward, backward=False)


class _Forward(Forward):
    def __init__(self, frame: RecurrenceFrame, group: Group) -> None:
        super().__init__(frame, group)
        self.marks, self.edges = Marks(frame, group), Edges(frame, group, self.depth)
        self.final = frame.tile("final_y")
        self.rows = self.y.shifted(self.depth) if self.spec.order is not None else frame.tile("out")

    def start(self) -> None:
        group, spec, edges = self.group, self.spec, self.edges
        group.offsets("offsets_x", "x", spec.x)
        group.offsets("offsets_y", "y", spec.y)
        self.b.start()
        self.a.start()
        self.past_x.clear(self.frame.q)
        self.past_y.clear(self.depth)
        edges.put("current", -1)
        edges.put("padded", -1)
        if not spec.counted:
            edges.load()
            # of an example without samples it is what was given
            self.final.take(edges.y, self.depth)

    def tile(self, time: Int, steps: Int) -> None:
        frame, f, group, spec = self.frame, self.f, self.group, self.spec
        self.x.take(self.past_x, frame.q)
        group.load_x(self.x.shifted(frame.q), "x", frame.region("offsets_x"), time, steps, ahead=TILE)
        for taps in (self.b, self.a):
            taps.load(time, steps, ahead=TILE)
        self.marks.find(time, steps)
        with self.marks.pieces(steps) as piece:
            self._turn(piece)
            with f.when(piece.begin.differs(0)):
                self._begin(piece, time)
            self._piece(piece)
            with f.when(piece.padded.differs(0)):
                Lanes(frame, piece.padded).assign(self.rows.shifted(piece.first), None, piece.end - piece.first)
        offsets, carry = frame.region("offsets_y"), frame.region("carry")
        group.stream(self.rows, "y", spec.y, offsets, carry, time, steps)
        self.past_x.take(self.x.shifted(steps), frame.q)

    def finish(self) -> None:
        frame, edges, storage = self.frame, self.edges, self.spec.compute
        fence(self.f)
        past = self.depth - frame.p
        if self.spec.counted:
            with self.f.when(edges.get("current") >= 0):
                edges.store(self.past_y.shifted(past), "ends", storage, frame.p, edges.get("current"))
            return
        Lanes(frame, -1 - edges.get("padded")).assign(self.final, self.past_y, self.depth)
        edges.beyond().assign(self.final, None, self.depth)
        edges.store(self.final.shifted(past), "ends", storage, frame.p)

    def history(self) -> Tile:
        return self.past_y

    def keep(self, row: int, group: int, number: Num) -> None:
        self.past_y.put(row, group, number)

    def each(self, rows: Int, step: Callable[[Int], None]) -> None:
        f, whole = self.f, rows & -UNROLL
        with f.loop(0, whole, UNROLL) as row:
            for u in range(UNROLL):
                step(row + u)
        with f.loop(whole, rows) as row:
            step(row)

    def _turn(self, piece: Piece) -> None:
        """Where samples end in some lanes and only padding follows, their last outputs are known."""
        ended = piece.padded & (-1 - self.edges.get("padded"))
        with self.f.when(ended.differs(0)):
            Lanes(self.frame, ended).assign(self.final, self.past_y, self.depth)
        self.edges.put("padded", piece.padded)

    def _begin(self, piece: Piece, time: Int) -> None:
        """Have history begin anew: with the state in the lanes that it belongs to, and else with zeros."""
        frame, f, edges = self.frame, self.f, self.edges
        if self.spec.counted:
            with f.when(edges.get("current") >= 0):
                past = self.past_y.shifted(self.depth - frame.p)
                edges.store(past, "ends", self.spec.compute, frame.p, edges.get("current"))
            edges.put("current", edges.number(time + piece.first))
            edges.load(edges.get("current"))
        begin, given = edges.begins(piece)
        for tile, state, rows in (
            (self.x.shifted(piece.first), edges.x, frame.q),
            (self.past_y, edges.y, self.depth),
        ):
            if not self.spec.counted:
                begin.assign(tile, None, rows)
            given.assign(tile, state, rows)

    def _piece(self, piece: Piece) -> None:
        rows = piece.end - piece.first
        one = copy(self)
        one.x, one.b, one.a = self.x.shifted(piece.first), self.b.shifted(piece.first), self.a.shifted(piece.first)
        if self.spec.order is not None:
            one.y = self.y.shifted(piece.first)
            one.compute(rows)
            return
        # others find their history in the tile, and compute up to three rows more
        self.y.take(self.past_y, self.depth)
        one.compute((rows + (UNROLL - 1)) & -UNROLL)
        self.rows.shifted(piece.first).take(self.y.shifted(self.depth), rows)
        self.past_y.take(self.y.shifted(rows), self.depth)
