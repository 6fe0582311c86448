"""The gradient kernel of a cascade: forward for the memories alone, then back over the tiles, section by section.

    λ[t] = g[t] + f1·λ[t+1] + f2·λ[t+2]        gradient of the section's x: b0·λ[t] + b1·λ[t+1] + b2·λ[t+2]
    gradient of b[j]: Σ λ[t+j]·conj(x[t])      gradient of f[k]: Σ λ[t+k]·conj(y[t])

The gradient of a memory is the λ of the two samples after it, so that of the memory after the block is where λ begins,
and the last two λ are the gradient of the memory before it. The inputs of all sections are computed again, for a tile
at a time, from the memories where it starts. These are kept for a stretch of tiles only; the memories where stretches
start, from a first walk, are few.
"""

from __future__ import annotations

from llvmlite import ir

from ._cascade_sections import CascadeFrame, Sections
from ._cascade_spec import ORDER, TAPS, CascadeSpec
from ._emit import Int
from ._frame import Group
from ._numbers import Num, Slot, Tile, zero
from ._shared import store_grad_x
from ._spec import TILE
from ._stream import fence
from ._sums import Sums


def emit_vjp(module: ir.Module, name: str, spec: CascadeSpec) -> None:
    """Add the gradient kernel of `spec` to `module`."""
    frame = CascadeFrame(module, name, spec)
    frame.backward = True
    with frame.groups(_Gradient) as each:
        each(lambda gradient: gradient.run())


class _Gradient:
    def __init__(self, frame: CascadeFrame, group: Group) -> None:
        self.frame, self.group, self.f, self.fmt, self.spec = frame, group, frame.f, frame.fmt, frame.spec
        self.sections = Sections(frame, group)
        self.signals, self.grad, self.lam = (frame.tile(name) for name in ("signals", "g", "lam"))
        self.ends = self.sections.ends
        self.starts, self.stretch_starts = frame.tile("starts"), frame.tile("stretch_starts")
        self.sums = Sums(frame, group, "taps", self.sections.count * TAPS)

    def run(self) -> None:
        frame, group, f, spec, sections = self.frame, self.group, self.f, self.spec, self.sections
        for table, name, storage in (
            ("offsets_x", "x", spec.x), ("offsets_y", "grad_y", spec.y), ("offsets_grad_x", "grad_x", spec.x),
        ):  # fmt: skip
            group.offsets(table, name, storage)
        sections.start()
        sections.load(self.lam, "grad_memory")
        sections.load(self.ends, "grad_ends")
        sections.turn(self.ends)
        self.sums.start()
        tiles, stretch = (frame.length + (TILE - 1)) // TILE, frame.word("stretch")
        stretches = (tiles + stretch - 1) // stretch
        if spec.grad_taps:
            with f.loop(0, stretches) as index:
                self._keep(self.stretch_starts, index)
                # the last stretch begins the way back
                self._forward(index * stretch, f.select(index < stretches - 1, stretch, 0))
        with f.loop(0, stretches) as done:
            index = stretches - 1 - done
            first = index * stretch
            count = f.minimum(stretch, tiles - first)
            if spec.grad_taps:
                self._resume(self.stretch_starts, index)
                self._forward(first, count - 1, keep=True)
                self._keep(self.starts, count - 1)
            with f.loop(0, count) as back:
                tile = count - 1 - back
                if spec.grad_taps:
                    self._resume(self.starts, tile)
                self._tile((first + tile) * TILE)
        fence(f)
        if spec.grad_taps:
            self.sums.write("to_taps")
        sections.store(self.lam, "to_memory")

    def _keep(self, starts: Tile, index: Int) -> None:
        starts.shifted(index * self.sections.delays).take(self.sections.memory, self.sections.delays)

    def _resume(self, starts: Tile, index: Int) -> None:
        self.sections.memory.take(starts.shifted(index * self.sections.delays), self.sections.delays)

    def _forward(self, first: Int, count: Int, *, keep: bool = False) -> None:
        """Run the sections over whole tiles for the memories alone."""
        steps = self.f.int(TILE)
        with self.f.loop(0, count) as tile:
            if keep:
                self._keep(self.starts, tile)
            self.sections.load_x(self.signals, (first + tile) * TILE, steps)
            self.sections.run(self.signals, steps)

    def _tile(self, time: Int) -> None:
        frame, f, spec = self.frame, self.f, self.spec
        steps = f.minimum(frame.length - time, TILE)
        if spec.grad_taps:
            self.sections.load_x(self.signals, time, steps)
            self.sections.run(self.signals, steps, apart=True)
        self.group.load(self.grad, "grad_y", spec.y, frame.region("offsets_y"), time, steps, ahead=-TILE)
        with f.loop(0, self.sections.count) as done:
            index = self.sections.count - 1 - done
            self._add_ends(index, time, steps)
            self._back(index, steps)
        if spec.grad_x:
            store_grad_x(frame, self.group, self.grad, time, steps)

    def _add_ends(self, index: Int, time: Int, steps: Int) -> None:
        """Add the gradient of a section's last two outputs."""
        f, given = self.f, self.frame.word("grad_ends_at").differs(0)
        first = self.frame.length - ORDER
        with f.loop(f.maximum(first - time, 0), f.select(given, steps, 0)) as row:
            end = index * ORDER + time + row - first
            for g in range(self.fmt.groups):
                self.grad.put(row, g, self.grad.get(row, g) + self.ends.get(end, g))

    def _back(self, index: Int, steps: Int) -> None:
        """Go back over a tile's rows in one section, whose x's gradient takes the place of its y's."""
        f, fmt, wants = self.f, self.fmt, self.spec.grad_taps
        x, y = self.signals.shifted(index * TILE), self.signals.shifted((index + 1) * TILE)
        vectors = range(fmt.groups)
        taps = [[self.sections.tap(index, tap, g).conj() for tap in range(TAPS)] for g in vectors]
        later = [[Slot(f, fmt, self.lam.get(index * ORDER + i, g)) for i in range(ORDER)] for g in vectors]
        sums = [[Slot(f, fmt, self._nothing()) for _ in range(TAPS if wants else 0)] for _ in vectors]
        with f.loop(0, steps) as done:
            row = steps - 1 - done
            for g in vectors:
                b0, b1, b2, f1, f2 = taps[g]
                one, two = (slot.get() for slot in later[g])
                lam = self.grad.get(row, g).plus(f2, two).plus(f1, one)
                self.grad.put(row, g, (b2 * two).plus(b1, one).plus(b0, lam))
                if wants:
                    here, there = x.get(row, g).conj(), y.get(row, g).conj()
                    factors = ((lam, here), (one, here), (two, here), (one, there), (two, there))
                    for total, pair in zip(sums[g], factors, strict=True):
                        total.set(self._add(total.get(), *pair))
                later[g][0].set(lam)
                later[g][1].set(one)
        for g in vectors:
            for i, slot in enumerate(later[g]):
                self.lam.put(index * ORDER + i, g, slot.get())
            for tap, total in enumerate(sums[g]):
                self.sums.add(index * TAPS + tap, g, total.get())

    @property
    def _real(self) -> bool:
        """Whether taps are real where signals are complex."""
        return self.fmt.is_complex and not self.spec.taps.startswith("complex")

    def _nothing(self) -> Num:
        nothing = zero(self.f, self.fmt)
        return Num(self.f, nothing.parts[:1]) if self._real else nothing

    def _add(self, total: Num, a: Num, b: Num) -> Num:
        """Return total + a·b, or its real part where that is all a gradient has."""
        if not self._real:
            return total.plus(a, b)
        (ar, ai), (br, bi) = ([Num(self.f, [part]) for part in number.parts] for number in (a, b.conj()))
        return total.plus(ar, br).plus(ai, bi)
