"""A call's launches with all their arguments but the addresses: what a signature comes to, once for all its calls."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

from multirec.backend import Problem

from ._fold import IN, OUT, SHARED, Job, fold
from ._pack import WORD, Framing, View, body, head
from ._plan.parts import Direction, types_of

Array: TypeAlias = Any

_ALIGNED = 256
ROWS = {"rows_b": "grad_b", "rows_a": "grad_a", "rows_inputs": "grad_inputs"}
"""Scratch memory for gradients row by row, of what rows share, and what kernels take it for."""


class Queue(Protocol):
    """One device, the stream of it that is the caller's at the time, and memory of the caller's library."""

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Return uninitialised memory."""

    def view(self, array: Array) -> View:
        """Return where an array lies."""

    @property
    def address(self) -> Callable[[Array], int]:
        """What returns where an array begins."""

    @property
    def strides(self) -> Callable[[Array], Any]:
        """What returns an array's strides, in whatever unit: they tell arrays of one shape and data type apart."""

    def launch(self, name: str, blocks: int, threads: int, shared: int, params: bytes) -> None:
        """Launch a kernel by its C++ name, without waiting for it."""


def fold_name(problem: Problem) -> str:
    """Return the kernel that adds up what a problem's gradient leaves."""
    return f"fold<{types_of(problem)}>"


class Program:
    """The launches of one direction of a problem, for arrays that lie as those did which it was made for.

    `names` are the arrays' in the CUDA source, in the order in which `run` is told their addresses.
    `jobs` are what is left to add up, each with the names of the arrays that it reads and writes, and with the bytes
    that it begins behind them; one that has nothing to read has no name for it.
    """

    def __init__(
        self,
        problem: Problem,
        direction: Direction,
        names: tuple[str, ...],
        views: Mapping[str, View],
        *,
        last: int = 0,
        wants: int = 0,
        further: Mapping[str, int] | None = None,
        jobs: tuple[tuple[Job, tuple[str, int], tuple[str, int]], ...] = (),
        framing: Framing | None = None,
    ) -> None:
        offsets: dict[str, int] = {}
        self.scratch = 0
        for name, size in (*direction.scratch, *(further or {}).items()):
            offsets[name] = self.scratch
            self.scratch += -(-size // _ALIGNED) * _ALIGNED
        rows = {ROWS[name]: offset for name, offset in offsets.items() if name in ROWS}
        words, places, across = body(problem, views, offsets | rows, framing)
        order = {name: index for index, name in enumerate((*names, "scratch"))}
        self._body = Template(words, places, order)
        self._launches = [
            (*launch[:4], head(problem, launch.grid, launch.phase, last=last, wants=wants, across=across))
            for launch in direction.launches
        ]
        self._fold: tuple[str, int, int, Template] | None = None
        if jobs:
            folded = fold([job for job, _, _ in jobs])
            ends_at = [
                (name, place + word, more) if name not in offsets else ("scratch", place + word, offsets[name] + more)
                for place, (_, source, target) in zip(folded.places, jobs, strict=True)
                for (name, more), word in ((source, IN), (target, OUT))
                if name
            ]
            template = Template(folded.words, tuple(ends_at), order)
            self._fold = fold_name(problem), folded.blocks, folded.threads, template

    def run(self, queue: Queue, addresses: list[int]) -> None:
        """Launch it for arrays at these addresses; scratch memory lives until the launches are queued."""
        # without scratch memory there may still be sums of nothing
        memory = queue.empty((self.scratch // WORD,), "float64") if self.scratch else None
        addresses.append(0 if memory is None else queue.address(memory))
        words = self._body.at(addresses)
        for kernel, blocks, threads, shared, first in self._launches:
            queue.launch(kernel, blocks, threads, shared, first + words)
        if self._fold is not None:
            kernel, blocks, threads, template = self._fold
            queue.launch(kernel, blocks, threads, SHARED, template.at(addresses))


class Template:
    """Bytes in which only addresses are missing: for each the array's name, the byte, and what is to be added."""

    def __init__(self, words: bytes, places: tuple[tuple[str, int, int], ...], order: Mapping[str, int]) -> None:
        self._words = array("q", words)
        self._places = [(order[name], place // WORD, more) for name, place, more in places]

    def at(self, addresses: list[int]) -> bytes:
        """Return the bytes for arrays at these addresses."""
        words = self._words[:]
        for index, place, more in self._places:
            words[place] = addresses[index] + more
        return words.tobytes()
