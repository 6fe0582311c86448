"""The gradient kernel of a cascade: forward for the memories alone, then back over the tiles, section by section.

    λ[t] = g[t] + f1·λ[t+1] + f2·λ[t+2]        gradient of the section's x: b0·λ[t] + b1·λ[t+1] + b2·λ[t+2]
    gradient of b[j]: Σ λ[t+j]·conj(x[t])      gradient of f[k]: Σ λ[t+k]·conj(y[t])

The gradient of a memory is the λ of the two samples after it, so that of the memory after the block is where λ begins,
and the last two λ are the gradient of the memory before it. The inputs of all sections are computed again, for a tile
at a time, from the memories where it starts.
"""

from __future__ import annotations

from llvmlite import ir

from .._code.emit import Int
from .._code.frame import Group
from .._code.numbers import Slot
from .._code.shared import store_grad_x
from .._code.stream import fence
from .._code.sums import Sums
from .._recurrence.spec import TILE
from .sections import CascadeFrame, Products, Sections, section_back
from .spec import ORDER, TAPS, CascadeSpec
from .starts import straight_back, walk_back


def emit(module: ir.Module, name: str, spec: CascadeSpec) -> None:
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
        self.sums = Sums(frame, "taps", self.sections.count * TAPS)

    def run(self) -> None:
        frame, group, spec, sections = self.frame, self.group, self.spec, self.sections
        for table, name, storage in (
            ("offsets_x", "x", spec.x), ("offsets_y", "grad_y", spec.y), ("offsets_grad_x", "grad_x", spec.x),
        ):  # fmt: skip
            group.offsets(table, name, storage)
        sections.start()
        sections.load(self.lam, "grad_memory")
        sections.load(self.ends, "grad_ends")
        sections.turn(self.ends)
        if spec.grad_taps:
            self.sums.start()
            walk_back(frame, TILE, sections.memory, sections.delays, self._forward, self._tile)
            self.sums.write(group, "to_taps")
        else:
            straight_back(frame, TILE, self._tile)
        fence(self.f)
        sections.store(self.lam, "to_memory")

    def _forward(self, time: Int) -> None:
        """Run the sections over a whole tile for the memories alone."""
        steps = self.f.int(TILE)
        self.sections.load_x(self.signals, time, steps)
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
        sums = [Products(f, fmt, self.spec.taps) for _ in vectors] if wants else []
        with f.loop(0, steps) as done:
            row = steps - 1 - done
            for g in vectors:
                after = [slot.get() for slot in later[g]]
                lam, grad = section_back(taps[g], self.grad.get(row, g), after)
                self.grad.put(row, g, grad)
                if wants:
                    sums[g].add(lam, after, x.get(row, g), y.get(row, g))
                later[g][0].set(lam)
                later[g][1].set(after[0])
        for g in vectors:
            for i, slot in enumerate(later[g]):
                self.lam.put(index * ORDER + i, g, slot.get())
            if wants:
                sums[g].flush(self.sums, index * TAPS, g)
