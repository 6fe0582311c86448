"""Where frames are in time, and whether those that a call has fit its samples."""

from __future__ import annotations

from typing import Any, NamedTuple

from .._core.problem import LAYOUT_AXES, Layout, Spec, join_shape, split_shape
from .._core.scalars import whole
from .._core.validate import Call, Choices, Specs, build_call
from ..errors import ArgumentError, ShapeError

__all__ = ["Framing", "call_of", "check_count", "frames_needed", "framing_of"]


class Framing(NamedTuple):
    """How frames become coefficients; the block begins `offset` samples after its first frame."""

    hop: int
    linear: bool
    offset: int


def framing_of(hop: Any, interpolation: Any, offset: Any) -> Framing:
    """Return a framing; raise unless it is one."""
    hop, offset = whole("hop", hop, 1), whole("offset", offset, 0)
    if interpolation not in ("linear", "hold"):
        raise ArgumentError(f"interpolation is 'linear' or 'hold', got {interpolation!r}.")
    if offset >= hop:
        raise ArgumentError(
            f"offset is how many samples after its first frame a block begins, and less than hop={hop}; got {offset}. "
            f"Leave out the first {offset // hop} frames and pass offset={offset % hop}."
        )
    return Framing(hop, interpolation == "linear", offset)


def frames_needed(length: int, hop: int, offset: int = 0) -> int:
    """Return how many frames a block of samples begins; one at least."""
    return max(-(-(offset + length) // hop), 1)


def check_count(name: str, shape: tuple[int, ...], frames: int, length: int, framing: Framing) -> None:
    """Raise unless there are as many frames as samples take."""
    hop, _, offset = framing
    needed = frames_needed(length, hop, offset)
    if frames not in (needed, needed + 1):
        begins = f", the first of them {offset} after a frame," if offset else ""
        raise ShapeError(
            f"{name} has shape {shape}, {frames} frames: {length} samples{begins} with a hop of {hop} take {needed}, "
            f"or {needed + 1} where the last samples have a frame to go to. "
            f"{'Leave out the others' if frames > needed else 'Repeat the last frame'}, or pass another hop."
        )


def call_of(specs: Specs, framing: Framing, choices: Choices) -> Call:
    """Validate a call as one whose coefficients had been expanded to samples."""
    x, feedforward, feedback, inputs, outputs = specs
    if len(x.shape) < 2:
        # it says what is missing
        return build_call(x, feedforward, feedback, inputs, outputs, choices)
    b, a = (
        None if spec is None else _expanded(name, spec, x, framing, choices.layout)
        for name, spec in (("feedforward", feedforward), ("feedback", feedback))
    )
    _check_channels(x, feedforward, feedback, choices.layout)
    return build_call(x, b, a, inputs, outputs, choices)


def _expanded(name: str, spec: Spec, x: Spec, framing: Framing, layout: Layout) -> Spec:
    """Return the metadata of frames that were expanded to samples; raise where they do not fit x."""
    axes = LAYOUT_AXES[layout].replace("time", "frames").replace(")", ", taps)")
    asked = f"with x of shape {x.shape} in layout {layout!r} it is {axes}"
    if len(spec.shape) != len(x.shape) + 1:
        raise ShapeError(
            f"{name} has shape {spec.shape}, rank {len(spec.shape)}; {asked}, rank {len(x.shape) + 1}. Coefficients "
            "that do not change along time go to multirec.recurrence."
        )
    batch, _, length = split_shape(x.shape, layout)
    own, channels, frames = split_shape(spec.shape[:-1], layout)
    if any(size not in (1, full) for size, full in zip(own, batch, strict=True)):
        raise ShapeError(f"{name} has shape {spec.shape}; {asked}, its batch axes those of x, {batch}, or 1.")
    check_count(name, spec.shape, frames, length, framing)
    return spec._replace(shape=(*join_shape(own, channels, length, layout), spec.shape[-1]))


def _check_channels(x: Spec, feedforward: Spec | None, feedback: Spec | None, layout: Layout) -> None:
    shapes = {"x": x.shape} | {
        name: spec.shape[:-1] for name, spec in (("feedforward", feedforward), ("feedback", feedback)) if spec
    }
    found = {name: split_shape(shape, layout)[1] for name, shape in shapes.items()}
    if len({size for size in found.values() if size != 1}) > 1:
        told = ", ".join(f"{name} has {size}" for name, size in found.items())
        raise ShapeError(
            f"channels do not match in layout {layout!r}: {told}. Each has the common number of channels, or 1."
        )
