"""The frozen problem that backends see, and all validation of what users pass.

Only metadata is looked at here: shapes, dtypes, families, devices. Nothing is computed or copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Literal, NamedTuple, TypeAlias, cast, get_args

from .errors import ArgumentError, DeviceError, DtypeError, FamilyError, ShapeError

Family: TypeAlias = Literal["numpy", "torch", "jax", "cupy"]
Layout: TypeAlias = Literal["BCT", "BTC", "TBC"]
Kind: TypeAlias = Literal["static", "per_example", "time_varying"]

HALF_DTYPES = ("float16", "bfloat16")
REAL_DTYPES = ("float32", "float64")
COMPLEX_DTYPES = ("complex64", "complex128")
_FLOATING = HALF_DTYPES + REAL_DTYPES + COMPLEX_DTYPES
_LAYOUT_AXES = {"BCT": "(batch…, channels, time)", "BTC": "(batch…, time, channels)", "TBC": "(time, batch…, channels)"}


class Spec(NamedTuple):
    """What validation knows of one array."""

    shape: tuple[int, ...]
    dtype: str
    family: Family
    device: str


@dataclass(frozen=True, slots=True)
class Taps:
    """One set of coefficients in canonical form: each of the first three axes full or 1.

    `dtype` is what the kernel gets: the caller's values rounded once to the precision it computes in.
    """

    batch: int
    channels: int
    time: int
    taps: int
    dtype: str

    @property
    def kind(self) -> Kind:
        """The least general kind that the extents ask for."""
        if self.time != 1:
            return "time_varying"
        return "static" if self.batch == 1 else "per_example"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The canonical shape (B|1, C|1, T|1, taps)."""
        return (self.batch, self.channels, self.time, self.taps)


@dataclass(frozen=True, slots=True)
class Problem:
    """One recurrence, described by sizes and types alone.

    `dtype` is x's, `y_dtype` the output's, `compute_dtype` the real precision kernels accumulate in.
    """

    family: Family
    device: str
    dtype: str
    y_dtype: str
    layout: Layout
    reverse: bool
    batch: int
    channels: int
    length: int
    x_channels: int
    feedforward: Taps | None
    feedback: Taps | None

    @property
    def order(self) -> int:
        """The number p of past outputs."""
        return self.feedback.taps if self.feedback is not None else 0

    @property
    def input_order(self) -> int:
        """The number q of past inputs."""
        return self.feedforward.taps - 1 if self.feedforward is not None else 0

    @property
    def shared(self) -> bool:
        """Whether one input channel serves several output channels."""
        return self.x_channels != self.channels

    @property
    def device_type(self) -> str:
        """The device without its index: cpu, cuda, mps, …"""
        return self.device.split(":")[0]

    @property
    def compute_dtype(self) -> str:
        """The real precision that kernels accumulate in: float32 or float64."""
        return real_precision(self.y_dtype)

    @property
    def is_complex(self) -> bool:
        """Whether y is complex."""
        return self.y_dtype in COMPLEX_DTYPES

    @property
    def time_varying(self) -> bool:
        """Whether any coefficient changes along time."""
        return any(taps is not None and taps.time > 1 for taps in (self.feedforward, self.feedback))

    def describe(self) -> str:
        """Return the problem in one line, for error messages and `explain`."""
        kinds = [
            f"{name} {taps.kind.replace('_', '-')} ({taps.taps} taps)"
            for name, taps in (("feedforward", self.feedforward), ("feedback", self.feedback))
            if taps is not None
        ]
        x = f"x of {self.batch} × {self.x_channels} channels × {self.length} samples"
        return f"order {self.order}, {x} to {self.channels} channels, {self.dtype} on {self.device}, {', '.join(kinds)}"


class Call(NamedTuple):
    """A validated call: the canonical problem, and the user's own shapes."""

    problem: Problem
    batch_shape: tuple[int, ...]
    y_shape: tuple[int, ...]


def real_precision(dtype: str) -> str:
    """Return the real dtype that values of `dtype` are computed in."""
    return "float64" if dtype in ("float64", "complex128") else "float32"


def coefficient_dtype(y_dtype: str, own: str) -> str:
    """Return the dtype that coefficients of dtype `own` are rounded to once, for a y of `y_dtype`."""
    real = real_precision(y_dtype)
    if own not in COMPLEX_DTYPES:
        return real
    return "complex128" if real == "float64" else "complex64"


def split_shape(shape: tuple[int, ...], layout: Layout) -> tuple[tuple[int, ...], int, int]:
    """Split a signal's shape into (batch axes, channels, time)."""
    if layout == "BCT":
        return shape[:-2], shape[-2], shape[-1]
    if layout == "BTC":
        return shape[:-2], shape[-1], shape[-2]
    return shape[1:-1], shape[-1], shape[0]


def join_shape(batch: tuple[int, ...], channels: int, time: int, layout: Layout) -> tuple[int, ...]:
    """Return a signal's shape in `layout`; the inverse of `split_shape`."""
    if layout == "BCT":
        return (*batch, channels, time)
    if layout == "BTC":
        return (*batch, time, channels)
    return (time, *batch, channels)


def as_layout(layout: object) -> Layout:
    """Return `layout` typed; raise unless it is one of the three."""
    if not isinstance(layout, str) or layout not in get_args(Layout):
        known = ", ".join(f"{name!r} {axes}" for name, axes in _LAYOUT_AXES.items())
        raise ArgumentError(f"unknown layout {layout!r}. The layouts are {known}.")
    return cast(Layout, layout)


def canonical_problem(
    x: Spec, feedforward: Spec | None, feedback: Spec | None, layout: Layout, reverse: bool
) -> Problem:
    """Return the problem of arrays that are canonical already, without validation."""
    y_dtype = _output_dtype(x, feedforward, feedback)
    taps = [
        None if spec is None else Taps(*spec.shape, coefficient_dtype(y_dtype, spec.dtype))
        for spec in (feedforward, feedback)
    ]
    batch, x_channels, length = x.shape
    channels = next((c for c in (x_channels, *(t.channels for t in taps if t is not None)) if c != 1), 1)
    return Problem(
        family=x.family,
        device=x.device,
        dtype=x.dtype,
        y_dtype=y_dtype,
        layout=layout,
        reverse=reverse,
        batch=batch,
        channels=channels,
        length=length,
        x_channels=x_channels,
        feedforward=taps[0],
        feedback=taps[1],
    )


plan_problem = lru_cache(maxsize=1024)(canonical_problem)
"""`canonical_problem`, remembered."""


def build_call(
    x: Spec,
    feedforward: Spec | None,
    feedback: Spec | None,
    inputs: Spec | None,
    outputs: Spec | None,
    layout: Layout,
    reverse: bool,
) -> Call:
    """Validate the arguments of a recurrence and return its canonical problem."""
    _check_x(x, layout)
    if feedforward is None and feedback is None:
        raise ArgumentError(
            "feedforward and feedback are both None, so there is nothing to compute. "
            "Pass feedforward (an FIR filter), feedback (a recurrence), or both."
        )
    _check_places(x, feedforward, feedback, inputs, outputs)
    y_dtype = _output_dtype(x, feedforward, feedback)
    batch, x_channels, length = split_shape(x.shape, layout)
    views = {
        name: _view_taps(name, spec, x, layout)
        for name, spec in (("feedforward", feedforward), ("feedback", feedback))
        if spec is not None
    }
    channels = _common_channels(x, x_channels, views, layout)
    y_shape = join_shape(batch, channels, length, layout)
    taps = {name: _canonical_taps(name, view, batch, length, layout, x, y_dtype) for name, view in views.items()}
    problem = Problem(
        family=x.family,
        device=x.device,
        dtype=x.dtype,
        y_dtype=y_dtype,
        layout=layout,
        reverse=reverse,
        batch=prod(batch),
        channels=channels,
        length=length,
        x_channels=x_channels,
        feedforward=taps.get("feedforward"),
        feedback=taps.get("feedback"),
    )
    _check_state("inputs", inputs, join_shape(batch, x_channels, problem.input_order, layout), x.dtype, layout)
    _check_state("outputs", outputs, join_shape(batch, channels, problem.order, layout), y_dtype, layout)
    return Call(problem, batch, y_shape)


plan_call = lru_cache(maxsize=1024)(build_call)
"""`build_call`, remembered: the hot path looks a call up by its metadata."""


def _check_x(x: Spec, layout: Layout) -> None:
    if x.dtype not in _FLOATING:
        raise DtypeError(
            f"x has dtype {x.dtype}; a recurrence is defined for {', '.join(_FLOATING)}. "
            f"Cast it first, for example {_cast_hint(x.family)}."
        )
    if len(x.shape) < 2:
        hint = "Pass x[None] for one channel" if len(x.shape) == 1 else "Pass an array with a time axis and a channel axis"
        raise ShapeError(f"x has shape {x.shape}; layout {layout!r} needs {_LAYOUT_AXES[layout]}. {hint}.")


def _cast_hint(family: Family) -> str:
    return "x.float()" if family == "torch" else "x.astype('float32')"


def _check_places(x: Spec, *others: Spec | None) -> None:
    names = ("feedforward", "feedback", "state.inputs", "state.outputs")
    for name, other in zip(names, others, strict=True):
        if other is None:
            continue
        is_coefficient = not name.startswith("state")
        if is_coefficient and other.family == "numpy":
            continue
        if other.family != x.family:
            allowed = f"{x.family} or numpy" if is_coefficient else x.family
            raise FamilyError(
                f"x is a {x.family} array and {name} is a {other.family} array; with such an x it must be {allowed}. "
                f"Convert one of them."
            )
        if other.device != x.device:
            raise DeviceError(f"x is on {x.device} and {name} is on {other.device}. Move one of them.")


def _output_dtype(x: Spec, *coefficients: Spec | None) -> str:
    names = ("feedforward", "feedback")
    y_dtype = x.dtype
    for name, other in zip(names, coefficients, strict=True):
        if other is None:
            continue
        if other.dtype not in _FLOATING:
            raise DtypeError(
                f"{name} has dtype {other.dtype}; coefficients are {', '.join(_FLOATING)}. Cast them, "
                "or give SciPy's b and a to RecurrenceBank.from_ba, which takes integers."
            )
        if other.dtype in COMPLEX_DTYPES:
            if x.dtype in HALF_DTYPES:
                raise DtypeError(
                    f"x is {x.dtype} and {name} is {other.dtype}: y would be a complex half type, which does not exist. "
                    "Cast x to float32."
                )
            y_dtype = "complex128" if real_precision(x.dtype) == "float64" else "complex64"
    return y_dtype


class _View(NamedTuple):
    """One coefficient set, its axes named: `batch` is None where the kind has no batch axes."""

    kind: Kind
    batch: tuple[int, ...]
    channels: int
    time: int
    taps: int
    spec: Spec


def _view_taps(name: str, spec: Spec, x: Spec, layout: Layout) -> _View:
    shape, rank = spec.shape, len(x.shape)
    if len(shape) < 2:
        hint = f"pass {name}[None] for one filter" if len(shape) == 1 else f"pass {name} with a taps axis"
        raise ShapeError(f"{name} has shape {shape}; static coefficients are (channels, taps): {hint}.")
    if len(shape) == 2:
        view = _View("static", (), shape[0], 1, shape[1], spec)
    elif len(shape) == rank:
        view = _View("per_example", shape[:-2], shape[-2], 1, shape[-1], spec)
    elif len(shape) == rank + 1:
        batch, channels, time = split_shape(shape[:-1], layout)
        view = _View("time_varying", batch, channels, time, shape[-1], spec)
    else:
        raise ShapeError(
            f"{name} has shape {shape}, rank {len(shape)}; with x of shape {x.shape} (layout {layout!r}) it is "
            f"(channels, taps), rank 2{'' if rank == 2 else f', (batch…, channels, taps), rank {rank}'}, or time-varying "
            f"with the axes of y and taps last, rank {rank + 1}."
        )
    if name == "feedforward" and view.taps == 0:
        raise ShapeError(
            f"feedforward has shape {shape}: it has no taps, so y would be zero. Pass feedforward=None for 1."
        )
    return view


def _common_channels(x: Spec, x_channels: int, views: dict[str, _View], layout: Layout) -> int:
    found = {"x": x_channels} | {name: view.channels for name, view in views.items()}
    common = next((size for size in found.values() if size != 1), 1)
    if all(size in (1, common) for size in found.values()):
        return common
    shapes = ", ".join(f"{name} of shape {view.spec.shape} has {view.channels}" for name, view in views.items())
    hint = ""
    if len(x.shape) == 2:
        hint = (
            f" A two-dimensional x is {_LAYOUT_AXES[layout].replace('batch…, ', '')}: if its first axis is a batch, "
            f"pass {'x[:, None]' if layout == 'BCT' else 'x[..., None]'} for one shared channel."
        )
    raise ShapeError(
        f"channels do not match: x of shape {x.shape} (layout {layout!r}, {_LAYOUT_AXES[layout]}) has {x_channels}, "
        f"{shapes}. Each must be the common number of channels, or 1.{hint}"
    )


def _canonical_taps(name: str, view: _View, batch: tuple[int, ...], length: int, layout: Layout, x: Spec, y_dtype: str) -> Taps:
    full = batch if view.kind != "static" else ()
    if any(own not in (1, size) for own, size in zip(view.batch, full, strict=True)) or view.time not in (1, length):
        axes = "(batch…, channels, taps)" if view.kind == "per_example" else "the axes of y, each full or 1, and taps last"
        raise ShapeError(
            f"{name} of shape {view.spec.shape} does not fit x of shape {x.shape} (layout {layout!r}, {_LAYOUT_AXES[layout]}): "
            f"{view.kind.replace('_', '-')} coefficients have {axes}."
        )
    one = all(own == 1 for own in view.batch)
    dtype = coefficient_dtype(y_dtype, view.spec.dtype)
    return Taps(1 if one else prod(batch), view.channels, view.time, view.taps, dtype)


def _check_state(part: str, got: Spec | None, shape: tuple[int, ...], dtype: str, layout: Layout) -> None:
    if got is None:
        return
    source = "x" if part == "inputs" else "y"
    count = "q (feedforward taps less one)" if part == "inputs" else "p (feedback taps)"
    if got.shape != shape:
        raise ShapeError(
            f"state.{part} has shape {got.shape}, expected {shape}: the last {count} samples of {source} in layout "
            f"{layout!r}, {_LAYOUT_AXES[layout]}. Pass the state that the previous call returned, or None for zeros."
        )
    if got.dtype != dtype:
        raise DtypeError(f"state.{part} has dtype {got.dtype}, expected {dtype}, which is {source}'s. Cast it.")

