"""Marks in canonical form, and the number of the sequence that each sample belongs to.

On the host everything is NumPy's, and values are checked. On a device it is of x's library, and nothing waits for
values: what is out of range is moved into it, so that no kernel reads beyond its memory.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._core.arrays import family_of, is_traced
from .._core.axes import cast_to, namespace
from .._core.problem import Problem
from .._core.validate import Call
from .._memory.hand_over import placed
from ..errors import ArgumentError, UnsupportedError
from .marks import Marks

__all__ = [
    "Sequences",
    "check_seen",
    "counted",
    "edges",
    "in_range",
    "is_on_host",
    "numbers_of",
    "read",
    "read_on_host",
]

Array: TypeAlias = Any


class Sequences(NamedTuple):
    """Marks in canonical form, with values that are in range: resets (B, T), lengths (B,), cu_seqlens (S + 1,)."""

    resets: Array | None
    lengths: Array | None
    cu_seqlens: Array | None

    @property
    def states(self) -> int | None:
        """How many states there are with `cu_seqlens`; None is one an example."""
        return None if self.cu_seqlens is None else int(self.cu_seqlens.shape[0]) - 1


def is_on_host(problem: Problem) -> bool:
    """Whether sequences of a problem are NumPy's arrays."""
    return problem.device_type == "cpu"


def read(marks: Marks, call: Call) -> Sequences:
    """Return marks that fit a call, where its arrays are."""
    if is_on_host(call.problem):
        return read_on_host(marks, call)
    check_seen(marks, call.problem)
    return in_range(
        Marks(*(placed(part, call.problem) if isinstance(part, np.ndarray) else part for part in marks)), call
    )


def in_range(marks: Marks, call: Call, index: str = "int64") -> Sequences:
    """Return marks of x's library that fit a call, as they would be if they were right, whatever they are."""
    (resets, lengths, cu_seqlens), length = marks, call.problem.length
    if lengths is not None:
        lengths = namespace(lengths).clip(cast_to(lengths.reshape(-1), index), 0, length)
    if cu_seqlens is not None:
        cu_seqlens = _in_order(cast_to(cu_seqlens, index), length)
    return Sequences(_rows(resets, call), lengths, cu_seqlens)


def read_on_host(marks: Marks, call: Call) -> Sequences:
    """Return marks that fit a call as NumPy's arrays, checked; those of a device are waited for."""
    resets, lengths, cu_seqlens = map(_values, marks, Marks._fields)
    _check_values(lengths, cu_seqlens, call.problem.length)
    return Sequences(
        _rows(resets, call),
        None if lengths is None else lengths.reshape(-1).astype(np.int64),
        None if cu_seqlens is None else cu_seqlens.astype(np.int64),
    )


def numbers_of(sequences: Sequences, problem: Problem) -> Array:
    """Return numbers (B, T), int32, as `multirec.backend.SequenceKernel` has them.

    With resets inside of sequences that lie end to end, each part of a sequence has a number of its own.
    """
    resets, lengths, cu_seqlens = sequences
    library = namespace(next(part for part in sequences if part is not None))
    time = counted(library, problem.length, sequences)
    if cu_seqlens is not None and resets is None:
        numbers = _end_to_end(library, cu_seqlens, time)[None]
    elif resets is not None:
        if cu_seqlens is not None:
            own = _end_to_end(library, cu_seqlens, time)
            begins = own[1:] != own[:-1]
            resets = library.concatenate((resets[:, :1], resets[:, 1:] | begins), -1)
        numbers = library.cumsum(resets, -1, dtype=library.int32)
    else:
        numbers = library.zeros_like(time)[None]
    if lengths is not None:
        numbers = library.where(time[None] < lengths[:, None], numbers, -1)
    numbers = numbers.to(library.int32) if hasattr(numbers, "to") else numbers.astype(library.int32)
    return library.broadcast_to(numbers, (problem.batch, problem.length))


def _end_to_end(library: Any, cu_seqlens: Array, time: Array) -> Array:
    """Return which sequence each sample is of."""
    if library is np:
        return np.repeat(np.arange(len(cu_seqlens) - 1, dtype=np.int32), np.diff(cu_seqlens))
    return library.searchsorted(cu_seqlens[1:-1], time, side="right")


def edges(sequences: Sequences, problem: Problem) -> tuple[Array, Array]:
    """Return where the sequences of each state begin and where they end, (states,) each."""
    _, lengths, cu_seqlens = sequences
    if cu_seqlens is not None:
        return cu_seqlens[:-1], cu_seqlens[1:]
    if lengths is None:
        like = sequences.resets
        assert like is not None
        none = counted(namespace(like), problem.batch, sequences) * 0
        return none, none + problem.length
    return lengths * 0, lengths


def _rows(resets: Array | None, call: Call) -> Array | None:
    """Return resets of any layout as (B, T)."""
    if resets is None:
        return None
    if call.problem.layout == "TBC":
        batch_last = resets.reshape((resets.shape[0], prod(call.batch_shape)))
        return batch_last.T
    return resets.reshape((call.problem.batch, call.problem.length))


def counted(library: Any, count: int, sequences: Sequences) -> Array:
    """Return the integers below a count, where sequences are."""
    if library.__name__ == "torch":
        like = next(part for part in sequences if part is not None)
        return library.arange(count, device=like.device)
    return library.arange(count)


def _in_order(cu_seqlens: Array, length: int) -> Array:
    """Return boundaries as they would be if they were right, whatever they are."""
    library = namespace(cu_seqlens)
    cu_seqlens = library.clip(cu_seqlens, 0, length)
    inner = library.sort(cu_seqlens[1:-1])
    inner = inner[0] if isinstance(inner, tuple) else inner
    zero = library.zeros_like(cu_seqlens[:1])
    # one boundary alone is the end
    return library.concatenate((zero, inner, zero + length))[-cu_seqlens.shape[0] :]


def _values(part: Array | None, name: str) -> Array | None:
    """Return values as NumPy's."""
    if part is None or isinstance(part, np.ndarray):
        return part
    family = family_of(part, name)
    if family == "cupy":
        return part.get()
    if family == "jax":
        if not is_traced(part):
            return np.asarray(part)
    else:
        # a transform would wrap what is none of its own; what is, or has no memory, has no values
        with sys.modules["torch"]._C._DisableFuncTorch(), suppress(RuntimeError):
            return part.numpy(force=part.device.type != "cpu")
    raise UnsupportedError(
        f"{name} is traced or transformed, so its values cannot be looked at, and no kernel here takes sequences "
        "without that. Pass values that are known, such as NumPy's, or call outside of the transformation."
    )


def check_seen(marks: Marks, problem: Problem) -> None:
    """Raise for values that do not fit a problem, those that are seen without waiting for a device or a tracer."""

    def seen(part: Array | None) -> Array | None:
        return part if isinstance(part, np.ndarray) or (is_on_host(problem) and not is_traced(part)) else None

    _, lengths, cu_seqlens = map(_values, map(seen, marks), Marks._fields)
    _check_values(lengths, cu_seqlens, problem.length)


def _check_values(lengths: Array | None, cu_seqlens: Array | None, length: int) -> None:
    if lengths is not None and lengths.size:
        for value in (lengths.min(), lengths.max()):
            if not 0 <= value <= length:
                raise ArgumentError(
                    f"lengths has the value {value}, and x {length} samples along time: a length is from 0 to {length}."
                )
    if cu_seqlens is None:
        return
    first, last = cu_seqlens[0], cu_seqlens[-1]
    if first != 0 or last != length:
        raise ArgumentError(
            f"cu_seqlens goes from {first} to {last}, and x has {length} samples along time: it begins with 0 and ends "
            f"with {length}, cumulative lengths of all sequences."
        )
    falls = np.flatnonzero(cu_seqlens[1:] < cu_seqlens[:-1])
    if falls.size:
        at = int(falls[0])
        raise ArgumentError(
            f"cu_seqlens is not ascending: {cu_seqlens[at]} at {at} is followed by {cu_seqlens[at + 1]}. It has "
            "cumulative lengths; of lengths it is [0, *numpy.cumsum(lengths)]."
        )
