"""The gradient of a signal of x's channels: stored lane by lane, or summed over lanes where one x serves them all."""

from __future__ import annotations

from typing import Any

from .emit import Int, Ptr
from .frame import Frame, Group
from .memory import interleaved, shuffle, sums_over_lanes
from .numbers import Tile


def store_grad_x(frame: Frame, group: Group, tile: Tile, time: Int, steps: Int) -> None:
    """Store rows of the gradient of x, or add up their lanes where x is shared."""
    f, fmt, width = frame.f, frame.fmt, frame.fmt.width
    if not frame.spec.shared:
        offsets, carry = frame.region("offsets_grad_x"), frame.region("carry")
        group.stream(tile, "grad_x", frame.spec.x, offsets, carry, time, steps)
        return
    row = (group.part * frame.word("batch") + group.block) * frame.word("grad_shared_row")
    base = Ptr(f, f.b.inttoptr(frame.word("grad_shared").v, group.frame.arguments.v.type)) + row
    with f.loop(0, steps, width) as first:
        totals = [_sum_lanes(tile, first, part) for part in range(fmt.parts)]
        if fmt.parts == 2:
            totals = [shuffle(f, totals[0], totals[1], order) for order in interleaved(width)]
        for k, total in enumerate(totals):
            target = base + ((time + first) * fmt.parts + k * width) * fmt.real_bytes
            with f.choice(group.leads) as (lead, follow):
                with lead:
                    target.store(total)
                with follow:
                    target.store(f.b.fadd(target.load(fmt.vector), total))


def _sum_lanes(tile: Tile, first: Int, part: int) -> Any:
    """Return the sums over lanes of a vector's length of rows, one an element."""
    f, fmt = tile.f, tile.fmt
    vectors = []
    for i in range(fmt.width):
        one = tile.get(first + i, 0).parts[part]
        for g in range(1, fmt.groups):
            one = f.b.fadd(one, tile.get(first + i, g).parts[part])
        vectors.append(one)
    return sums_over_lanes(f, vectors)
