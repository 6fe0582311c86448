"""Where sequences begin and end in a tile, and the pieces between, which are computed one after the other.

A table has a word for each row of a tile, whose bits are the lanes that something happens to there: that begin a
sequence, that begin the one which the given state belongs to, and that turn from samples to padding or back. Rows at
which something happens are bits of one word in front of it; few tiles have many.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from llvmlite import ir

from .._code.emit import I1, I16, I32, I64, PTR, Function, Int, Ptr
from .._code.frame import Frame, Group
from .._code.numbers import Num, SharedTile, Tile
from .spec import TILE

_WIDTH = 16
_ROWS, _PADDED, _ANY, _BEGIN, _EDGE, _TURNS = 0, 8, 16, 64, 64 + 8 * TILE, 64 + 16 * TILE
"""Places in the table: the rows, the lanes that end as padding and that have any, and a word a row of each kind."""
_NUMBERS = ir.VectorType(I32, _WIDTH)


class Piece(NamedTuple):
    """Rows of a tile from `first` to below `end` in which no lane begins or ends a sequence.

    Of the lanes, as bits: which begin at `first`, which of these from the given state, and which are padding.
    """

    first: Int
    end: Int
    begin: Int
    edge: Int
    padded: Int


class Marks:
    """The table of a kernel's tile."""

    def __init__(self, frame: Frame, group: Group) -> None:
        self.frame, self.group, self.f = frame, group, frame.f
        self.table = frame.region("marks")

    def find(self, time: Int, steps: Int) -> None:
        """Fill the table for the tile that begins at `time`."""
        frame, group, f = self.frame, self.group, self.f
        span, channels = frame.word("span"), frame.word("channels")
        # the groups of an item go through a tile in turn; where they are of one example, marks are the same
        with f.when(group.leads | span.differs(channels)):
            strides = (frame.word("numbers_batch"), frame.word("numbers_time"))
            place = (self.table, frame.pointer("numbers"), *strides, group.first, group.lanes, channels)
            ahead = strides[1] * (-TILE if frame.backward else TILE)
            f.call(_find(frame), *place, time, steps, frame.word("flip"), ahead)

    def padding(self) -> Int:
        """Return whether any lane has padding in this tile."""
        return (self.table + _ANY).int().differs(0)

    def begin(self, row: Int) -> Int:
        """Return the lanes that begin a sequence at a row, of this tile."""
        return (self.table + _BEGIN + row * 8).int()

    def before(self, time: Int) -> tuple[Lanes, Lanes]:
        """Return the lanes that began their sequence at the sample before `time`, and those of them from padding."""
        frame, group, f = self.frame, self.group, self.f
        channels, stride = frame.word("channels"), frame.word("numbers_time")
        begin, edge = f.variable(I64), f.variable(I64)
        begin.store(ir.Constant(I64, 0))
        edge.store(ir.Constant(I64, 0))
        first, end = group.first // channels, (group.first + group.lanes - 1) // channels + 1
        with f.loop(first, end) as example:
            own = _own(f, example, group.first, group.lanes, channels)
            place = frame.pointer("numbers") + example * frame.word("numbers_batch") + time * stride
            here, one, two = (_number(f, place + stride * -back) for back in range(3))
            began = f.select(here.equals(one) & one.differs(two) & here.differs(-1), own, 0)
            begin.store((begin.int() | began).v)
            edge.store((edge.int() | f.select(two.equals(-1), began, 0)).v)
        return Lanes(frame, begin.int()), Lanes(frame, edge.int())

    @contextmanager
    def pieces(self, steps: Int, *, descending: bool = False) -> Iterator[Piece]:
        """Go through the pieces of the tile."""
        f = self.f
        rest, limit, padded = (f.variable(I64) for _ in range(3))
        rest.store(((self.table + _ROWS).int() & -2).v)
        limit.store(f.value(steps if descending else 0))
        padded.store(((self.table + _PADDED).int() if descending else f.int(0)).v)
        count = Int(f, f.intrinsic("llvm.ctpop.i64", I64, [rest.load(I64)])) + 1
        with f.loop(0, count):
            rows = rest.int()
            none = rows.equals(0)
            if descending:
                first, end = f.select(none, 0, 63 - _zeros(f, "ctlz", rows)), limit.int()
            else:
                first, end = limit.int(), f.select(none, steps, _zeros(f, "cttz", rows))
            at = self.table + first * 8
            turns, own = (at + _TURNS).int(), padded.int()
            after = Int(f, f.b.xor(own.v, turns.v))
            yield Piece(first, end, (at + _BEGIN).int(), (at + _EDGE).int(), own if descending else after)
            padded.store(after.v)
            if descending:
                limit.store(first.v)
                rest.store(f.b.and_(rows.v, f.b.not_(_bit(f, first).v)))
            else:
                limit.store(end.v)
                rest.store((rows & (rows - 1)).v)


def _zeros(f: Function, side: str, value: Int) -> Int:
    return Int(f, f.intrinsic(f"llvm.{side}.i64", I64, [value.v, ir.Constant(I1, 0)]))


def _bit(f: Function, place: Int) -> Int:
    return Int(f, f.b.shl(ir.Constant(I64, 1), place.v))


def _own(f: Function, example: Int, first: Int, lanes: Int, channels: Int) -> Int:
    """Return the lanes of an example in a group that begins with row `first`."""
    low = f.maximum(example * channels - first, 0)
    high = f.minimum((example + 1) * channels - first, lanes)
    return _bit(f, high) - _bit(f, low)


def _number(f: Function, place: Ptr) -> Int:
    return Int(f, f.b.sext(place.load(I32), I64))


def _find(frame: Frame) -> Function:
    """Return (table, numbers, batch stride, time stride, first row, lanes, channels, time, steps, flip, ahead)."""
    made: dict[Any, Function] = frame.tiles.others
    if "marks" not in made:
        made["marks"] = Function(frame.f.module, "marks", [PTR, PTR, *[I64] * 9])
        _emit_find(made["marks"], *made["marks"].arguments)
        made["marks"].finish()
    return made["marks"]


def _emit_find(
    f: Function, table: Ptr, numbers: Ptr, batch: Int, stride: Int, first: Int, lanes: Int, channels: Int, time: Int,
    steps: Int, flip: Int, ahead: Int,
) -> None:  # fmt: skip
    rows, padded = table + _ROWS, table + _PADDED
    f.zero(table, _TURNS + 8 * TILE)
    whole = steps.equals(TILE) & (time > 0)
    example, end = first // channels, (first + lanes - 1) // channels + 1
    kinds = [f.variable(I64) for _ in range(3)]
    begins, edges, pads = kinds
    with f.loop(example, end) as index:
        own = _own(f, index, first, lanes, channels)
        source = numbers + index * batch + time * stride
        for kind in kinds:
            kind.store(ir.Constant(I64, 0))
        with f.choice(whole) as (vectors, singles):
            with vectors:
                for start in range(0, TILE, _WIDTH):
                    f.prefetch(source + stride * start + ahead)
                    _vector(f, source + stride * start, stride, start, kinds)
            with singles, f.loop(0, steps) as row:
                _single(f, source + row * stride, stride, time + row, row, flip, kinds)
        pad = pads.int()
        last, any_pad = _bit(f, steps - 1), table + _ANY
        with f.when(pad.differs(0)):
            any_pad.store((any_pad.int() | own).v)
        with f.when((pad & last).differs(0)):
            padded.store((padded.int() | own).v)
        # the first row of a tile turns too if it is padding
        turned = Int(f, f.b.xor(pad.v, (pad + pad).v)) & (last + last - 1)
        happens = begins.int() | turned
        with f.when(happens.differs(0)):
            rows.store((rows.int() | happens).v)
            for bits, place in ((begins.int(), _BEGIN), (edges.int(), _EDGE), (turned, _TURNS)):
                _scatter(f, bits, own, table + place)


def _vector(f: Function, source: Ptr, stride: Int, start: int, kinds: list[Ptr]) -> None:
    """Compare a vector of numbers with those before; running backwards they lie in memory in reverse."""
    b, back = f.b, stride < 0
    lowest = source + f.select(back, stride * (_WIDTH - 1), 0)
    here, before = lowest.load(_NUMBERS), (lowest + (0 - stride)).load(_NUMBERS)
    none = ir.Constant(_NUMBERS, [-1] * _WIDTH)
    pad, differs = b.icmp_signed("==", here, none), b.icmp_signed("!=", here, before)
    begin = b.and_(differs, b.not_(pad))
    edge = b.and_(begin, b.icmp_signed("==", before, none))
    for kind, mask in zip(kinds, (begin, edge, pad), strict=True):
        bits = b.bitcast(mask, I16)
        reverse = f.intrinsic("llvm.bitreverse.i16", I16, [bits])
        ordered = b.zext(b.select(back.v, reverse, bits), I64)
        kind.store(b.or_(kind.load(I64), b.shl(ordered, ir.Constant(I64, start))))


def _single(f: Function, source: Ptr, stride: Int, time: Int, row: Int, flip: Int, kinds: list[Ptr]) -> None:
    """The same for one number, which may be the first of all: there the given state begins."""
    b = f.b
    first = time.equals(0)
    here, before = _number(f, source), _number(f, source + f.select(first, 0, 0 - stride))
    pad = here.equals(-1)
    begin = Int(f, b.and_(b.or_(first.v, here.differs(before).v), b.not_(pad.v)))
    reached = Int(f, b.select(first.v, b.or_(flip.differs(0).v, here.equals(0).v), before.equals(-1).v))
    for kind, condition in zip(kinds, (begin, begin & reached, pad), strict=True):
        bit = b.shl(b.zext(condition.v, I64), row.v)
        kind.store(b.or_(kind.load(I64), bit))


def _scatter(f: Function, bits: Int, own: Int, table: Ptr) -> None:
    rest = f.variable(I64)
    rest.store(bits.v)
    with f.loop(0, Int(f, f.intrinsic("llvm.ctpop.i64", I64, [bits.v]))):
        now = rest.int()
        place = table + _zeros(f, "cttz", now) * 8
        place.store((place.int() | own).v)
        rest.store((now & (now - 1)).v)


class Lanes:
    """Lanes as bits, and what is done to them alone."""

    def __init__(self, frame: Frame, bits: Int) -> None:
        self.f, self.fmt, self.bits = frame.f, frame.fmt, bits

    def choose(self, group: int, yes: Num, no: Num) -> Num:
        f, fmt = self.f, self.fmt
        kind = ir.IntType(fmt.width)
        own = f.b.trunc(f.b.lshr(self.bits.v, ir.Constant(I64, group * fmt.width)), kind)
        mask = f.b.bitcast(own, ir.VectorType(I1, fmt.width))
        return Num(f, [f.b.select(mask, a, b) for a, b in zip(yes.parts, no.parts, strict=True)])

    def assign(self, target: Tile, source: Tile | None, rows: Int | int) -> None:
        """Copy rows of these lanes, zeros where there is no source; one number that serves all is of all lanes."""
        f = self.f
        if isinstance(target, SharedTile):
            with f.when(self.bits.differs(0)):
                if source is None:
                    target.clear(rows)
                else:
                    target.take(source, rows)
            return
        nothing = Num(f, [ir.Constant(self.fmt.vector, None)] * self.fmt.parts)
        with f.loop(0, rows) as row:
            for group in range(self.fmt.groups):
                value = nothing if source is None else source.get(row, group)
                target.put(row, group, self.choose(group, value, target.get(row, group)))
