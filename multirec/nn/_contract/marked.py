"""What says where sequences begin and end, looked at before a unit computes anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from multirec._core.problem import Layout, split_shape
from multirec._core.validate import Call, Choices
from multirec._sequences.bind import calls_of
from multirec._sequences.marks import Marks, marks_of

__all__ = ["checked", "states_of", "without_padding"]


def checked(x: Tensor, layout: Layout, reverse: bool, cuts: dict[str, Any]) -> tuple[Marks, Call]:
    """Return what marks sequences of x off, and a call like theirs; raise unless they fit x, whatever the values."""
    marks = marks_of(*(cuts.get(name) for name in Marks._fields))
    assert marks is not None
    # any filter will do: it is the sizes of x that marks are compared with
    signal = x.detach(), np.ones((1, 1)), None, None, None
    return marks, calls_of(signal, marks, Choices(layout, reverse))[0]


def states_of(x: Tensor, layout: Layout, cuts: dict[str, Any]) -> tuple[int, ...]:
    """Return the batch axes of the states of x: one an example, or one a sequence."""
    if "cu_seqlens" in cuts:
        return (len(cuts["cu_seqlens"]) - 1,)
    return split_shape(tuple(x.shape), layout)[0]


def without_padding(signal: Tensor, layout: Layout, cuts: dict[str, Any]) -> Tensor:
    """Return a signal with zeros where it is padding, so that nothing there reaches results or gradients."""
    if "lengths" not in cuts:
        return signal
    lengths = torch.as_tensor(cuts["lengths"], device=signal.device)
    time = 0 if layout == "TBC" else signal.ndim - 2
    steps = torch.arange(signal.shape[time], device=signal.device)
    is_sample = steps < lengths.unsqueeze(-1)
    is_sample = is_sample.movedim(-1, 0) if layout == "TBC" else is_sample
    return signal.masked_fill(~is_sample.unsqueeze(-1), 0.0)
