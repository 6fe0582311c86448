"""`framed_recurrence`, for every array library."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, TypeAlias

from .._core.arrays import family_of, is_compiling
from .._core.problem import ComputeDtype, Layout
from .._core.state import State
from .._core.validate import Choices, as_choices
from .._engine.call import specs_of, split_state
from . import composed
from .composed import TIME_AXIS, joined
from .framing import Framing, call_of, frames_needed, framing_of
from .launch import bound

Array: TypeAlias = Any


def framed_recurrence(
    x: Array,
    *,
    feedback: Array | None = None,
    feedforward: Array | None = None,
    hop: int,
    interpolation: Literal["linear", "hold"] = "linear",
    offset: int = 0,
    state: State | tuple[Array | None, Array | None] | None = None,
    layout: Layout = "BCT",
    backend: str = "auto",
    compute_dtype: ComputeDtype | None = None,
) -> tuple[Array, State]:
    """Compute `recurrence` with coefficients that come at a frame rate: a frame every `hop` samples.

    Frame f is for the sample at f·hop, counted from the first frame. Coefficients of samples in between are on the line
    from frame f to frame f + 1, or are those of frame f; after the last frame they stay as they are. With ``"numba"``
    and ``"cupy"`` they are made inside the kernel, sample by sample: no array of the size of T·p exists, and gradients
    are added up into frames as they arise. Other backends get the coefficients of a chunk of frames at a time.

    Linear interpolation of stable filters is stable at each sample up to order 2. Beyond, frames that are far apart may
    have an unstable filter between them, which shorter hops or another parametrisation help against: see
    `multirec.nn.LPCSynth`.

    Parameters
    ----------
    x
        As in `recurrence`: (batch…, C, T) in `layout`, or with 1 channel that serves all C.
    feedback, feedforward
        Frames of coefficients, one at least of the two: the axes of y with the F frames in place of time, each other
        full or 1, and taps last; (batch…, C, F, p) in layout ``"BCT"``. `feedforward` of one tap is a gain.
    hop
        Samples from one frame to the next.
    interpolation
        ``"linear"`` or ``"hold"``.
    offset
        How many samples after its first frame the block begins, less than `hop`. A signal in blocks equals the whole
        where each block gets the frames from the last one that is not after its first sample on, to the first one that
        is not before its end.
    state, layout, backend, compute_dtype
        As in `recurrence`; but a `compute_dtype` of None is always x's own precision, and float32 for half types.

    Returns
    -------
    y, state
        As in `recurrence`. The state is of samples; where the next block is among its frames, `offset` says.

    Raises
    ------
    ShapeError
        There are not ceil((offset + T) / hop) frames, or one more, or shapes do not fit together.
    MultirecError
        As in `recurrence`.

    Example
    -------
    >>> import numpy as np, multirec as mr
    >>> x, frames = np.ones((1, 1, 4)), np.array([0.0, 0.5, 0.5]).reshape(1, 1, 3, 1)
    >>> y, state = mr.framed_recurrence(x, feedback=frames, hop=2)
    >>> y
    array([[[1.    , 1.25  , 1.625 , 1.8125]]])

    In blocks of one and three samples:

    >>> first, state = mr.framed_recurrence(x[..., :1], feedback=frames[:, :, :2], hop=2)
    >>> rest, _ = mr.framed_recurrence(x[..., 1:], feedback=frames, hop=2, offset=1, state=state)
    >>> bool(np.all(np.concatenate([first, rest], axis=-1) == y))
    True
    """
    choices = as_choices(layout, False, backend, compute_dtype)
    arrays = x, feedforward, feedback, *split_state(state)
    return run(arrays, framing_of(hop, interpolation, offset), choices)


def run(arrays: tuple[Array | None, ...], framing: Framing, choices: Choices) -> tuple[Array, State]:
    """Compute (x, feedforward, feedback, inputs, outputs)."""
    family = family_of(arrays[0])
    arrays = _evened(arrays, framing, choices.layout)
    compose = partial(_compose, framing, choices)
    if family == "torch":
        from .._torch.frames import framed as torch_framed

        return torch_framed(arrays, partial(bound, framing=framing, choices=choices), compose)
    if not is_compiling():
        launcher = bound(arrays, framing, choices).launcher
        if launcher is not None:
            return launcher(arrays)
    return compose(*arrays)


def _evened(arrays: tuple[Array | None, ...], framing: Framing, layout: Layout) -> tuple[Array | None, ...]:
    """Return arrays of which both coefficients have as many frames: the last one of the shorter is repeated."""
    x: Array = arrays[0]
    taps: list[Array] = list(arrays[1:3])
    if x.ndim < 2 or {getattr(part, "ndim", None) for part in taps} != {x.ndim + 1}:
        return arrays
    time = TIME_AXIS[layout] - (x.ndim if layout == "TBC" else 0)
    # coefficients have their taps behind
    axis, needed = time - 1, frames_needed(x.shape[time], framing.hop, framing.offset)
    counts = [part.shape[axis] for part in taps]
    if sorted(counts) != [needed, needed + 1]:
        return arrays
    short = counts.index(needed)
    last = taps[short][(..., slice(needed - 1, None), *[slice(None)] * (-1 - axis))]
    taps[short] = joined([taps[short], last], axis)
    return (x, *taps, *arrays[3:])


def _compose(framing: Framing, choices: Choices, *arrays: Any) -> tuple[Array, State]:
    return composed.framed(arrays, framing, call_of(specs_of(arrays), framing, choices), choices)
