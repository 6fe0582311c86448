"""What the machine code of one kind of kernel is given: words, arrays and their axes, and regions of scratch memory."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

SIGNAL = ("batch", "channel", "time")
"""The axes of a signal; what has a time runs backwards where the problem does."""


class Interface:
    """Where everything is that a kernel is given.

    The argument block is a word for each of `call`, the header of each array, each of `constants`, which a plan fixes,
    and where each region of scratch memory is. Regions are first what the groups of an item use in turn, then what each
    keeps to itself. The first region, "words", holds of every array its address and strides in bytes.
    """

    def __init__(
        self,
        arrays: Mapping[str, tuple[str, ...]],
        call: Sequence[str],
        constants: Sequence[str],
        turn: Sequence[str],
        kept: Sequence[str],
    ) -> None:
        self.arrays, self.kept, self.regions = arrays, frozenset(kept), ("words", *turn, *kept)
        given = (*call, *(f"{name}_header" for name in arrays))
        fixed = (*constants, *(f"at_{name}" for name in self.regions))
        self.field = {name: 8 * index for index, name in enumerate((*given, *fixed))}
        parts = [f"{name}_{part}" for name, axes in arrays.items() for part in ("at", *axes)]
        self.words = {part: 8 * index for index, part in enumerate(parts)}
        self.call, self.constants = struct.Struct(f"{len(given)}q"), struct.Struct(f"{len(fixed)}q")

    def fix(self, constants: Sequence[int], starts: Mapping[str, int]) -> bytes:
        """Return the words that a plan fixes."""
        return self.constants.pack(*constants, *(starts.get(name, 0) for name in self.regions))


def places(sizes: Mapping[str, int], at: int = 0) -> tuple[dict[str, int], int]:
    """Lay regions out one after another from `at`, each on 64 bytes; return where each starts, and the end."""
    starts = {}
    for name, size in sizes.items():
        starts[name] = at
        at += -(-size // 64) * 64
    return starts, at
