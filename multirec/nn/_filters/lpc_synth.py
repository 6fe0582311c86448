"""Synthesis by linear prediction: an excitation through all-pole filters whose coefficients come in frames."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from multirec import State
from multirec._core.problem import ComputeDtype, join_shape, split_shape
from multirec._core.scalars import whole
from multirec._core.validate import as_choices
from multirec._engine.call import split_state
from multirec._frames import Framing, check_count, frames_needed, framing_of, run
from multirec._registry.choice import check_name
from multirec.backend import Layout
from multirec.errors import ArgumentError, ShapeError

from .._contract.arguments import check_order, require_tensor
from .._weights.lpc_frames import KINDS, Kind, feedback_of, finer

__all__ = ["LPCSynth"]

_FRAME_AXIS = {"BCT": -2, "BTC": -3, "TBC": 0}


class LPCSynth(nn.Module):
    """Filter an excitation by 1 / A(z) of order p, where A changes over time and comes as a frame every `hop` samples.

    y[t] = gain·x[t] - Σ a[k]·y[t-k], with a and gain interpolated between frames sample by sample, as
    `multirec.framed_recurrence` does: frame f is for the sample at f·hop. It has no weights; a network gives the
    frames, and gradients go back to them, to the excitation and to the state.

    Parameters
    ----------
    order
        The order p, at most 256.
    hop
        Samples from one frame to the next.
    coefficients
        What frames hold. ``"reflection"``: reflection (PARCOR) coefficients k in (-1, 1), of which the Levinson step-up
        A[m] = A[m-1] + k[m]·z^-m·A[m-1](1/z) makes A. ``"log_area"``: log area ratios log((1 + k) / (1 - k)), which may
        be any numbers, as a network's outputs are. ``"lpc"``: a[1..p] of A(z) = 1 + Σ a[k]·z^-k, as they are.
    interpolation
        ``"linear"`` or ``"hold"``.
    subframes
        Into how many parts, which must divide the hop, reflection coefficients or log area ratios are interpolated
        before A is made of them.
    layout
        ``"BCT"``, ``"BTC"`` or ``"TBC"``.
    backend, compute_dtype
        As in `multirec.recurrence`.

    Shapes
    ------
    In layout BCT, x (B, T) takes frames (B, F, p) and gain (B, F); x (batch…, C, T), with three axes or more, takes
    frames (batch…, C, F, p) and gain (batch…, C, F), and may have 1 channel that serves all. Each axis of frames and
    gain but the last ones may be 1. In other layouts time and channels have their places there, and F that of time. y
    has the axes of x, and the `multirec.State` those with channels. F is `frames_needed(T)`, or one more: without the
    further one the last frame holds.

    Stability
    ---------
    Filters of reflection coefficients and log area ratios are stable at each frame, rounding included. Between two
    frames the line is that of the taps a, and filters on it are stable for order 1 and 2. For higher orders that is not
    so of every two frames: where they are far apart, one between them may be unstable. `subframes` then keeps closer to
    the line of reflection coefficients, which is stable throughout, at the price of a step-up, p² operations, for each.
    ``"lpc"`` promises nothing.

    Raises
    ------
    ShapeError
        Frames, gain or state do not fit x, or there are too few or too many.
    ArgumentError
        A parameter is none of these, or `subframes` does not divide `hop` or has nothing to do.

    Example
    -------
    >>> from multirec import nn as mnn
    >>> synth = mnn.LPCSynth(order=10, hop=80, coefficients="log_area")
    >>> x = torch.randn(2, 1600)
    >>> frames = torch.randn(2, synth.frames_needed(1600) + 1, 10) / 4
    >>> y, state = synth(x, frames)
    >>> y.shape, state.outputs.shape
    (torch.Size([2, 1600]), torch.Size([2, 1, 10]))

    The same in two blocks, of which the second begins 40 samples after its first frame:

    >>> first, state = synth(x[:, :1000], frames[:, :14])
    >>> rest, state = synth(x[:, 1000:], frames[:, 12:], state, offset=40)
    >>> torch.allclose(torch.cat([first, rest], -1), y, atol=1e-4)
    True

    Source: J. Makhoul, Linear prediction: a tutorial review, Proc. IEEE 63 (4), 1975.
    """

    def __init__(
        self,
        order: int,
        hop: int,
        *,
        coefficients: Kind = "reflection",
        interpolation: Literal["linear", "hold"] = "linear",
        subframes: int = 1,
        layout: Layout = "BCT",
        backend: str = "auto",
        compute_dtype: ComputeDtype | None = None,
    ) -> None:
        super().__init__()
        self.order = check_order(whole("order", order, 1))
        self.hop, *_ = framing_of(hop, interpolation, 0)
        self.coefficients, self.interpolation = coefficients, interpolation
        self.subframes = whole("subframes", subframes, 1)
        if coefficients not in KINDS:
            raise ArgumentError(f"coefficients is {', '.join(map(repr, KINDS))}, got {coefficients!r}.")
        if self.hop % self.subframes:
            raise ArgumentError(f"subframes divides hop={self.hop}, got {subframes}.")
        if self.subframes > 1 and (coefficients == "lpc" or interpolation == "hold"):
            raise ArgumentError(
                f"subframes={subframes} is for reflection coefficients or log area ratios that are interpolated "
                f"linearly, got coefficients={coefficients!r} and interpolation={interpolation!r}: it would change "
                "nothing. Leave it out."
            )
        check_name(backend)
        self.layout, _, self.backend, self.compute_dtype = as_choices(layout, False, backend, compute_dtype)

    _needs_all = "has filters that come in frames, which are not cut along time"

    def frames_needed(self, length: int, offset: int = 0) -> int:
        """Return how many frames a block of `length` samples takes; it may have one more."""
        return frames_needed(length, self.hop, offset)

    def feedback(self, frames: Tensor) -> Tensor:
        """Return frames of `multirec.recurrence`'s feedback, -a, of the same shape."""
        require_tensor(self, frames)
        if frames.shape[-1:] != (self.order,):
            raise ShapeError(
                f"LPCSynth of order {self.order} takes frames with {self.order} numbers along the last axis, got shape "
                f"{tuple(frames.shape)}."
            )
        return feedback_of(frames, self.coefficients, self.compute_dtype)

    def init_state(self, x: Tensor) -> State:
        """Return the zero state for a block like x, where the frames have as many channels as x or 1."""
        signal = self._signal(x)
        batch, channels, _ = split_shape(tuple(signal.shape), self.layout)
        least = torch.float64 if self.compute_dtype == "float64" else torch.float32
        dtype = torch.promote_types(signal.dtype, least)
        return State(
            inputs=signal.new_zeros(join_shape(batch, channels, 0, self.layout)),
            outputs=signal.new_zeros(join_shape(batch, channels, self.order, self.layout), dtype=dtype),
        )

    def forward(
        self, x: Tensor, frames: Tensor, state: Any = None, *, gain: Tensor | None = None, offset: int = 0
    ) -> tuple[Tensor, State]:
        """Return (y, state) of an excitation and its frames; the block begins `offset` samples after the first."""
        signal = self._signal(x)
        frames = self._framed("frames", frames, x, 1)
        gain = None if gain is None else self._framed("gain", gain, x, 0)
        framing = framing_of(self.hop, self.interpolation, offset)
        if self.subframes > 1:
            length, hop = split_shape(tuple(signal.shape), self.layout)[2], self.hop // self.subframes
            frames = self._finer("frames", frames, length, framing)
            gain = None if gain is None else self._finer("gain", gain, length, framing)
            framing = framing._replace(hop=hop, offset=framing.offset % hop)
        choices = as_choices(self.layout, False, self.backend, self.compute_dtype)
        y, state = run((signal, gain, self.feedback(frames), *split_state(state)), framing, choices)
        return y if x.ndim > 2 else y.squeeze(self._channel_axis), state

    @property
    def _channel_axis(self) -> int:
        return -2 if self.layout == "BCT" else -1

    def _signal(self, x: Tensor) -> Tensor:
        require_tensor(self, x)
        if x.ndim == 0:
            raise ShapeError("LPCSynth takes x of shape (time,), in two axes without channels, or more; got a scalar.")
        return x if x.ndim > 2 else x.unsqueeze(self._channel_axis)

    def _framed(self, name: str, part: Tensor, x: Tensor, more: int) -> Tensor:
        """Return frames with all axes: that of channels where x has none, and that of taps."""
        require_tensor(self, part)
        if part.ndim != x.ndim + more:
            axes = "the axes of x, with frames in the place of time" + ", and order numbers last" * more
            raise ShapeError(
                f"{name} has shape {tuple(part.shape)}, with x of shape {tuple(x.shape)}: it has {axes}, rank "
                f"{x.ndim + more}."
            )
        if x.ndim <= 2:
            part = part.unsqueeze(self._channel_axis - more)
        return part if more else part.unsqueeze(-1)

    def _finer(self, name: str, part: Tensor, length: int, framing: Framing) -> Tensor:
        """Return the frames of shorter hops that a block takes."""
        axis, hop = _FRAME_AXIS[self.layout], self.hop // self.subframes
        check_count(name, tuple(part.shape), part.shape[axis], length, framing)
        first = framing.offset // hop
        count = frames_needed(length, hop, framing.offset % hop) + 1
        part = finer(part, axis % part.ndim, self.subframes)
        return part.narrow(axis, first, min(count, part.shape[axis] - first))

    def extra_repr(self) -> str:
        usual = {"coefficients": "reflection", "interpolation": "linear", "subframes": 1, "layout": "BCT"}
        usual |= {"backend": "auto", "compute_dtype": None}
        given = {name: getattr(self, name) for name in usual}
        more = "".join(f", {name}={value!r}" for name, value in given.items() if value != usual[name])
        return f"{self.order}, hop={self.hop}{more}"
