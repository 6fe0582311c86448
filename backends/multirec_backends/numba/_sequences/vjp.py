"""The gradient kernel for several sequences in one row of time: known orders, whose history is in registers.

It walks over the pieces of a tile as `_recurrence.vjp` walks over tiles. Where a lane's sequence begins, what its state
gets is handed out, and λ is zero from there on. Coefficients of a sequence that λ has left are zero too: what they
hold, NaN perhaps, meets no λ of the sequence before.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from .._code.emit import Int
from .._code.frame import Group, RecurrenceFrame
from .._code.numbers import zero
from .._code.stream import fence
from .._recurrence.marks import Lanes, Marks, Piece
from .._recurrence.spec import TILE, UNROLL, Spec
from .._recurrence.vjp import Registers
from .edges import Edges
from .vjp_memory import SequenceMemory


def emit(module: ir.Module, name: str, spec: Spec) -> None:
    """Add the gradient kernel of `spec` to `module`."""
    frame = RecurrenceFrame(module, name, spec)
    frame.walk(_SequenceRegisters if spec.in_registers else SequenceMemory, backward=True)


class _SequenceRegisters(Registers):
    def __init__(self, frame: RecurrenceFrame, group: Group) -> None:
        super().__init__(frame, group)
        self.marks, self.edges = Marks(frame, group), Edges(frame, group, self.known_p)
        self.final_x, self.final_y = frame.tile("final_x"), frame.tile("final_y")
        self.nothing = frame.tile("owed")
        self.owed = self.nothing.shifted(self.known_p)
        # what is handed on to the tile before is known when this one is done
        self.b.hands_on = self.a.hands_on = False

    def start(self) -> None:
        edges, p = self.edges, self.known_p
        super().start()
        self.nothing.clear(2 * p)
        edges.put("owed", 0)
        edges.put("padded", -1)
        if self.spec.counted:
            edges.put("current", -1)
            return
        edges.load()
        edges.take_last(self.last)
        # an example without samples hands its state on
        self.final_y.take(self.last, p)
        self.final_x.clear(self.known_q)

    def load_before(self, time: Int) -> None:
        with self.f.when(time > 0):
            self.load_front(time)

    def _tile(self, time: Int, steps: Int, rows: Int) -> None:
        f = self.f
        self.marks.find(time, steps)
        with f.when(self.marks.padding()), self.marks.pieces(steps) as piece, f.when(piece.padded.differs(0)):
            lanes = Lanes(self.frame, piece.padded)
            self.blank(lanes, piece.first, piece.end - piece.first)
            x, _ = self.front()
            if x is not None:
                with f.when(piece.first.equals(0)):
                    lanes.assign(x, None, self.known_q)
        with self.marks.pieces(steps, descending=True) as piece:
            self._enter(piece, time)
            with f.when(self.edges.get("owed").differs(0)):
                self._pay(piece)
            for g in self.vectors:
                self.vector(piece.first, piece.end, g)
            with f.when(piece.begin.differs(0)):
                self._leave(piece, time)
        self._before(time)
        for taps in (self.b, self.a):
            taps.hand_on()
        with f.when(self.marks.padding()), self.marks.pieces(steps) as piece, f.when(piece.padded.differs(0)):
            self._blank_products(piece)
        self.store(time, steps)

    def finish(self) -> None:
        fence(self.f)
        if not self.spec.counted:
            self.edges.store(self.final_x, "grad_inputs", self.spec.compute_x, self.q)
            self.edges.store(self.final_y, "grad_outputs", self.spec.compute, self.p)
        self.write()

    def each(self, first: Int, end: Int, step: Callable[[Int], None]) -> None:
        f = self.f
        odd = first + ((end - first) & (UNROLL - 1))
        with f.loop(odd, end, UNROLL) as row:
            for u in range(UNROLL):
                step(end - 1 - u - (row - odd))
        with f.loop(first, odd) as row:
            step(odd - 1 - (row - first))

    def _enter(self, piece: Piece, time: Int) -> None:
        """Where the samples of a lane begin, seen from the end, its last outputs are owed a gradient."""
        f, edges, p = self.f, self.edges, self.known_p
        if self.spec.counted:
            number = edges.number(time + piece.first)
            with f.when(number.differs(edges.get("current"))):
                edges.put("current", number)
                with f.when(number >= 0):
                    edges.take_last(self.owed, number)
                    edges.put("owed", 1)
            return
        entering = edges.get("padded") & (-1 - piece.padded)
        with f.when(entering.differs(0)):
            lanes = Lanes(self.frame, entering)
            lanes.assign(self.owed, self.last, p)
            lanes.assign(self.final_y, None, p)
            edges.put("owed", 1)
        edges.put("padded", piece.padded)

    def _pay(self, piece: Piece) -> None:
        """Add what is owed to the outputs of a piece; where it is short, those before get the rest."""
        f, p = self.f, self.known_p
        count = piece.end - piece.first
        with f.loop(f.maximum(piece.end - p, piece.first), piece.end) as row:
            for g in self.vectors:
                self.grad.put(row, g, self.grad.get(row, g) + self.owed.get(row - piece.end + p, g))
        paid = f.minimum(count, p)
        self.nothing.move(p, p - paid, p)
        self.edges.put("owed", f.select(count < p, 1, 0))

    def _leave(self, piece: Piece, time: Int) -> None:
        """Hand out what the state receives, and begin anew in the sequences before."""
        f, edges, spec, p = self.f, self.edges, self.spec, self.known_p
        begin, given = edges.begins(piece)
        with f.when(given.bits.differs(0)):
            if spec.counted:
                edges.load(edges.get("current"))
            past_x, past_y = edges.apart(given)
            for g in self.vectors:
                self.add_past(past_x, past_y, g)
                to_x, to_y = self.to_past(piece.first, g)
                for row, number in enumerate(to_x):
                    self.final_x.put(row, g, given.choose(g, number, self.final_x.get(row, g)))
                for row, number in enumerate(to_y):
                    owed = number + self.owed.get(row, g)
                    self.final_y.put(row, g, given.choose(g, owed, self.final_y.get(row, g)))
            if spec.counted:
                edges.store(self.final_x, "grad_inputs", spec.compute_x, self.q, edges.get("current"))
                edges.store(self.final_y, "grad_outputs", spec.compute, self.p, edges.get("current"))
        over = f.int(0)
        for i in range(self.depth):
            place = piece.first + i
            over = over | self.marks.begin(place) if i else over
            with f.when(place < TILE):
                self._correct(place, i, i, Lanes(self.frame, begin.bits & (-1 - over)), given)
        begin.assign(self.lam, None, self.depth)
        begin.assign(self.owed, None, p)
        for taps in (self.b, self.a):
            taps.blank(begin, piece.first, self.depth)

    def _blank_products(self, piece: Piece) -> None:
        """Have padding give zeros: its λ is zero, but what comes before it may be no number, or no sample at all."""
        lanes, rows, spec = Lanes(self.frame, piece.padded), piece.end - piece.first, self.spec
        for varies, out, count in (
            (self.wants_b and spec.feedforward_varies, self.out_b, self.known_q + 1),
            (self.wants_a and spec.feedback_varies, self.out_a, self.known_p),
        ):
            for tap in range(count if varies else 0):
                lanes.assign(out.shifted(piece.first + tap * TILE), None, rows)

    def _before(self, time: Int) -> None:
        """Correct products of a tile's first row where a sequence begins in the row before the tile."""
        f, edges, front = self.f, self.edges, self.front()
        if self.depth < 2 or front == (None, None):
            return
        with f.when(time > 0):
            begin, given = self.marks.before(time)
            if self.spec.counted:
                given = begin
                with f.when(begin.bits.differs(0)):
                    edges.load(edges.number(time))
            with f.when(begin.bits.differs(0)):
                self._correct(f.int(0), 1, 0, begin, given)

    def _correct(self, row: Int, count: int, later: int, begin: Lanes, given: Lanes) -> None:
        """Correct the products of row `row`, which `count` samples of its sequence precede in the lanes that begin.

        Instead of the samples of another sequence, λ meets the state, or nothing. It is the `later`-th that is kept.
        """
        front = self.front()
        p, q = self.known_p, self.known_q
        for signal, state, out, depth, lags in (
            (front[0], self.edges.x, self.out_b, q, range(q + 1)),
            (front[1], self.edges.y, self.out_a, p, range(1, p + 1)),
        ):
            for tap, lag in enumerate(lags if signal is not None else ()):
                if lag <= count:
                    continue
                products = out.shifted(tap * TILE)
                for g in self.vectors:
                    value = self.lam.get(later, g) * state.get(depth - (lag - count), g).conj()
                    value = given.choose(g, value, zero(self.f, self.fmt))
                    products.put(row, g, begin.choose(g, value, products.get(row, g)))
