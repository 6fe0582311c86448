"""Few rows: the lanes of a vector are the sections of a row, each some samples behind the one before it.

A section works on what the one before it made a few steps ago, so all of them compute at once, in the order of stepping
and with its result to the last bit. The last section is lane 0, from where numbers are stored; what lane i + 1
made moves on to lane i, and x enters at the first section. Steps at either end, in which a lane has no sample yet or
none left, leave the memory of that lane alone. Rows side by side compute while others wait for their multiply-adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from .._code.emit import I32, Int, Ptr
from .._code.frame import Frame
from .._code.memory import STORAGES, shuffle
from .._code.numbers import Num, Slot, Tile, zero
from .._code.stream import fence
from .rows import Rows, lead
from .sections import choose, section_forward
from .spec import LAG, ORDER, TAPS, WaveSpec


class WaveFrame(Frame):
    """The frame of a cascade whose lanes are sections."""

    spec: WaveSpec


def emit(module: ir.Module, name: str, spec: WaveSpec) -> None:
    """Add the forward kernel of `spec` for few rows to `module`."""
    frame = WaveFrame(module, name, spec)
    rows = Rows(frame, module)
    with frame.items() as item:
        _Forward(frame, rows, item).run()


class Wave:
    """The rows of an item, which go through all their sections a chunk of samples at a time, in place."""

    def __init__(self, frame: WaveFrame, rows: Rows, item: Int) -> None:
        self.frame, self.f, self.fmt, self.spec, self.rows = frame, frame.f, frame.fmt, frame.spec, rows
        self.count, self.vectors = frame.word("sections"), range(frame.fmt.groups)
        self.taps, self.memory, self.ends = (frame.tile(name) for name in ("taps", "memory", "ends"))
        self.number = self.fmt.parts * self.fmt.real_bytes
        self.blocks = (self.count + (self.spec.lanes - 1)) // self.spec.lanes
        first = frame.region("buffer") + self.spec.lanes * LAG * self.number
        self.buffers = [first + r * self.spec.buffer_bytes for r in range(self.spec.side)]
        self.rows_at = [item * self.spec.side + r for r in range(self.spec.side)]

    def start(self) -> None:
        """Load coefficients and memories."""
        self.exchange("taps", self.taps, TAPS, self.spec.taps, load=True)
        self.load(self.memory, "memory")

    def load(self, tile: Tile, name: str, *, turn: bool = False) -> None:
        """Load what each section has two of; what is not there is zeros."""
        tile.clear(self.blocks * ORDER)
        with self.f.when(self.frame.word(f"{name}_at").differs(0)):
            self.exchange(name, tile, ORDER, self.spec.compute, load=True, turn=turn)

    def store(self, tile: Tile, name: str, *, turn: bool = False) -> None:
        """Store what each section has two of, if there is a place for it."""
        with self.f.when(self.frame.word(f"{name}_at").differs(0)):
            self.exchange(name, tile, ORDER, self.spec.compute, load=False, turn=turn)

    def load_rows(self, name: str, start: Int, steps: Int, storage: str) -> None:
        """Load a chunk of every row of a signal."""
        for buffer, (place, stride) in zip(self.buffers, self.signals(name, start), strict=True):
            self.rows.load(buffer, place, stride, steps, storage)

    def store_rows(self, name: str, start: Int, steps: Int, storage: str) -> None:
        """Store a chunk of every row of a signal."""
        for buffer, (place, stride) in zip(self.buffers, self.signals(name, start), strict=True):
            self.rows.store(buffer, place, stride, steps, storage)

    def signals(self, name: str, start: Int) -> list[tuple[Ptr, Int]]:
        """Return where the rows of a signal are at a time, and their stride."""
        stride = self.frame.word(f"{name}_time")
        return [(self._row(name, row) + start * stride, stride) for row in self.rows_at]

    def _row(self, name: str, row: Int) -> Ptr:
        frame, channels = self.frame, self.frame.word("channels")
        example = row // channels
        strides = example * frame.word(f"{name}_batch") + (row - example * channels) * frame.word(f"{name}_channel")
        return frame.pointer(name) + strides

    def sections(self, block: Int) -> Int:
        """Return how many sections a block of lanes has."""
        return self.f.minimum(self.count - block * self.spec.lanes, self.spec.lanes)

    def column(self, tile: Tile, lane: Int, r: int) -> Int:
        """Return where a lane of a row lies within a tile."""
        fmt = tile.fmt
        vector = lane // fmt.width
        within = (lane - vector * fmt.width) * fmt.real_bytes
        return (vector + r * self.spec.vectors) * (fmt.parts * fmt.vector_bytes) + within

    def exchange(self, name: str, tile: Tile, each: int, storage: str, *, load: bool, turn: bool = False) -> None:
        """Copy what every section has `each` of, between memory and the lanes of a tile.

        With `turn`, from ascending into running order or back.
        """
        f, fmt, kind, flip = self.f, tile.fmt, STORAGES[storage], self.frame.word("flip").differs(0)
        section, order = (self.frame.word(f"{name}_{axis}") for axis in ("section", "order"))
        if load:
            tile.clear(self.blocks * each)
        for r, at in enumerate(self.rows_at):
            row = self._row(name, at)
            with f.loop(0, self.count) as index:
                block = index // self.spec.lanes
                column = self.column(tile, self.sections(block) - 1 - (index - block * self.spec.lanes), r)
                for k in range(each):
                    memory = row + index * section + (f.select(flip, each - 1 - k, k) if turn else f.int(k)) * order
                    for part in range(kind.parts):
                        inside = tile.row(block * each + k) + column + part * fmt.vector_bytes
                        outside = memory + part * fmt.real_bytes
                        one, other = (outside, inside) if load else (inside, outside)
                        other.store(one.load(fmt.real))

    def forward(self, steps: Int, *, records: Sequence[Tile] = (), ends: bool = False) -> None:
        """Run all sections over the buffers.

        What goes into them and comes out at every step may be recorded; with `ends`, their last outputs are kept.
        """
        f = self.f
        with f.loop(0, self.blocks) as block:
            own = [tile.shifted(block * self.spec.record_rows) for tile in records]
            run = _Steps(self, block, steps, own, ends)
            body = f.maximum(run.behind, steps - ORDER)
            with f.loop(0, run.behind) as at:
                run.step(at, edge=True)
            with f.loop(run.behind, body) as at:
                run.step(at)
            with f.loop(body, steps + run.behind) as at:
                run.step(at, edge=True)
            run.finish()


class _Forward(Wave):
    def run(self) -> None:
        frame, f, spec = self.frame, self.f, self.spec
        self.start()
        self.ends.clear(self.blocks * ORDER)
        # the first chunk ends where a cache line of y does
        few, chunk = lead(f, *self.signals("y", f.int(0))[0], spec.y), spec.chunk
        first = f.select(few.equals(0), chunk, few)
        with f.loop(0, (frame.length - first + chunk + (chunk - 1)) // chunk) as index:
            start = f.maximum(first + (index - 1) * chunk, 0)
            steps = f.minimum(first + index * chunk, frame.length) - start
            self.load_rows("x", start, steps, spec.x)
            self.forward(steps, ends=True)
            self.store_rows("y", start, steps, spec.y)
        fence(f)
        self.store(self.memory, "to_memory")
        self.store(self.ends, "ends", turn=True)


class Lanes:
    """Where the sections of one block are in time, and in which lanes."""

    def __init__(self, wave: Wave, block: Int, steps: Int) -> None:
        self.wave, self.f, self.fmt, self.vectors = wave, wave.f, wave.fmt, wave.vectors
        f, width = self.f, self.fmt.width
        self.block, self.steps, self.count = block, steps, wave.sections(block)
        self.behind = (self.count - 1) * LAG
        kind, own = ir.VectorType(I32, width), range(wave.spec.vectors)
        lanes = [ir.Constant(kind, list(range(v * width, (v + 1) * width))) for v in own] * wave.spec.side
        lag = ir.Constant(kind, [LAG] * width)
        # by so many steps is a lane behind the first section
        self.late = [f.b.mul(f.b.sub(self.all(self.count - 1), lane), lag) for lane in lanes]
        self.entry = [f.b.icmp_signed("==", lane, self.all(self.count - 1)) for lane in lanes]

    def all(self, number: Int) -> Any:
        """Return a vector of one number."""
        return self._splat(self.f.b.trunc(number.v, I32))

    def times(self, at: Int) -> list[Any]:
        """Return which sample every lane works on at a step."""
        return [self.f.b.sub(self.all(at), late) for late in self.late]

    def active(self, times: Any) -> Any:
        """Return which lanes have a sample."""
        b = self.f.b
        return b.and_(
            b.icmp_signed(">=", times, self.all(self.f.int(0))), b.icmp_signed("<", times, self.all(self.steps))
        )

    def taps(self) -> list[list[Num]]:
        real = self.fmt.parts if self.wave.spec.taps.startswith("complex") else 1
        tile = self.wave.taps
        return [
            [Num(self.f, tile.get(self.block * TAPS + tap, v).parts[:real]) for tap in range(TAPS)]
            for v in self.vectors
        ]

    def delays(self, tile: Tile) -> list[list[Slot]]:
        """Return registers with the two numbers of each section that a tile holds."""
        return [
            [Slot(self.f, self.fmt, tile.get(self.block * ORDER + i, v)) for i in range(ORDER)] for v in self.vectors
        ]

    def put(self, tile: Tile, slots: list[list[Slot]]) -> None:
        for v in self.vectors:
            for i, slot in enumerate(slots[v]):
                tile.put(self.block * ORDER + i, v, slot.get())

    def by_row(self, numbers: list[Num]) -> list[list[Num]]:
        """Return the vectors of each row."""
        own = self.wave.spec.vectors
        return [numbers[r * own : (r + 1) * own] for r in range(self.wave.spec.side)]

    def numbers(self, at: Int) -> list[Num]:
        """Return what is in each row's buffer, in every lane."""
        parts = [at * self.wave.number + k * self.fmt.real_bytes for k in range(self.fmt.parts)]
        return [
            Num(self.f, [self._splat((buffer + part).load(self.fmt.real)) for part in parts])
            for buffer in self.wave.buffers
        ]

    def _splat(self, scalar: Any) -> Any:
        kind = ir.VectorType(scalar.type, self.fmt.width)
        one = self.f.b.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(I32, 0))
        return shuffle(self.f, one, ir.Constant(kind, ir.Undefined), [0] * self.fmt.width)


class Past:
    """What every lane made in the last steps."""

    def __init__(self, lanes: Lanes) -> None:
        self.slots = [[Slot(lanes.f, lanes.fmt, zero(lanes.f, lanes.fmt)) for _ in lanes.vectors] for _ in range(LAG)]

    def get(self) -> list[Num]:
        """Return what was made `LAG` steps ago."""
        return [slot.get() for slot in self.slots[-1]]

    def add(self, numbers: Sequence[Num]) -> None:
        for k in reversed(range(1, LAG)):
            for older, newer in zip(self.slots[k], self.slots[k - 1], strict=True):
                older.set(newer.get())
        for slot, number in zip(self.slots[0], numbers, strict=True):
            slot.set(number)


class _Steps(Lanes):
    """Forward steps of the sections of one block; everything that changes is in registers."""

    def __init__(self, wave: Wave, block: Int, steps: Int, records: Sequence[Tile], ends: bool) -> None:
        super().__init__(wave, block, steps)
        self.own, self.records, self.keeps = self.taps(), records, ends
        self.memory, self.ends = self.delays(wave.memory), self.delays(wave.ends)
        self.past = Past(self)

    def step(self, at: Int, *, edge: bool = False) -> None:
        """Compute one step; at the edge, where some lanes have no sample, and the last outputs are kept."""
        f = self.f
        xs: list[Num] = []
        for own, x in zip(self.by_row(self.past.get()), self.numbers(at), strict=True):
            xs += self._moved(own, x)
        ys, times = [], self.times(at) if edge else []
        for v in self.vectors:
            memory, ends = self.memory[v], self.ends[v]
            y, after = section_forward(self.own[v], xs[v], [slot.get() for slot in memory])
            news = list(zip(memory, after, strict=True))
            if edge:
                active = self.active(times[v])
                if self.keeps:
                    news += [(ends[0], ends[1].get()), (ends[1], y)]
                news = [(slot, choose(active, new, slot.get())) for slot, new in news]
            for slot, new in news:
                slot.set(new)
            ys.append(y)
        for tile, made in zip(self.records, (xs, ys), strict=False):
            for v in self.vectors:
                tile.put(at, v, made[v])
        self.past.add(ys)
        for buffer, (last, *_) in zip(self.wave.buffers, self.by_row(ys), strict=True):
            out = buffer + (at - self.behind) * self.wave.number
            for part, vector in enumerate(last.parts):
                (out + part * self.fmt.real_bytes).store(f.b.extract_element(vector, ir.Constant(I32, 0)))

    def _moved(self, ys: Sequence[Num], x: Num) -> list[Num]:
        """Return outputs, each moved on to the lane of the next section, and x in the lane of the first."""
        f, order = self.f, range(1, self.fmt.width + 1)
        moved = []
        for v, (own, after) in enumerate(zip(ys, [*ys[1:], zero(f, self.fmt)], strict=True)):
            shifted = [shuffle(f, low, high, order) for low, high in zip(own.parts, after.parts, strict=True)]
            moved.append(choose(self.entry[v], x, Num(f, shifted)))
        return moved

    def finish(self) -> None:
        self.put(self.wave.memory, self.memory)
        if self.keeps:
            self.put(self.wave.ends, self.ends)
