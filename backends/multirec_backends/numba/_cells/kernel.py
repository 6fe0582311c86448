"""Cells: the part of the kernel object that takes addresses to machine code."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from multirec.backend import Cell, Lines

from .._run.compile import compiled, vector_bytes
from .spec import CellSpec

_MOST = 64
"""Numbers of operands and results beyond which a program is declined: it would take long to compile."""


class Steps:
    """What is elementwise in a sample, for any sizes."""

    def step(self, cell: Cell, rows: int, channels: int, lines: tuple[Lines, ...]) -> Callable[..., object] | None:
        if sum(place.parts for place in (*cell.operands, *cell.results)) > _MOST:
            return None
        if not rows * channels:
            return _nothing
        size = 8 if cell.compute_dtype == "float64" else 4
        # a power of two of lanes
        width = min(vector_bytes(), size << (channels.bit_length() - 1))
        function = compiled(CellSpec(cell, width))
        pack = Struct(f"{len(lines)}q").pack
        constants = Struct(f"{2 + 2 * len(lines)}q").pack(rows, channels, *(word for line in lines for word in line))

        def run(*addresses: int) -> None:
            function(pack(*addresses) + constants, 0)

        return run


def _nothing(*addresses: int) -> None:
    pass
