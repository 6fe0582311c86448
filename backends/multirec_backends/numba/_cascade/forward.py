"""The forward kernel of a cascade: a tile of x goes through all sections in the first-level cache, and leaves as y."""

from __future__ import annotations

from llvmlite import ir

from .._code.emit import Int
from .._code.frame import Group
from .._code.stream import fence
from .sections import CascadeFrame, Sections
from .spec import CascadeSpec


def emit(module: ir.Module, name: str, spec: CascadeSpec) -> None:
    """Add the forward kernel of `spec` to `module`."""
    CascadeFrame(module, name, spec).walk(_Forward, backward=False)


class _Forward:
    def __init__(self, frame: CascadeFrame, group: Group) -> None:
        self.frame, self.group, self.spec = frame, group, frame.spec
        self.y, self.sections = frame.tile("y"), Sections(frame, group)

    def start(self) -> None:
        group, spec = self.group, self.spec
        group.offsets("offsets_x", "x", spec.x)
        group.offsets("offsets_y", "y", spec.y)
        self.sections.start()
        self.sections.ends.clear(self.sections.delays)

    def tile(self, time: Int, steps: Int) -> None:
        self.sections.load_x(self.y, time, steps)
        self.sections.run(self.y, steps, ends=True)
        offsets, carry = self.frame.region("offsets_y"), self.frame.region("carry")
        self.group.stream(self.y, "y", self.spec.y, offsets, carry, time, steps)

    def finish(self) -> None:
        fence(self.frame.f)
        self.sections.turn(self.sections.ends)
        self.sections.store(self.sections.memory, "to_memory")
        self.sections.store(self.sections.ends, "ends")
