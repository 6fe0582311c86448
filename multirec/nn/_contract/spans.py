"""Sequences that something other than multirec's recurrence computes: cut out, packed as torch packs, and put back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from multirec._core.problem import Layout, split_shape
from multirec._sequences.numbers import read_on_host
from multirec._sequences.segments import Segments, segments_of

from .marked import checked

__all__ = ["RunPacked", "in_spans"]

RunPacked: TypeAlias = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(data, batch_sizes, states (S, H)) of S sequences packed, the longest first -> (data (…, H), states (S, H))."""
Index: TypeAlias = npt.NDArray[np.int64]


def in_spans(
    run: RunPacked, x: Tensor, past: Tensor, layout: Layout, reverse: bool, cuts: dict[str, Any]
) -> tuple[Tensor, Tensor]:
    """Return what `run` makes of the sequences in x, and the states after them; they are like `past`, (states…, H)."""
    marks, call = checked(x, layout, reverse, cuts)
    segments = segments_of(read_on_host(marks, call), call.problem)
    batch, _, length = split_shape(tuple(x.shape), layout)
    rows = (x.movedim(-2, 0) if layout == "BTC" else x).reshape(-1, x.shape[-1])
    order = np.argsort(-segments.lengths, kind="stable")
    where, sizes = _packed(segments, order, call.problem.batch, reverse)
    states = past.reshape(-1, past.shape[-1])
    # the last one is zeros, which an index of -1 finds
    states = torch.cat([states, states.new_zeros(1, states.shape[-1])])
    at = torch.from_numpy(where).to(x.device)
    made, last = run(rows[at], torch.from_numpy(sizes), states[_index(segments.given[order], x)])
    last = last[_index(np.argsort(order), x)]
    outs = made.new_zeros(len(rows), made.shape[-1]).index_copy(0, at, made)
    outs = outs.reshape(length, *batch, outs.shape[-1])
    after = torch.cat([last, states.to(last.dtype)])[_index(segments.last, x)]
    return (outs.movedim(0, -2).contiguous() if layout == "BTC" else outs), after.reshape(past.shape)


def _packed(segments: Segments, order: Index, batch: int, reverse: bool) -> tuple[Index, Index]:
    """Return where packed samples lie in rows of (T · B), and how many sequences have each sample."""
    lengths = segments.lengths[order]
    which = np.repeat(np.arange(len(order)), lengths)
    steps = np.arange(len(which)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    by_step = np.lexsort((which, steps))
    which, steps = which[by_step], steps[by_step]
    own = order[which]
    times = segments.starts[own] + (segments.lengths[own] - 1 - steps if reverse else steps)
    return times * batch + segments.rows[own], np.bincount(steps)


def _index(numbers: Index, like: Tensor) -> Tensor:
    return torch.from_numpy(numbers).to(like.device)
