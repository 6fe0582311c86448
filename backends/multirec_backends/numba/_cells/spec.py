"""What the code of a cell is specialised for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from multirec.backend import Cell

from .._code.numbers import Format


@dataclass(frozen=True)
class CellSpec:
    """A cell, and the bytes of its vectors: no more channels than there are."""

    cell: Cell
    vector_bytes: int

    emitter: ClassVar[str] = "_cells.emit"

    @cached_property
    def format(self) -> Format:
        return Format(self.cell.compute_dtype == "float64", False, self.vector_bytes)
