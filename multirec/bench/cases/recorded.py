"""What an application asked a kernel for, as it is recorded, and the case that times just that."""

from __future__ import annotations

from math import prod
from typing import Literal, TypeAlias, TypedDict

from multirec._core.problem import ComputeDtype, Family, Layout, in_precision, real_precision

from .case import DTYPES, Case

Kind: TypeAlias = Literal["recurrence", "sequences", "sections", "frames", "activated"]
_KINDS: dict[str, str] = {
    "sequences": "a case has one signal an example",
    "sections": "a case is one filter a channel",
    "frames": "a case has coefficients that stay, or those of each sample",
    "activated": "a case is linear",
}


class TapsRow(TypedDict):
    """One set of coefficients; each of the first three axes is full or 1."""

    batch: int
    channels: int
    time: int
    taps: int
    dtype: str


class Recorded(TypedDict):
    """A problem that an application computed, and how often. Only sizes and types: no value of any array.

    Sizes are those that the kernel sees: all batch axes are one. `inputs` and `outputs` say whether a state was given.
    `family` is the library of the arrays that the kernel was called for, and `backend` what computed it. `counted` is
    ``"traces"`` where JAX traced the call into a compiled program, which may run any number of times.
    """

    kind: Kind
    detail: str
    backend: str
    counted: Literal["calls", "traces"]
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
    feedforward: TapsRow | None
    feedback: TapsRow | None
    inputs: bool
    outputs: bool
    forward: int
    backward: int


def case_of(row: Recorded) -> Case | str:
    """Return the case of a recorded problem, or why no case is just that.

    Example
    -------
    >>> taps: TapsRow = {"batch": 1, "channels": 8, "time": 1, "taps": 2, "dtype": "float32"}
    >>> row: Recorded = {
    ...     "kind": "recurrence", "detail": "", "backend": "numba", "counted": "calls", "family": "torch",
    ...     "device": "cpu", "dtype": "float32", "y_dtype": "float32", "compute_dtype": "float32", "layout": "BCT",
    ...     "reverse": False, "batch": 4, "channels": 8, "length": 500, "x_channels": 1, "feedforward": None,
    ...     "feedback": taps, "inputs": False, "outputs": False, "forward": 7, "backward": 0,
    ... }
    >>> case_of(row).describe()
    'x[4, 500] -> y[4, 8, 500], order 2, float32, feedback alone'
    >>> case_of(row | {"reverse": True})
    'time runs backwards'
    """
    b, a = row["feedforward"], row["feedback"]
    reason = _reason(row)
    if reason or a is None:
        return reason
    return Case(
        name="recorded",
        base="recorded",
        batch=row["batch"],
        channels=row["channels"],
        length=row["length"],
        order=a["taps"],
        dtype=row["dtype"],
        layout=row["layout"],
        shared=row["x_channels"] == 1 < row["channels"],
        feedforward=b is not None,
        time_varying=a["time"] > 1,
        stateful=row["outputs"],
        input_taps=None if b is None or b["taps"] == a["taps"] + 1 else b["taps"],
    )


def describe(row: Recorded) -> str:
    """Return a recorded problem in a line."""
    if row["kind"] in ("sections", "activated"):
        what = row["detail"]
    else:
        order = row["feedback"]["taps"] if row["feedback"] else 0
        what = ", ".join(filter(None, [f"order {order}", row["detail"]]))
    sizes = f"x of {row['batch']} × {row['x_channels']} channels × {row['length']} samples"
    return f"{sizes} to {row['channels']} channels, {what}, {row['dtype']}, {row['layout']}"


def _reason(row: Recorded) -> str:
    """Return why no case is just this; "" where one is."""
    b, a = row["feedforward"], row["feedback"]
    if row["kind"] != "recurrence":
        return _KINDS[row["kind"]]
    if not prod((row["batch"], row["channels"], row["length"])):
        return "it computes nothing"
    if row["reverse"]:
        return "time runs backwards"
    if a is None or not a["taps"]:
        return "it has no feedback"
    if row["dtype"] not in DTYPES or row["dtype"] != row["y_dtype"]:
        return f"x is {row['dtype']} and y {row['y_dtype']}; in a case they are of one type"
    if row["compute_dtype"] != real_precision(row["dtype"]):
        return f"it is computed in {row['compute_dtype']}"
    computed = in_precision(row["dtype"], row["compute_dtype"])
    if any(taps is not None and taps["dtype"] != computed for taps in (a, b)):
        return f"its coefficients are not all {computed}"
    if row["inputs"] != row["outputs"]:
        return "one part of the state is given alone"
    return _of_feedback(row, a) or ("" if b is None else _of_feedforward(row, b))


def _of_feedback(row: Recorded, a: TapsRow) -> str:
    full = row["batch"], row["channels"], row["length"]
    own = a["batch"], a["channels"], a["time"]
    # where there is one of something, coefficients of each are coefficients of all
    if own == full or own == (1, row["channels"], 1):
        return ""
    return f"its feedback is of {_extents(own)}; in a case it is one a channel, or has the axes of y"


def _of_feedforward(row: Recorded, b: TapsRow) -> str:
    own = b["batch"], b["channels"], b["time"]
    if own != (1, row["channels"], 1):
        return f"its feedforward is of {_extents(own)}; in a case it is one a channel"
    return "" if b["taps"] else "its feedforward has no taps"


def _extents(own: tuple[int, int, int]) -> str:
    batch, channels, time = own
    return f"{batch} × {channels} channels × {time} samples"
