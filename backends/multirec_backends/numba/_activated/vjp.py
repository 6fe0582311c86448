"""The gradient kernel of recurrences with an activation inside: tiles last first, each computed again."""

from __future__ import annotations

from llvmlite import ir

from .._code.emit import Int
from .._code.frame import Group
from .._code.numbers import Slot
from .._code.stream import LINE, fence
from .._code.sums import Sums
from .._recurrence.spec import TILE
from .cells import Row
from .rows import ActivatedFrame, Rows, State
from .spec import ActivatedSpec


def emit(module: ir.Module, name: str, spec: ActivatedSpec) -> None:
    """Add the gradient kernel of `spec` to `module`."""
    ActivatedFrame(module, name, spec).walk(_Vjp, backward=True)


class _Vjp(Rows):
    def __init__(self, frame: ActivatedFrame, group: Group) -> None:
        super().__init__(frame, group)
        self.lam, self.saved = frame.tile("lam"), frame.tile("saved")
        self.count = sum(self.spec.parameters) if self.spec.to_parameters else 0
        self.sums = Sums(frame, "parameters", self.f.int(self.count))

    def start(self) -> None:
        super().start()
        self.group.offsets("offsets_y", "grad_y", self.spec.x)
        for index, (storage, wanted) in enumerate(zip(self.spec.signals, self.spec.to_signals, strict=True)):
            if wanted:
                self.group.offsets(f"offsets_to_signal_{index}", f"to_signal_{index}", storage)
        self.read(self.lam, "grad_last", self.edge(self.frame.length - 1))
        self.sums.start()

    def tile(self, time: Int, steps: Int) -> None:
        frame, group, spec = self.frame, self.group, self.spec
        self.load(time, steps, ahead=-spec.ahead)
        group.load(self.y, "grad_y", spec.x, frame.region("offsets_y"), time, steps, ahead=-spec.ahead)
        group.load(self.state, "starts", spec.compute, frame.region("offsets_starts"), self.piece(time), spec.order)
        parameters = self.parameters()
        self._again(time, steps, parameters)
        self._back(time, steps, parameters)
        for index, (tile, storage) in enumerate(zip(self.signals, spec.signals, strict=True)):
            if spec.to_signals[index]:
                name = f"to_signal_{index}"
                carry = frame.region("carries") + index * (self.fmt.lanes * LINE)
                group.stream(tile, name, storage, frame.region(f"offsets_{name}"), carry, time, steps)

    def finish(self) -> None:
        fence(self.f)
        self.write(self.lam, "to_state", self.edge(0))
        if self.count:
            self.sums.write(self.group, "to_parameters")

    def _again(self, time: Int, steps: Int, parameters: list[Row]) -> None:
        """Compute the steps of a tile, and save the state that each finds and what its adjoint asks for."""
        state = self.taken(self.state)
        with self.f.loop(0, steps) as row:
            if self.spec.sequences == "states":
                with self.f.when(self.begins(row) & (time + row > 0)):
                    self.read(self.state, "state", self.number(time + row))
                    self.set(state, self.state)
            for g in self.vectors:
                step, before = self.step(row, g, parameters[g], state[g])
                for index, number in enumerate((*before, *step.saved)):
                    self.saved.put(row + index * TILE, g, number)
                for slot, number in zip(state[g], step.state, strict=True):
                    slot.set(number)

    def _back(self, time: Int, steps: Int, parameters: list[Row]) -> None:
        f, spec, fmt = self.f, self.spec, self.fmt
        lam = self.taken(self.lam)
        zero = self.functions.zero
        sums = [[Slot(f, fmt, zero) for _ in range(self.count)] for _ in self.vectors]
        with f.loop(0, steps) as done:
            row = steps - 1 - done
            for g in self.vectors:
                self._adjoint(row, g, parameters[g], lam[g], sums[g])
            if spec.sequences == "states":
                self._begin(time + row, row, lam)
        self.put(lam, self.lam)
        for g, totals in enumerate(sums):
            for index, total in enumerate(totals):
                self.sums.add(index, g, total.get())

    def _adjoint(self, row: Int, g: int, parameters: Row, lam: list[Slot], sums: list[Slot]) -> None:
        zero, select, order = self.functions.zero, self.functions.select, self.spec.order
        saved = [self.saved.get(row + index * TILE, g) for index in range(self.spec.saved)]
        signals, grad_y, later = (
            [tile.get(row, g) for tile in self.signals], self.y.get(row, g), [slot.get() for slot in lam],
        )  # fmt: skip
        given = later
        if self.spec.sequences == "examples":
            begins, is_none = self.marks(row, g)
            signals = [select(is_none, zero, signal) for signal in signals]
            grad_y = select(is_none, zero, grad_y)
            given = [select(is_none, zero, number) for number in later]
        found = self.cell.adjoint(signals, parameters, saved[:order], saved[order:], grad_y, given)
        before = found.state
        if self.spec.sequences == "examples":
            before = [select(begins, zero, number) for number in before]
            before = [select(is_none, old, new) for old, new in zip(later, before, strict=True)]
        for tile, gradient in zip(self.signals, found.signals, strict=True):
            tile.put(row, g, gradient)
        for total, part in zip(sums, found.parameters, strict=False):
            total.set(total.get() + part)
        for slot, number in zip(lam, before, strict=True):
            slot.set(number)

    def _begin(self, time: Int, row: Int, lam: State) -> None:
        """Where a sequence begins, hand out the gradient of its state and take that of the one before it."""
        with self.f.when(self.begins(row) & (time > 0)):
            self.put(lam, self.lam)
            self.write(self.lam, "to_state", self.number(time))
            self.read(self.lam, "grad_last", self.number(time - 1))
            self.set(lam, self.lam)
