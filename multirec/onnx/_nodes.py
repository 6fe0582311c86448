"""Nodes of ONNX in the making, in a graph or in the body of a Scan."""

from __future__ import annotations

from typing import Any, TypeAlias

import onnx_ir as ir

__all__ = ["Nodes", "Value"]

Value: TypeAlias = Any
"""An `onnx_ir.Value`."""

_TO_THE_END = 2**63 - 1


class Nodes:
    """What was asked for, in order; a call adds one node."""

    def __init__(self) -> None:
        self._tape = ir.tape.Tape()

    def __call__(self, kind: str, *inputs: Value, **attributes: Any) -> Value:
        """Add a node and return what it gives."""
        return self._tape.op(kind, inputs, attributes)

    def several(self, kind: str, count: int, *inputs: Value, **attributes: Any) -> list[Value]:
        """Add a node and return the `count` values that it gives."""
        return list(self._tape.op_multi_out(kind, inputs, attributes, num_outputs=count))

    @property
    def made(self) -> list[Any]:
        """All nodes."""
        return list(self._tape.nodes)

    def numbers(self, *numbers: int) -> Value:
        """Return integers as one axis."""
        return self("Constant", value=ir.tensor(numbers, dtype=ir.DataType.INT64))

    def stretch(self, value: Value, start: int, stop: int | None, axis: int = -1) -> Value:
        """Return a stretch of one axis; to its end where `stop` is None."""
        end = self.numbers(_TO_THE_END if stop is None else stop)
        return self("Slice", value, self.numbers(start), end, self.numbers(axis))

    def tap(self, taps: Value, index: int) -> Value:
        """Return one of the last axis, which is dropped."""
        place = self("Constant", value=ir.tensor(index, dtype=ir.DataType.INT64))
        return self("Gather", taps, place, axis=-1)

    def joined(self, *values: Value, axis: int = -1) -> Value:
        """Return values one after the other."""
        return self("Concat", *values, axis=axis)

    def cast(self, value: Value, dtype: Any) -> Value:
        """Return a value in a type."""
        return self("Cast", value, to=int(dtype))
