"""Large outputs go to memory past the caches: whole lines, non-temporal, whatever the alignment of the rows.

An ordinary store reads its cache line first, and a large output pushes everything else out of the caches. Rows
rarely begin on a line. So a tile is laid out row by row in a small stage, behind what was left over from
the tile before, and leaves it line by line; what does not fill a line waits for the next tile.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .emit import Function, Int, Ptr
from .memory import Access, Storage, store_some, transpose
from .numbers import Format, Tile

LINE = 64
"""Bytes of a cache line."""


def stage_bytes(fmt: Format, storage: Storage, tile: int) -> int:
    """Return the size of a stage; a line before and after it may be read and is never used."""
    return fmt.width * (LINE + tile * storage.bytes) + 2 * LINE


def emit_stream(
    f: Function, fmt: Format, storage: Storage, tile: int, source: Ptr, target: Ptr, stride: Int, offsets: Ptr,
    lanes: Int, steps: Int, stage: Ptr, carry: Ptr, visited: Int, last: Int, descends: Int,
) -> None:  # fmt: skip
    """Write `steps` rows where samples are neighbours; a tile that is not full is the first or the last of a row."""
    size, filled = tile * storage.bytes, steps * storage.bytes
    row = LINE + size
    backward, first = stride < 0, visited.equals(0)
    stage = stage + LINE
    # what is left of the tile before lies behind this one where addresses descend, and else in front of it
    here, before, leave = (f.select(descends, *either) for either in ((0, LINE), (size, 0), (0, size)))
    lowest = here + f.select(backward, size - filled, 0)
    waits = f.minimum(visited, LINE)
    valid = (
        f.select(descends | first, lowest, LINE - waits),
        f.select(descends, f.select(first, lowest + filled, size + waits), lowest + filled),
    )
    edges = last | (visited < LINE)
    line = ir.VectorType(storage.raw, LINE // (storage.bytes // storage.parts))
    begin = f.select(backward, stride * (tile - 1), 0) - f.select(descends, 0, LINE)
    with f.loop(0, lanes, fmt.width) as lane:
        count = f.minimum(lanes - lane, fmt.width)
        waiting = carry + lane * LINE
        with f.loop(0, count) as i:
            (stage + i * row + before).store((waiting + i * LINE).load(line))
        _lay_out(f, fmt, storage, Tile(f, fmt, source), lane, steps, stage + here, row, backward, size)
        with f.loop(0, count) as i:
            own = stage + i * row
            place = target + (offsets + (lane + i) * 8).int() + begin
            skip = (0 - place.address()) & (LINE - 1)
            with f.choice(edges) as (edge, middle):
                with edge:
                    start = skip - f.select(descends, LINE, 0)
                    for k in range(size // LINE + 1):
                        _part(f, line, own, place, start + k * LINE, valid)
                with middle:
                    for k in range(size // LINE):
                        (place + skip + k * LINE).stream((own + skip + k * LINE).load(line))
            (waiting + i * LINE).store((own + leave).load(line))


def _lay_out(
    f: Function, fmt: Format, storage: Storage, rows: Tile, lane: Int, steps: Int, stage: Ptr, row: int,
    backward: Int, size: int,
) -> None:  # fmt: skip
    """Turn a vector's lanes of the tile around, one row of the stage for each."""
    access = Access(f, fmt, storage)
    row_step = f.select(backward, -fmt.row_bytes, fmt.row_bytes)
    with f.loop(0, steps, fmt.width) as time:
        lowest = f.select(backward, time + (fmt.width - 1), time)
        column = rows.row(lowest) + lane * (fmt.parts * fmt.real_bytes)
        parts = [
            transpose(f, [(column + row_step * i + part * fmt.vector_bytes).load(fmt.vector) for i in range(fmt.width)])
            for part in range(storage.parts)
        ]
        position = f.select(backward, size - (time + fmt.width) * storage.bytes, time * storage.bytes)
        for i in range(fmt.width):
            access.write(stage + position + i * row, [part[i] for part in parts])


def _part(f: Function, line: Any, own: Ptr, place: Ptr, position: Int, valid: tuple[Int, Int]) -> None:
    """Write what is valid of the line at `position`, the ordinary way."""
    size = LINE // line.count
    low, high = ((limit - position) // size for limit in valid)
    with f.when((low < line.count) & (high > 0)):
        store_some(f, place + position, (own + position).load(line), (low, high))


def fence(f: Function) -> None:
    """Have lines that went past the caches seen by other threads before what is written from here on."""
    if f.module.triple.startswith("x86_64"):
        f.intrinsic_void("llvm.x86.sse.sfence", [])
