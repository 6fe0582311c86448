"""Random stable problems, made from a seed: the arguments of a recurrence in the user's axes, in float64.

Values are rounded to the data type they stand for, so that they are the same numbers in every library.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple, TypeAlias
from zlib import crc32

import numpy as np
import numpy.typing as npt

from .._core.problem import ComputeDtype, in_precision, real_precision
from ..backend import COMPLEX_DTYPES, HALF_DTYPES, Layout
from ..reference import narrow, widen

__all__ = [
    "Arguments",
    "Case",
    "arguments",
    "from_canonical",
    "marks_of",
    "random_feedback",
    "round_to",
    "to_canonical",
]

Wide: TypeAlias = npt.NDArray[Any]
"""A float64 or complex128 array."""
TapsKind: TypeAlias = Literal["none", "static", "per_example", "time_varying"]
TapsName: TypeAlias = Literal["feedforward", "feedback"]
Marks: TypeAlias = Literal["none", "resets", "lengths", "both", "end_to_end", "all_cut"]
Memory: TypeAlias = Literal["contiguous", "strided", "flipped", "expanded", "read_only", "conjugated"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One random problem, described by what a caller may vary; equal cases have equal values.

    Attributes
    ----------
    dtype, feedforward_dtype, feedback_dtype
        Of x and of the coefficients; "same" is x's.
    compute_dtype
        What everything between x and y is computed in; None is x's precision.
    feedforward, feedback
        The kind of each set of coefficients.
    input_order, order
        The number of past inputs q and of past outputs p.
    batch, channels, length
        Batch axes, C and T.
    shared
        Whether x has one channel that serves all.
    ones
        Axes of the coefficients that have length 1: "batch" (the first batch axis), "channels", "time".
    state
        Which parts of a state precede the block.
    rounded_state
        Whether past outputs are passed in y's data type, where they are computed in a wider one.
    through
        Which results have a gradient: y, the returned state, or both.
    frozen
        Which of "x", "feedforward", "feedback" and "state" want none, in libraries that can leave some out.
    memory
        How x lies in memory.
    radius
        Of the largest pole.
    marks
        What marks sequences off in time, of one batch axis: resets, lengths, both; or of a batch of 1 cu_seqlens
        ("end_to_end"), and resets with them ("all_cut").

    Example
    -------
    >>> Case(order=3, reverse=True)
    Case(order=3, reverse=True)
    """

    dtype: str = "float64"
    feedforward_dtype: str = "same"
    feedback_dtype: str = "same"
    compute_dtype: ComputeDtype | None = None
    layout: Layout = "BCT"
    feedforward: TapsKind = "static"
    feedback: TapsKind = "static"
    input_order: int = 2
    order: int = 2
    batch: tuple[int, ...] = (2,)
    channels: int = 3
    length: int = 13
    shared: bool = False
    ones: tuple[str, ...] = ()
    state: Literal["none", "inputs", "outputs", "both"] = "both"
    rounded_state: bool = False
    through: Literal["y", "state", "both"] = "both"
    frozen: tuple[str, ...] = ()
    reverse: bool = False
    memory: Memory = "contiguous"
    radius: float = 0.9
    seed: int = 0
    marks: Marks = "none"

    def __repr__(self) -> str:
        changed = (f for f in fields(self) if getattr(self, f.name) != f.default)
        return f"Case({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in changed)})"

    @property
    def q(self) -> int:
        """The number of past inputs."""
        return 0 if self.feedforward == "none" else self.input_order

    @property
    def p(self) -> int:
        """The number of past outputs."""
        return 0 if self.feedback == "none" else self.order

    @property
    def states(self) -> tuple[int, ...]:
        """The batch axes of states: an entry a sequence, where these lie end to end."""
        return (_SEQUENCES,) if self.marks in ("end_to_end", "all_cut") else self.batch

    @property
    def x_channels(self) -> int:
        return 1 if self.shared else self.channels

    @property
    def y_channels(self) -> int:
        """The common number of channels: C, unless everything has one."""
        kinds = (self.feedforward, self.feedback)
        has_all = not self.shared or ("channels" not in self.ones and kinds != ("none", "none"))
        return self.channels if has_all else 1

    @property
    def y_dtype(self) -> str:
        """The data type of y: x's precision, complex if anything is."""
        dtypes = [self.dtype]
        if self.feedforward != "none":
            dtypes.append(self.taps_dtype("feedforward"))
        if self.feedback != "none":
            dtypes.append(self.taps_dtype("feedback"))
        if not any(dtype in COMPLEX_DTYPES for dtype in dtypes):
            return self.dtype
        return "complex64" if self.dtype in ("float32", "complex64") else "complex128"

    def taps_dtype(self, name: TapsName) -> str:
        """The data type that a set of coefficients is passed in."""
        own: str = getattr(self, f"{name}_dtype")
        return self.dtype if own == "same" else own

    @property
    def precision(self) -> ComputeDtype:
        """The real data type that everything between x and y is computed in."""
        return self.compute_dtype or real_precision(self.y_dtype)

    @property
    def state_dtype(self) -> str:
        """The data type of the returned past outputs."""
        return in_precision(self.y_dtype, self.precision)

    @property
    def outputs_dtype(self) -> str:
        """The data type of the past outputs that are passed."""
        return self.y_dtype if self.rounded_state else self.state_dtype

    def computed_dtype(self, name: TapsName) -> str:
        """The data type that a set of coefficients is rounded to before it is used."""
        return in_precision(self.taps_dtype(name), self.precision)

    def taps_shape(self, name: TapsName) -> tuple[int, ...]:
        """The canonical shape (batch…, C, T, taps) of a set of coefficients, with 1 where it does not vary."""
        kind: TapsKind = getattr(self, name)
        full = kind in ("per_example", "time_varying")
        batch = self.batch if full else (1,) * len(self.batch)
        if "batch" in self.ones and batch:
            batch = (1, *batch[1:])
        channels = 1 if "channels" in self.ones else self.channels
        time = self.length if kind == "time_varying" and "time" not in self.ones else 1
        return (*batch, channels, time, self.input_order + 1 if name == "feedforward" else self.order)


_SEQUENCES = 5
"""How many of them lie end to end."""


class Arguments(NamedTuple):
    """What is passed to `multirec.recurrence` and to its gradient, in the user's axes; None where nothing is."""

    x: Wide
    feedforward: Wide | None
    feedback: Wide | None
    inputs: Wide | None
    outputs: Wide | None
    grad_y: Wide | None
    grad_inputs: Wide | None
    grad_outputs: Wide | None


def round_to(array: Wide, dtype: str) -> Wide:
    """Round float64 or complex128 values to those that `dtype` holds."""
    return widen(narrow(array, dtype), dtype)


def from_canonical(array: Wide, layout: Layout, taps: bool = False) -> Wide:
    """View (batch…, C, T), or (batch…, C, T, taps), in the axes of `layout`."""
    end = -2 if taps else -1
    if layout == "BCT":
        return array
    return np.moveaxis(array, end, end - 1) if layout == "BTC" else np.moveaxis(array, end, 0)


def to_canonical(array: Wide, layout: Layout, taps: bool = False) -> Wide:
    """View an array in the axes of `layout` as (batch…, C, T), or (batch…, C, T, taps)."""
    end = -2 if taps else -1
    if layout == "BCT":
        return array
    return np.moveaxis(array, end - 1, end) if layout == "BTC" else np.moveaxis(array, 0, end)


def taps_to_user(case: Case, name: TapsName, array: Wide) -> Wide:
    """Return canonical coefficients (batch…, C, T, taps) in the shape that a caller passes."""
    kind: TapsKind = getattr(case, name)
    if kind == "time_varying":
        return from_canonical(array, case.layout, taps=True)
    array = array[..., 0, :]
    return array.reshape(array.shape[-2:]) if kind == "static" else array


def arguments(case: Case) -> Arguments:
    """Return the values of a case."""
    random = np.random.default_rng([crc32(repr(case).encode()), case.seed])

    def signal(channels: int, length: int, dtype: str, batch: tuple[int, ...] = case.batch) -> Wide:
        return round_to(_noise(random, (*batch, channels, length), dtype), dtype)

    def signal_out(array: Wide) -> Wide:
        return from_canonical(array, case.layout)

    x = signal(case.x_channels, case.length, case.dtype)
    if case.memory == "expanded":
        x = np.broadcast_to(x.mean(axis=0, keepdims=True), x.shape) if case.batch and x.size else x
        x = round_to(x, case.dtype)
    feedforward = feedback = None
    if case.feedforward != "none":
        dtype = case.taps_dtype("feedforward")
        shape = case.taps_shape("feedforward")
        feedforward = taps_to_user(case, "feedforward", round_to(_noise(random, shape, dtype), dtype))
    if case.feedback != "none":
        dtype = case.taps_dtype("feedback")
        shape = case.taps_shape("feedback")
        values = random_feedback(random, shape, dtype, case.radius, case.feedback == "time_varying")
        feedback = taps_to_user(case, "feedback", round_to(values, dtype))
    past_x, past_y = (case.x_channels, case.q), (case.y_channels, case.p)
    inputs, outputs = (
        signal_out(signal(*tail, dtype, case.states)) if case.state in (part, "both") else None
        for part, tail, dtype in (("inputs", past_x, case.dtype), ("outputs", past_y, case.outputs_dtype))
    )
    grad_y = grad_inputs = grad_outputs = None
    if case.through != "state":
        grad_y = signal_out(signal(case.y_channels, case.length, case.y_dtype))
    if case.through != "y":
        grad_inputs, grad_outputs = (
            signal_out(signal(*past_x, case.dtype, case.states)),
            signal_out(signal(*past_y, case.state_dtype, case.states)),
        )
    if "lengths" in (found := marks_of(case)):
        # what is there must reach nothing
        x = np.where(np.arange(case.length) < found["lengths"][:, None, None], x, np.inf)
    return Arguments(signal_out(x), feedforward, feedback, inputs, outputs, grad_y, grad_inputs, grad_outputs)


def marks_of(case: Case) -> dict[str, Wide]:
    """Return the keywords that mark the sequences of a case off, as `multirec.recurrence` takes them."""
    random = np.random.default_rng([crc32(case.marks.encode()), case.seed])
    found: dict[str, Wide] = {}
    if case.marks in ("end_to_end", "all_cut"):
        inner = np.sort(random.integers(0, case.length + 1, _SEQUENCES - 2))
        # one of them is empty
        found["cu_seqlens"] = np.array([0, *inner, inner[-1], case.length])
    if case.marks in ("resets", "both", "all_cut"):
        resets = random.random((*case.batch, case.length)) < 0.2
        resets[-1, :1] = True
        found["resets"] = resets.T if case.layout == "TBC" else resets
    if case.marks in ("lengths", "both"):
        lengths = random.integers(1, case.length + 1, case.batch)
        lengths[0] = 0
        found["lengths"] = lengths
    return found


def random_feedback(
    random: np.random.Generator, shape: tuple[int, ...], dtype: str, radius: float, time_varying: bool = False
) -> Wide:
    """Return feedback coefficients (…, p) that are stable, also after rounding to half types.

    Poles lie within `radius`. Coefficients that vary along time have a sum of magnitudes within `radius`, which is
    enough for stability whatever the order of the samples.
    """
    *lead, order = shape
    is_complex = dtype in COMPLEX_DTYPES
    if dtype in HALF_DTYPES:
        radius = min(radius, 0.8)
    if time_varying:
        values = _noise(random, shape, dtype)
        scaled: Wide = radius * values / np.maximum(np.abs(values).sum(axis=-1, keepdims=True), 1e-3)
        return scaled
    poly: Wide = np.ones((*lead, 1), np.complex128)
    pairs = order if is_complex else order // 2
    for _ in range(pairs):
        pole = radius * random.uniform(0.2, 1, lead) * np.exp(1j * random.uniform(-np.pi, np.pi, lead))
        poly = _times(poly, pole)
        if not is_complex:
            poly = _times(poly, pole.conj())
    if not is_complex and order % 2:
        poly = _times(poly, radius * random.uniform(-1, 1, lead) + 0j)
    feedback: Wide = -poly[..., 1:]
    return feedback if is_complex else np.real(feedback)


def _times(poly: Wide, root: Wide) -> Wide:
    """Multiply polynomials by (1 - root/z)."""
    zero = np.zeros((*poly.shape[:-1], 1), poly.dtype)
    product: Wide = np.concatenate([poly, zero], -1) - root[..., None] * np.concatenate([zero, poly], -1)
    return product


def _noise(random: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Wide:
    values = random.standard_normal((*shape, 2))
    noise: Wide = values @ np.array([1, 1j]) if dtype in COMPLEX_DTYPES else values[..., 0]
    return noise
