"""The gradient for few rows: back through the steps of the wave, each lane still a section.

Forward, section s works on sample t in step t + LAG·s; on the way back, where the last section leads, it does so in the
same step counted from the end. So what went into all sections and came out of them in a step forward is just what they
need in that step back, lane by lane. Memories where chunks start are kept as in `vjp`.
"""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from .._code.emit import Int
from .._code.memory import shuffle
from .._code.numbers import Num, Tile
from .._code.stream import fence
from .._code.sums import Sums
from .._recurrence.spec import TILE
from .rows import Rows
from .sections import Products, choose, section_back
from .spec import ORDER, TAPS, WaveFormat, WaveSpec
from .starts import straight_back, walk_back
from .wave import Lanes, Past, Wave, WaveFrame


def emit(module: ir.Module, name: str, spec: WaveSpec) -> None:
    """Add the gradient kernel of `spec` for few rows to `module`."""
    frame = WaveFrame(module, name, spec)
    rows = Rows(frame, module)
    with frame.items() as item:
        _Gradient(frame, rows, item).run()


class _Gradient(Wave):
    def __init__(self, frame: WaveFrame, rows: Rows, item: Int) -> None:
        super().__init__(frame, rows, item)
        self.lam, self.inputs, self.outputs = (frame.tile(name) for name in ("lam", "inputs", "outputs"))
        self.sums = Sums(frame, "taps", self.blocks * TAPS)

    def run(self) -> None:
        frame, f, spec = self.frame, self.f, self.spec
        self.start()
        self.load(self.lam, "grad_memory")
        self.load(self.ends, "grad_ends", turn=True)
        if spec.grad_taps:
            self.sums.start()
            walk_back(frame, spec.chunk, self.memory, self.blocks * ORDER, self._forward, self._chunk)
            double = WaveFormat(True, self.fmt.is_complex, self.fmt.width * 8, spec.vectors, spec.side)
            self.exchange("to_taps", Tile(f, double, self.sums.base), TAPS, double.storage, load=False)
        else:
            straight_back(frame, spec.chunk, self._chunk)
        fence(f)
        self.store(self.lam, "to_memory")

    def _forward(self, time: Int) -> None:
        """Run the sections over a whole chunk for the memories alone."""
        steps = self.f.int(self.spec.chunk)
        self.load_rows("x", time, steps, self.spec.x)
        self.forward(steps)

    def _chunk(self, time: Int) -> None:
        f, spec = self.f, self.spec
        steps = f.minimum(self.frame.length - time, spec.chunk)
        if spec.grad_taps:
            self.load_rows("x", time, steps, spec.x)
            self.forward(steps, records=(self.inputs, self.outputs))
        self.load_rows("grad_y", time, steps, spec.y)
        with f.loop(0, self.blocks) as done:
            self._back(self.blocks - 1 - done, steps, time)
        if spec.grad_x:
            self.store_rows("grad_x", time, steps, spec.grad_x)

    def _back(self, block: Int, steps: Int, time: Int) -> None:
        """Go back through the sections of a block, whose x's gradient takes the place of their y's."""
        f = self.f
        run = _StepsBack(self, block, steps, time)
        behind, end = run.behind, steps + run.behind
        body = f.maximum(behind, steps - ORDER)
        with f.loop(0, end - body) as done:
            run.step(end - 1 - done, edge=True)
        run.flush()
        # sums in the kernel's precision are as short as in other kernels
        with f.loop(0, body - behind, TILE) as visited:
            with f.loop(visited, f.minimum(visited + TILE, body - behind)) as done:
                run.step(body - 1 - done)
            run.flush()
        with f.loop(0, behind) as done:
            run.step(behind - 1 - done, edge=True)
        run.flush()
        run.finish()


class _StepsBack(Lanes):
    """Backward steps of the sections of one block; everything that changes is in registers."""

    def __init__(self, wave: _Gradient, block: Int, steps: Int, time: Int) -> None:
        super().__init__(wave, block, steps)
        self.gradient, f = wave, wave.f
        self.wants = wave.spec.grad_taps
        self.own = [[tap.conj() for tap in taps] for taps in self.taps()]
        self.later, self.ends = self.delays(wave.lam), self.delays(wave.ends)
        self.inputs, self.outputs = (
            tile.shifted(block * wave.spec.record_rows) for tile in (wave.inputs, wave.outputs)
        )
        self.sums = [Products(f, self.fmt, wave.spec.taps) for _ in self.vectors] if self.wants else []
        self.past = Past(self)
        # where the last two samples of the whole row are in this chunk, or beyond it, in 32 bits
        last = [wave.frame.length - time - (ORDER - i) for i in range(ORDER)]
        self.last = [self.all(f.minimum(at, wave.spec.chunk)) for at in last]

    def step(self, at: Int, *, edge: bool = False) -> None:
        """Go back one step; at the edge, where some lanes have no sample, or one of the last two."""
        grads: list[Num] = []
        for own, grad in zip(self.by_row(self.past.get()), self.numbers(at - self.behind), strict=True):
            grads += self._moved(own, grad)
        times, made = self.times(at) if edge else [], []
        for v in self.vectors:
            grad, later = grads[v], [slot.get() for slot in self.later[v]]
            active = self.active(times[v]) if edge else None
            if edge:
                for last, end in zip(self.last, self.ends[v], strict=True):
                    grad = choose(self.f.b.icmp_signed("==", times[v], last), grad + end.get(), grad)
            lam, to_x = section_back(self.own[v], grad, later)
            if self.wants:
                self.sums[v].add(lam, later, self.inputs.get(at, v), self.outputs.get(at, v), active)
            for slot, new in zip(self.later[v], (lam, later[0]), strict=True):
                slot.set(choose(active, new, slot.get()) if edge else new)
            made.append(to_x)
        for v in self.vectors:
            # what went in was needed here for the last time
            self.inputs.put(at, v, made[v])
        self.past.add(made)

    def _moved(self, grads: Sequence[Num], grad: Num) -> list[Num]:
        """Return gradients, each moved on to the lane of the section before, and y's in the lane of the last."""
        width = self.fmt.width
        order = range(width - 1, 2 * width - 1)
        return [
            Num(self.f, [shuffle(self.f, low, high, order) for low, high in zip(below.parts, own.parts, strict=True)])
            for below, own in zip([grad, *grads[:-1]], grads, strict=True)
        ]

    def flush(self) -> None:
        for v, sums in enumerate(self.sums):
            sums.flush(self.gradient.sums, self.block * TAPS, v)

    def finish(self) -> None:
        """Put the gradient of each row's x into its buffer, from the lane of the first section."""
        f, fmt, wave = self.f, self.fmt, self.wave
        self.put(self.gradient.lam, self.later)
        sources = [self.inputs.base + wave.column(self.inputs, self.count - 1, r) for r in range(wave.spec.side)]
        with f.loop(0, self.steps) as at:
            for source, buffer in zip(sources, wave.buffers, strict=True):
                for part in range(fmt.parts):
                    value = (source + at * fmt.row_bytes + part * fmt.vector_bytes).load(fmt.real)
                    (buffer + at * wave.number + part * fmt.real_bytes).store(value)
