"""The walk of a cascade's gradient over pieces of time: forward for the memories alone, then back.

On the way back the sections compute a piece again from their memories where it starts. These are kept for a stretch of
pieces only; the memories where stretches start, from a first walk over all but the last stretch, are few.
"""

from __future__ import annotations

from collections.abc import Callable

from .._code.emit import Int
from .._code.frame import Frame
from .._code.numbers import Tile

Visit = Callable[[Int], None]
"""Does something with the piece that begins at a time."""


def walk_back(frame: Frame, size: int, memory: Tile, rows: Int, forward: Visit, back: Visit) -> None:
    """Go back over pieces of `size` samples, each from its own start in the `rows` rows of `memory`."""
    f = frame.f
    pieces, stretch = (frame.length + (size - 1)) // size, frame.word("stretch")
    stretches = (pieces + stretch - 1) // stretch
    stretch_starts, starts = frame.tile("stretch_starts"), frame.tile("starts")
    with f.loop(0, stretches) as index:
        stretch_starts.shifted(index * rows).take(memory, rows)
        with f.loop(0, f.select(index < stretches - 1, stretch, 0)) as piece:
            forward((index * stretch + piece) * size)
    with f.loop(0, stretches) as done:
        index = stretches - 1 - done
        first = index * stretch
        count = f.minimum(stretch, pieces - first)
        memory.take(stretch_starts.shifted(index * rows), rows)
        with f.loop(0, count) as piece:
            starts.shifted(piece * rows).take(memory, rows)
            with f.when(piece < count - 1):
                forward((first + piece) * size)
        with f.loop(0, count) as visited:
            piece = count - 1 - visited
            memory.take(starts.shifted(piece * rows), rows)
            back((first + piece) * size)


def straight_back(frame: Frame, size: int, back: Visit) -> None:
    """Go back over pieces where nothing is computed again."""
    pieces = (frame.length + (size - 1)) // size
    with frame.f.loop(0, pieces) as done:
        back((pieces - 1 - done) * size)
