"""The forward kernel of recurrences with an activation inside."""

from __future__ import annotations

from llvmlite import ir

from .._code.emit import Int
from .._code.stream import fence
from .rows import ActivatedFrame, Rows, State
from .spec import ActivatedSpec


def emit(module: ir.Module, name: str, spec: ActivatedSpec) -> None:
    """Add the forward kernel of `spec` to `module`."""
    ActivatedFrame(module, name, spec).walk(_Forward, backward=False)


class _Forward(Rows):
    def start(self) -> None:
        super().start()
        self.group.offsets("offsets_y", "y", self.spec.x)
        self.read(self.state, "state", self.edge(0))

    def tile(self, time: Int, steps: Int) -> None:
        frame, group, spec, f = self.frame, self.group, self.spec, self.f
        self.load(time, steps, ahead=spec.ahead)
        with f.when(frame.word("starts_at").differs(0)):
            offsets = frame.region("offsets_starts")
            group.store(self.state, "starts", spec.compute, offsets, self.piece(time), spec.order)
        parameters, state = self.parameters(), self.taken(self.state)
        with f.loop(0, steps) as row:
            if spec.sequences == "states":
                self._begin(time + row, row, state)
            for g in self.vectors:
                step, _ = self.step(row, g, parameters[g], state[g])
                self.y.put(row, g, step.y)
                for slot, number in zip(state[g], step.state, strict=True):
                    slot.set(number)
        self.put(state, self.state)
        group.stream(self.y, "y", spec.x, frame.region("offsets_y"), frame.region("carry"), time, steps)

    def finish(self) -> None:
        fence(self.f)
        self.write(self.state, "last", self.edge(self.frame.length - 1))

    def _begin(self, time: Int, row: Int, state: State) -> None:
        """Where a sequence begins, hand out the state of the one before it and take its own."""
        with self.f.when(self.begins(row) & (time > 0)):
            self.put(state, self.state)
            self.write(self.state, "last", self.number(time - 1))
            self.read(self.state, "state", self.number(time))
            self.set(state, self.state)
