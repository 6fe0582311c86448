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

from ._cascade_sections import section
from ._cascade_spec import ORDER, TAPS, WaveSpec
from ._emit import I32, Function, Int, Ptr
from ._frame import Frame
from ._memory import STORAGES, shuffle
from ._numbers import Num, Slot, Tile, zero
from ._stream import fence
from ._wave_rows import Rows

LAG = 2
"""Steps by which a section is behind the one before it: what moves on to it is not waited for."""


class WaveFrame(Frame):
    """The frame of a cascade whose lanes are sections."""

    spec: WaveSpec


def emit_wave(module: ir.Module, name: str, spec: WaveSpec) -> None:
    """Add the forward kernel of `spec` for few rows to `module`."""
    frame = WaveFrame(module, name, spec)
    rows = Rows(frame, module, spec.x, spec.y)
    with frame.items() as item:
        _Wave(frame, item).run(rows)


class _Wave:
    """One row through all its sections, a chunk of samples at a time, in place."""

    def __init__(self, frame: WaveFrame, item: Int) -> None:
        self.frame, self.f, self.fmt, self.spec = frame, frame.f, frame.fmt, frame.spec
        self.count, self.vectors = frame.word("sections"), range(frame.fmt.groups)
        self.taps, self.memory, self.ends = (frame.tile(name) for name in ("taps", "memory", "ends"))
        self.number = self.fmt.parts * self.fmt.real_bytes
        self.buffer = frame.region("buffer") + self.fmt.lanes * LAG * self.number
        self.example = item // frame.word("channels")
        self.channel = item - self.example * frame.word("channels")

    def run(self, rows: Rows) -> None:
        frame, f, spec = self.frame, self.f, self.spec
        self._exchange("taps", self.taps, TAPS, spec.taps, load=True)
        self.memory.clear(self._blocks() * ORDER)
        self.ends.clear(self._blocks() * ORDER)
        with f.when(frame.word("memory_at").differs(0)):
            self._exchange("memory", self.memory, ORDER, spec.compute, load=True)
        x, y = self._row("x"), self._row("y")
        x_stride, y_stride = frame.word("x_time"), frame.word("y_time")
        chunk, lead = spec.chunk, rows.lead(y, y_stride)
        first = f.select(lead.equals(0), chunk, lead)
        with f.loop(0, (frame.length - first + chunk + (chunk - 1)) // chunk) as index:
            start = f.maximum(first + (index - 1) * chunk, 0)
            steps = f.minimum(first + index * chunk, frame.length) - start
            rows.load(self.buffer, x + start * x_stride, x_stride, steps)
            with f.loop(0, self._blocks()) as block:
                self._block(block, steps)
            rows.store(self.buffer, y + start * y_stride, y_stride, steps)
        fence(f)
        self._exchange("to_memory", self.memory, ORDER, spec.compute, load=False)
        self._exchange("ends", self.ends, ORDER, spec.compute, load=False, turn=True)

    def _row(self, name: str) -> Ptr:
        frame = self.frame
        strides = self.example * frame.word(f"{name}_batch") + self.channel * frame.word(f"{name}_channel")
        return frame.pointer(name) + strides

    def _blocks(self) -> Int:
        return (self.count + (self.fmt.lanes - 1)) // self.fmt.lanes

    def _sections(self, block: Int) -> Int:
        """Return how many sections a block of lanes has."""
        return self.f.minimum(self.count - block * self.fmt.lanes, self.fmt.lanes)

    def _exchange(self, name: str, tile: Tile, each: int, storage: str, *, load: bool, turn: bool = False) -> None:
        """Copy what every section has, between memory and the lanes of a tile."""
        f, fmt, frame = self.f, self.fmt, self.frame
        kind, row, stride = STORAGES[storage], self._row(name), frame.word(f"{name}_row")
        if load:
            tile.clear(self._blocks() * each)
        with f.loop(0, self.count) as index:
            block = index // fmt.lanes
            lane = self._sections(block) - 1 - (index - block * fmt.lanes)
            vector = lane // fmt.width
            column = vector * (fmt.parts * fmt.vector_bytes) + (lane - vector * fmt.width) * fmt.real_bytes
            for k in range(each):
                source = f.select(frame.word("flip").differs(0), each - 1 - k, k) if turn else f.int(k)
                memory = row + (index * each + source) * stride
                for part in range(kind.parts):
                    inside = tile.row(block * each + k) + column + part * fmt.vector_bytes
                    outside = memory + part * fmt.real_bytes
                    one, other = (outside, inside) if load else (inside, outside)
                    other.store(one.load(fmt.real))

    def _block(self, block: Int, steps: Int) -> None:
        """Run the sections of a block over the buffer."""
        wave = _Steps(self, block, steps)
        f, behind = self.f, wave.behind
        body = f.maximum(behind, steps - ORDER)
        with f.loop(0, behind) as at:
            wave.step(at, edge=True)
        with f.loop(behind, body) as at:
            wave.step(at)
        with f.loop(body, steps + behind) as at:
            wave.step(at, edge=True)
        wave.finish()


class _Steps:
    """Steps of the sections of one block; everything that changes is in registers."""

    def __init__(self, wave: _Wave, block: Int, steps: Int) -> None:
        self.wave, self.f, self.fmt, self.vectors = wave, wave.f, wave.fmt, wave.vectors
        f, fmt, count = self.f, self.fmt, wave._sections(block)
        self.behind, self.block = (count - 1) * LAG, block
        real = 1 if not wave.spec.taps.startswith("complex") else fmt.parts
        self.taps = [
            [Num(f, wave.taps.get(block * TAPS + tap, v).parts[:real]) for tap in range(TAPS)] for v in self.vectors
        ]
        self.memory, self.ends = (
            [[Slot(f, fmt, tile.get(block * ORDER + i, v)) for i in range(ORDER)] for v in self.vectors]
            for tile in (wave.memory, wave.ends)
        )
        self.past = [[Slot(f, fmt, zero(f, fmt)) for _ in self.vectors] for _ in range(LAG)]
        lanes = [
            ir.Constant(ir.VectorType(I32, fmt.width), list(range(v * fmt.width, (v + 1) * fmt.width)))
            for v in self.vectors
        ]
        # the first sample of a lane comes so many steps late
        self.late = [self._times(f.b.sub(self._all(count - 1), lane)) for lane in lanes]
        self.over = [f.b.add(late, self._all(steps)) for late in self.late]
        self.entry = [f.b.icmp_signed("==", lane, self._all(count - 1)) for lane in lanes]

    def _all(self, number: Int) -> Any:
        f, kind = self.f, ir.VectorType(I32, self.fmt.width)
        one = f.b.insert_element(ir.Constant(kind, ir.Undefined), f.b.trunc(number.v, I32), ir.Constant(I32, 0))
        return shuffle(f, one, ir.Constant(kind, ir.Undefined), [0] * self.fmt.width)

    def _times(self, vector: Any) -> Any:
        return self.f.b.mul(vector, ir.Constant(vector.type, [LAG] * vector.type.count))

    def step(self, at: Int, *, edge: bool = False) -> None:
        f, number = self.f, self.wave.number
        here = self.wave.buffer + at * number
        xs = self._moved([slot.get() for slot in self.past[-1]], here)
        ys = []
        for v in self.vectors:
            y, memory = section(self.taps[v], xs[v], [slot.get() for slot in self.memory[v]])
            pairs = list(zip(self.memory[v], memory, strict=True))
            if edge:
                pairs += [(self.ends[v][0], self.ends[v][1].get()), (self.ends[v][1], y)]
                now = self._all(at)
                active = f.b.and_(f.b.icmp_signed(">=", now, self.late[v]), f.b.icmp_signed("<", now, self.over[v]))
                pairs = [(slot, _choose(f, active, new, slot.get())) for slot, new in pairs]
            for slot, new in pairs:
                slot.set(new)
            ys.append(y)
        for older, newer in zip(reversed(self.past[1:]), reversed(self.past[:-1]), strict=True):
            for one, other in zip(older, newer, strict=True):
                one.set(other.get())
        for slot, y in zip(self.past[0], ys, strict=True):
            slot.set(y)
        out = here - self.behind * number
        for part, vector in enumerate(ys[0].parts):
            (out + part * self.fmt.real_bytes).store(f.b.extract_element(vector, ir.Constant(I32, 0)))

    def _moved(self, ys: Sequence[Num], here: Ptr) -> list[Num]:
        """Return outputs, each moved on to the lane of the next section, and x in the lane of the first."""
        f, fmt = self.f, self.fmt
        moved = []
        following = [*ys[1:], zero(f, fmt)]
        for v, (own, after) in enumerate(zip(ys, following, strict=True)):
            parts = []
            for part, (low, high) in enumerate(zip(own.parts, after.parts, strict=True)):
                shifted = shuffle(f, low, high, range(1, fmt.width + 1))
                parts.append(f.b.select(self.entry[v], self._splat(here + part * fmt.real_bytes), shifted))
            moved.append(Num(f, parts))
        return moved

    def _splat(self, place: Ptr) -> Any:
        f, kind = self.f, self.fmt.vector
        one = f.b.insert_element(ir.Constant(kind, ir.Undefined), place.load(self.fmt.real), ir.Constant(I32, 0))
        return shuffle(f, one, ir.Constant(kind, ir.Undefined), [0] * self.fmt.width)

    def finish(self) -> None:
        for tile, slots in ((self.wave.memory, self.memory), (self.wave.ends, self.ends)):
            for v in self.vectors:
                for i, slot in enumerate(slots[v]):
                    tile.put(self.block * ORDER + i, v, slot.get())


def _choose(f: Function, mask: Any, yes: Num, no: Num) -> Num:
    return Num(f, [f.b.select(mask, *pair) for pair in zip(yes.parts, no.parts, strict=True)])
