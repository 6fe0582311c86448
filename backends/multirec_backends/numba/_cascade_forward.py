"""The forward kernel of a cascade: a tile of x goes through all sections in the first-level cache, and leaves as y."""

from __future__ import annotations

from llvmlite import ir

from ._cascade_sections import Sections
from ._cascade_spec import ORDER, CascadeSpec
from ._emit import Int
from ._frame import Frame, Group
from ._spec import TILE
from ._stream import fence


class CascadeFrame(Frame):
    """The frame of a cascade."""

    spec: CascadeSpec


def emit_forward(module: ir.Module, name: str, spec: CascadeSpec) -> None:
    """Add the forward kernel of `spec` to `module`."""
    CascadeFrame(module, name, spec).walk(_Forward, backward=False)


class _Forward:
    def __init__(self, frame: CascadeFrame, group: Group) -> None:
        self.frame, self.group, self.f, self.spec = frame, group, frame.f, frame.spec
        self.y = frame.tile("y")
        self.x = frame.tile("x") if self.spec.shared else self.y
        self.sections = Sections(frame, group, self.spec.taps)

    def start(self) -> None:
        group, spec = self.group, self.spec
        group.offsets("offsets_x", "x", spec.x)
        group.offsets("offsets_y", "y", spec.y)
        self.sections.start(spec.compute)
        self.sections.ends.clear(self.sections.count * ORDER)

    def tile(self, time: Int, steps: Int) -> None:
        frame, group = self.frame, self.group
        group.load_x(self.x, "x", frame.region("offsets_x"), time, steps, ahead=TILE)
        self.sections.run(self.x, self.y, steps)
        group.stream(self.y, "y", self.spec.y, frame.region("offsets_y"), frame.region("carry"), time, steps)

    def finish(self) -> None:
        frame, f, group, storage = self.frame, self.f, self.group, self.spec.compute
        fence(f)
        rows, ends = self.sections.count * ORDER, self.sections.ends
        # ends are given in ascending time
        with f.when(frame.word("flip").differs(0)), f.loop(0, rows, ORDER) as row:
            for g in range(frame.fmt.groups):
                one, two = ends.get(row, g), ends.get(row + 1, g)
                ends.put(row, g, two)
                ends.put(row + 1, g, one)
        for tile, name in ((self.sections.memory, "to_memory"), (ends, "ends")):
            group.store(tile, name, storage, group.offsets("offsets_any", name, storage), 0, rows)
