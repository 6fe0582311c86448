"""Few rows: the lanes of a vector are the sections of a row, each some samples behind the one before it.

A section works on what the one before it made a few steps ago, so all of them compute at once, in the order of stepping
and with its result to the last bit. The last section is lane 0, from where numbers are stored; what lane i + 1
made moves on to lane i, and x enters at the first section. Steps at either end, in which a lane has no sample yet or
none left, leave the memory of that lane alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from ._cascade_rows import Rows, lead
from ._cascade_sections import choose, section_forward
from ._cascade_spec import LAG, ORDER, TAPS, WaveSpec
from ._emit import I32, Int, Ptr
from ._frame import Frame
from ._memory import STORAGES, shuffle
from ._numbers import Num, Slot, Tile, zero
from ._stream import fence


class WaveFrame(Frame):
    """The frame of a cascade whose lanes are sections."""

    spec: WaveSpec


def emit_wave(module: ir.Module, name: str, spec: WaveSpec) -> None:
    """Add the forward kernel of `spec` for few rows to `module`."""
    frame = WaveFrame(module, name, spec)
    rows = Rows(frame, module)
    with frame.items() as item:
        _Forward(frame, rows, item).run()


class Wave:
    """One row that goes through all its sections a chunk of samples at a time, in place."""

    def __init__(self, frame: WaveFrame, rows: Rows, item: Int) -> None:
        self.frame, self.f, self.fmt, self.spec, self.rows = frame, frame.f, frame.fmt, frame.spec, rows
        self.count, self.vectors = frame.word("sections"), range(frame.fmt.groups)
        self.taps, self.memory, self.ends = (frame.tile(name) for name in ("taps", "memory", "ends"))
        self.number = self.fmt.parts * self.fmt.real_bytes
        self.buffer = frame.region("buffer") + self.fmt.lanes * LAG * self.number
        self.blocks = (self.count + (self.fmt.lanes - 1)) // self.fmt.lanes
        self.example = item // frame.word("channels")
        self.channel = item - self.example * frame.word("channels")

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

    def signal(self, name: str, start: Int) -> tuple[Ptr, Int]:
        """Return where this row of a signal is at a time, and its stride."""
        stride = self.frame.word(f"{name}_time")
        return self._row(name) + start * stride, stride

    def _row(self, name: str) -> Ptr:
        frame = self.frame
        strides = self.example * frame.word(f"{name}_batch") + self.channel * frame.word(f"{name}_channel")
        return frame.pointer(name) + strides

    def sections(self, block: Int) -> Int:
        """Return how many sections a block of lanes has."""
        return self.f.minimum(self.count - block * self.fmt.lanes, self.fmt.lanes)

    def column(self, tile: Tile, lane: Int) -> Int:
        """Return where a lane lies within the rows of a tile."""
        fmt = tile.fmt
        vector = lane // fmt.width
        return vector * (fmt.parts * fmt.vector_bytes) + (lane - vector * fmt.width) * fmt.real_bytes

    def exchange(self, name: str, tile: Tile, each: int, storage: str, *, load: bool, turn: bool = False) -> None:
        """Copy what every section has `each` of, between memory and the lanes of a tile.

        With `turn`, from ascending into running order or back.
        """
        f, fmt, kind, flip = self.f, tile.fmt, STORAGES[storage], self.frame.word("flip").differs(0)
        row = self._row(name)
        section, order = (self.frame.word(f"{name}_{axis}") for axis in ("section", "order"))
        if load:
            tile.clear(self.blocks * each)
        with f.loop(0, self.count) as index:
            block = index // fmt.lanes
            column = self.column(tile, self.sections(block) - 1 - (index - block * fmt.lanes))
            for k in range(each):
                memory = row + index * section + (f.select(flip, each - 1 - k, k) if turn else f.int(k)) * order
                for part in range(kind.parts):
                    inside = tile.row(block * each + k) + column + part * fmt.vector_bytes
                    outside = memory + part * fmt.real_bytes
                    one, other = (outside, inside) if load else (inside, outside)
                    other.store(one.load(fmt.real))

    def forward(self, steps: Int, *, records: Sequence[Tile] = (), ends: bool = False) -> None:
        """Run all sections over the buffer.

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
        frame, f, spec, rows = self.frame, self.f, self.spec, self.rows
        self.start()
        self.ends.clear(self.blocks * ORDER)
        # the first chunk ends where a cache line of y does
        few, chunk = lead(f, *self.signal("y", f.int(0)), spec.y), spec.chunk
        first = f.select(few.equals(0), chunk, few)
        with f.loop(0, (frame.length - first + chunk + (chunk - 1)) // chunk) as index:
            start = f.maximum(first + (index - 1) * chunk, 0)
            steps = f.minimum(first + index * chunk, frame.length) - start
            rows.load(self.buffer, *self.signal("x", start), steps, spec.x)
            self.forward(steps, ends=True)
            rows.store(self.buffer, *self.signal("y", start), steps, spec.y)
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
        kind = ir.VectorType(I32, width)
        lanes = [ir.Constant(kind, list(range(v * width, (v + 1) * width))) for v in self.vectors]
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

    def number(self, place: Ptr) -> Num:
        """Return a number of the buffer in every lane."""
        size = self.fmt.real_bytes
        return Num(self.f, [self._splat((place + k * size).load(self.fmt.real)) for k in range(self.fmt.parts)])

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
        f, number = self.f, self.wave.number
        here = self.wave.buffer + at * number
        xs, ys = self._moved(self.past.get(), self.number(here)), []
        times = self.times(at) if edge else []
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
        out = here - self.behind * number
        for part, vector in enumerate(ys[0].parts):
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
