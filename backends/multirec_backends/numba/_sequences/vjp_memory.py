"""The gradient kernel for several sequences in one row of time, with history in tiles.

What waits in front of a sequence for samples that are not there is the gradient of its state. Where a gradient of
coefficients that change along time is wanted, a group's lanes are of one example: each product belongs to one time, and
is stored when the earlier of its two samples is visited, if that is in the same sequence.
"""

from __future__ import annotations

from collections.abc import Callable

from .._code.emit import Int
from .._code.frame import Group, RecurrenceFrame
from .._code.numbers import Slot
from .._code.stream import fence
from .._recurrence.marks import Lanes, Marks, Piece
from .._recurrence.spec import UNROLL
from .._recurrence.vjp_memory import Memory, Pair
from .edges import Edges


class SequenceMemory(Memory):
    """Any order, any coefficients."""

    def __init__(self, frame: RecurrenceFrame, group: Group) -> None:
        super().__init__(frame, group)
        self.marks, self.edges = Marks(frame, group), Edges(frame, group, self.p)
        self.final_x, self.final_y = frame.tile("final_x"), frame.tile("final_y")

    def start(self) -> None:
        edges = self.edges
        super().start()
        edges.put("padded", -1)
        edges.put("stop", self.frame.length)
        if self.spec.counted:
            edges.put("current", -1)
            return
        edges.load()
        edges.take_last(self.last)
        # an example without samples hands its state on
        self.final_y.take(self.last, self.p)
        self.final_x.clear(self.q)

    def _tile(self, time: Int, steps: Int, rows: Int) -> None:
        f = self.f
        self.marks.find(time, steps)
        with f.when(self.marks.padding()), self.marks.pieces(steps) as piece, f.when(piece.padded.differs(0)):
            self.blank(Lanes(self.frame, piece.padded), piece.first, piece.end - piece.first)
        with self.marks.pieces(steps, descending=True) as piece:
            self._enter(piece, time)
            self.step_down(piece.first, piece.end)
            self._correlate_piece(piece, time)
            with f.when(piece.begin.differs(0)):
                self._leave(piece, time)
        self.store(time, steps)

    def finish(self) -> None:
        fence(self.f)
        if not self.spec.counted:
            self.edges.store(self.final_x, "grad_inputs", self.spec.compute_x, self.q)
            self.edges.store(self.final_y, "grad_outputs", self.spec.compute, self.p)
        self.write()

    def each(self, rows: Int, totals: list[Slot], add: Callable[[Int, Slot], None]) -> None:
        whole = rows & -UNROLL
        super().each(whole, totals, add)
        with self.f.loop(whole, rows) as row:
            add(row, totals[0])

    def _enter(self, piece: Piece, time: Int) -> None:
        """Where samples begin, seen from the end, give the last outputs the gradients that they have besides."""
        f, edges = self.f, self.edges
        waiting = self.lam.shifted(piece.end - self.p)
        if self.spec.counted:
            number = edges.number(time + piece.first)
            with f.when(number.differs(edges.get("current"))):
                edges.put("current", number)
                edges.put("stop", time + piece.end)
                with f.when(number >= 0):
                    edges.take_last(waiting, number)
            return
        entering = edges.get("padded") & (-1 - piece.padded)
        with f.when(entering.differs(0)):
            lanes = Lanes(self.frame, entering)
            lanes.assign(waiting, self.last, self.p)
            lanes.assign(self.final_y, None, self.p)
            edges.put("stop", time + piece.end)
        edges.put("padded", piece.padded)

    def _correlate_piece(self, piece: Piece, time: Int) -> None:
        rows, lam = piece.end - piece.first, self.lam
        self.lam = lam.shifted(piece.first)
        for pair in self.pairs(self.x.shifted(piece.first), self.y.shifted(piece.first)):
            if pair.varies:
                with self.f.choice(piece.padded.differs(0)) as (padded, samples):
                    with padded:
                        self._write_zeros(pair, time + piece.first, rows)
                    with samples:
                        self.write_products(pair, time + piece.first, rows, self.f.int(0), self.edges.get("stop"))
            else:
                self.add_products(pair, rows)
        self.lam = lam

    def _write_zeros(self, pair: Pair, time: Int, rows: Int) -> None:
        pair.out.clear(rows)
        with self.f.loop(0, pair.taps) as tap:
            self.store_products(pair, pair.out, time, rows, tap)

    def _leave(self, piece: Piece, time: Int) -> None:
        """Hand out what the state receives, and begin anew in the sequence before."""
        edges, spec, first = self.edges, self.spec, piece.first
        if spec.counted:
            edges.load(edges.get("current"))
        begin, given = edges.begins(piece)
        self.finish_products(*edges.apart(given), first, time + first, edges.get("stop"))
        to_x, to_y = self.gx.shifted(first - self.q), self.lam.shifted(first - self.p)
        if spec.counted:
            edges.store(to_x, "grad_inputs", spec.compute_x, self.q, edges.get("current"))
            edges.store(to_y, "grad_outputs", spec.compute, self.p, edges.get("current"))
        else:
            given.assign(self.final_x, to_x, self.q)
            given.assign(self.final_y, to_y, self.p)
        edges.put("stop", time + first)
        begin.assign(to_x, None, self.q)
        begin.assign(to_y, None, self.p + self.history)
