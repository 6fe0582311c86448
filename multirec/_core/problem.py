"""The frozen problem that backends see: sizes, types, layout, and nothing of the caller's own shapes."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias, cast

Family: TypeAlias = Literal["numpy", "torch", "jax", "cupy"]
Target: TypeAlias = Family | Literal["cuda"]
"""What a kernel takes: arrays of one library, or of any that are in CUDA memory, as they are."""
Layout: TypeAlias = Literal["BCT", "BTC", "TBC"]
Kind: TypeAlias = Literal["static", "per_example", "time_varying"]
ComputeDtype: TypeAlias = Literal["float32", "float64"]

HALF_DTYPES = ("float16", "bfloat16")
REAL_DTYPES = ("float32", "float64")
COMPLEX_DTYPES = ("complex64", "complex128")
FLOATING_DTYPES = HALF_DTYPES + REAL_DTYPES + COMPLEX_DTYPES

LAYOUT_AXES: dict[str, str] = {
    "BCT": "(batch…, channels, time)",
    "BTC": "(batch…, time, channels)",
    "TBC": "(time, batch…, channels)",
}
"""The axes of a signal, spelt out for error messages."""


class Spec(NamedTuple):
    """What validation knows of one array."""

    shape: tuple[int, ...]
    dtype: str
    family: Family
    device: str


@dataclass(frozen=True, slots=True)
class Taps:
    """One set of coefficients in canonical form: each of the first three axes full or 1.

    `dtype` is what the kernel gets: the caller's values rounded once to the problem's `compute_dtype`.
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

    `dtype` is x's, `y_dtype` the output's, `compute_dtype` the real precision that everything between them is in.
    """

    family: Family
    device: str
    dtype: str
    y_dtype: str
    compute_dtype: ComputeDtype
    layout: Layout
    reverse: bool
    batch: int
    channels: int
    length: int
    x_channels: int
    feedforward: Taps | None
    feedback: Taps | None
    _hash: int | None = field(default=None, init=False, repr=False, compare=False)

    def __hash__(self) -> int:
        # problems are looked up at every call
        if self._hash is None:
            parts = tuple(getattr(self, part.name) for part in fields(self) if part.init)
            object.__setattr__(self, "_hash", hash(parts))
        return cast(int, self._hash)

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
    def wide(self) -> bool:
        """Whether it is computed in more than the signal's own precision: in float64 for one of float32 or less."""
        return self.compute_dtype != real_precision(self.y_dtype)

    @property
    def state_dtype(self) -> str:
        """The data type of past outputs: y's, but never less than what it was computed in."""
        return in_precision(self.y_dtype, self.compute_dtype)

    @property
    def past_dtypes(self) -> tuple[str, ...]:
        """The data types that past outputs are taken in: y's, and the wider ones of its kind, y's first."""
        return and_wider(self.y_dtype)

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
        dtype = f"{self.dtype} computed in {self.compute_dtype}" if self.wide else self.dtype
        return f"order {self.order}, {x} to {self.channels} channels, {dtype} on {self.device}, {', '.join(kinds)}"


def real_precision(dtype: str) -> ComputeDtype:
    """Return the real dtype that values of `dtype` are computed in, unless a wider one is asked for."""
    return "float64" if dtype in ("float64", "complex128") else "float32"


def in_precision(dtype: str, real: ComputeDtype) -> str:
    """Return the dtype, real or complex as `dtype` is, whose parts are of the real one."""
    if dtype not in COMPLEX_DTYPES:
        return real
    return "complex128" if real == "float64" else "complex64"


def and_wider(dtype: str) -> tuple[str, ...]:
    """Return a dtype and the wider ones of its kind that are computed in."""
    reals: tuple[ComputeDtype, ...] = (real_precision(dtype), "float64")
    return tuple(dict.fromkeys((dtype, *(in_precision(dtype, real) for real in reals))))


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


def looks_like_signal(taps: tuple[int, ...], x: tuple[int, ...], layout: Layout) -> bool:
    """Whether several taps have the shape of x, so that the axis of taps could be forgotten.

    Or, of coefficients of each example, the shape of y with an x that serves all channels, or of one example's.
    """
    if len(taps) != len(x) or len(taps) < 2:
        return False
    (batch, channels, time), (own_batch, own_channels, own_time) = (split_shape(shape, layout) for shape in (taps, x))
    # a length that a compiler does not know yet is compared with its like alone, not tied to a number
    if type(time) is not type(own_time) or time != own_time or taps[-1] <= 1:
        return False
    if len(x) == 2 or time == 1:
        return taps == x
    fits = all(size in (1, own) for size, own in zip(batch, own_batch, strict=True))
    return fits and own_channels in (1, channels)


def output_dtype(x: Spec, *coefficients: Spec | None) -> str:
    """Return y's dtype: x's precision, complex if anything is."""
    if x.dtype not in COMPLEX_DTYPES and any(c is not None and c.dtype in COMPLEX_DTYPES for c in coefficients):
        return "complex128" if real_precision(x.dtype) == "float64" else "complex64"
    return x.dtype


def canonical_problem(
    x: Spec,
    feedforward: Spec | None,
    feedback: Spec | None,
    layout: Layout,
    reverse: bool,
    compute_dtype: ComputeDtype | None = None,
) -> Problem:
    """Return the problem of arrays that are canonical already, without validation."""
    y_dtype = output_dtype(x, feedforward, feedback)
    compute_dtype = compute_dtype or real_precision(y_dtype)
    taps = [None if spec is None else _taps_of(spec, compute_dtype) for spec in (feedforward, feedback)]
    batch, x_channels, length = x.shape
    channels = next((c for c in (x_channels, *(t.channels for t in taps if t is not None)) if c != 1), 1)
    return Problem(
        family=x.family,
        device=x.device,
        dtype=x.dtype,
        y_dtype=y_dtype,
        compute_dtype=compute_dtype,
        layout=layout,
        reverse=reverse,
        batch=batch,
        channels=channels,
        length=length,
        x_channels=x_channels,
        feedforward=taps[0],
        feedback=taps[1],
    )


def _taps_of(spec: Spec, compute_dtype: ComputeDtype) -> Taps:
    batch, channels, time, taps = spec.shape
    return Taps(batch, channels, time, taps, in_precision(spec.dtype, compute_dtype))


plan_problem = lru_cache(maxsize=1024)(canonical_problem)
"""`canonical_problem`, remembered."""
