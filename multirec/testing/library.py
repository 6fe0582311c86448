"""An array library on one device, and the run of a case with its arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from .._core.axes import unambiguous
from .._core.state import State
from .._recurrence import explain, recurrence
from .._registry.choice import Explanation
from .problems import Arguments, Case, Memory, Wide, arguments, marks_of

__all__ = ["NAMES", "Array", "Library", "Run", "options"]

Array: TypeAlias = Any

NAMES = ("x", "feedforward", "feedback", "state.inputs", "state.outputs")


@dataclass
class Run:
    """What a call gave: float64 values by name as in `Expected`, and whatever else is wrong with it."""

    values: dict[str, Wide]
    faults: dict[str, str] = field(default_factory=dict)


def options(case: Case, operands: list[Array]) -> dict[str, Any]:
    """Return the keyword arguments of `recurrence`, for the operands of a case."""
    x, feedforward, feedback, inputs, outputs = operands
    return {
        "feedforward": unambiguous(feedforward, x, case.layout),
        "feedback": unambiguous(feedback, x, case.layout),
        "state": State(inputs, outputs),
        "layout": case.layout,
        "reverse": case.reverse,
        "compute_dtype": case.compute_dtype,
        **marks_of(case),
    }


class Library(ABC):
    """An array library on one device."""

    name: str
    device: str
    dtypes: tuple[str, ...]
    freezes: bool = False
    """Whether it computes no gradient of an operand that wants none."""

    def memories(self, dtype: str) -> tuple[Memory, ...]:
        """Return the ways in which its arrays of a type may lie in memory, beside the contiguous one."""
        return ()

    @abstractmethod
    def put(self, values: Wide, dtype: str, memory: str = "contiguous", axis: int = 0) -> Array:
        """Return values as an array of `dtype` that lies in memory as asked, where the library has such."""

    @abstractmethod
    def get(self, array: Array) -> Wide:
        """Return an array's values in float64 or complex128."""

    @abstractmethod
    def gradients(self, case: Case, backend: str, operands: list[Array], given: Arguments) -> Any:
        """Return y, the returned state, and the gradients of the operands that are there."""

    @abstractmethod
    def dtype_of(self, array: Array) -> str:
        """Return the name of an array's data type."""

    @abstractmethod
    def is_contiguous(self, array: Array) -> bool:
        """Say whether an array is contiguous in C order."""

    def operands(self, case: Case, given: Arguments) -> list[Array]:
        """Return what is passed to `recurrence`: x, feedforward, feedback, state.inputs, state.outputs."""
        batch_axis = 1 if case.layout == "TBC" else 0
        dtypes = (
            case.dtype,
            case.taps_dtype("feedforward"),
            case.taps_dtype("feedback"),
            case.dtype,
            case.outputs_dtype,
        )
        memories = (case.memory, *["strided" if case.memory == "strided" else "contiguous"] * 4)
        axis = batch_axis if case.batch else -1
        return [
            None if values is None else self.put(values, dtype, memory, axis)
            for values, dtype, memory in zip(given[:5], dtypes, memories, strict=True)
        ]

    def call(self, case: Case, backend: str, operands: list[Array]) -> tuple[Array, State]:
        """Call `recurrence` as a case says."""
        return recurrence(operands[0], **options(case, operands), backend=backend)

    def explain(self, case: Case, operands: list[Array]) -> Explanation:
        """Ask which backends compute a case."""
        return explain(operands[0], **options(case, operands))

    def results(
        self, case: Case, backend: str, given: Arguments, operands: list[Array], gradients: bool = True
    ) -> dict[str, Array]:
        """Return what a backend gives, by the names of `Expected`."""
        if gradients:
            y, state, grads = self.gradients(case, backend, operands, given)
        else:
            (y, state), grads = self.call(case, backend, operands), [None] * 5
        named = {"y": y, "state.inputs": state[0], "state.outputs": state[1]}
        pairs = [
            (name, grad) for name, operand, grad in zip(NAMES, operands, grads, strict=True) if operand is not None
        ]
        return named | {f"gradient of {name}": grad for name, grad in pairs if grad is not None}

    def run(self, case: Case, backend: str, gradients: bool = True) -> Run:
        """Compute a case with a backend."""
        given = arguments(case)
        operands = self.operands(case, given)
        results = self.results(case, backend, given, operands, gradients)
        dtypes = {"y": case.y_dtype, "state.inputs": case.dtype, "state.outputs": case.state_dtype}
        for name, operand in zip(NAMES, operands, strict=True):
            if operand is not None:
                dtypes[f"gradient of {name}"] = self.dtype_of(operand)
        run = Run({name: self.get(array) for name, array in results.items()})
        for name, array in results.items():
            if self.dtype_of(array) != dtypes[name]:
                run.faults[name] = f"{name} has dtype {self.dtype_of(array)}, expected {dtypes[name]}"
        if not self.is_contiguous(results["y"]):
            run.faults["contiguous"] = f"y is not contiguous in layout {case.layout}"
        for name, operand, values in zip(NAMES, operands, given, strict=False):
            if operand is not None and values is not None and not np.array_equal(self.get(operand), values):
                run.faults["inputs"] = f"{name} was written to"
        return run
