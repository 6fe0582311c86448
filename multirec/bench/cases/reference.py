"""The float64 reference of a case, computed once and kept in files: the oracle's, on the part that is compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from multirec.testing import problems
from multirec.testing.oracle import values_of

from . import by_scipy
from .case import Case, Mode
from .signals import Array, Outputs, numbers
from .window import canonical, masked, window_of


def compute(case: Case, modes: Sequence[Mode], folder: Path) -> None:
    """Compute the reference of a case and keep it, one file an array, in `folder`."""
    channels, length = window_of(case)
    arrays = masked(case, modes[-1])
    x = numbers(canonical(arrays.x, case.layout)[:, :, :length])
    x = x if case.features or case.x_channels == 1 < case.channels else x[:, channels]
    weight = None if arrays.weight is None else arrays.weight[channels].astype(np.float64)
    source = x if weight is None else np.einsum("cf,bft->bct", weight, x.astype(np.float64))
    state = None
    if arrays.state is not None:
        inputs, outputs = (numbers(canonical(part, case.layout)) for part in arrays.state)
        state = (inputs if inputs.shape[1] != case.channels else inputs[:, channels], outputs[:, channels])
    feedforward = None if arrays.feedforward is None else arrays.feedforward[channels]
    taps = canonical(arrays.feedback, case.layout)[:, channels, :length] if case.time_varying else None
    feedback = arrays.feedback[channels] if taps is None else taps
    grad_y = None if arrays.grad_y is None else numbers(canonical(arrays.grad_y, case.layout)[:, channels, :length])
    found = right(case, source, feedforward, feedback, state, grad_y)
    if weight is not None and grad_y is not None:
        grad_source = found["x"]
        found["x"] = np.einsum("cf,bct->bft", weight, grad_source)
        found["weight"] = np.einsum("bct,bft->cf", grad_source, x.astype(np.float64))
        # a layer's own parameters stand behind these
        del found["feedforward"], found["feedback"]
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in found.items():
        np.save(folder / f"{name}.npy", array)


def kept(folder: Path, mode: Mode) -> Outputs:
    """Return the reference that was kept for a mode, without reading it all into memory."""
    names = ("y",) if mode == "forward" else ("y", "x", "feedforward", "feedback", "weight")
    paths = {name: folder / f"{name}.npy" for name in names}
    return {name: np.load(path, mmap_mode="r") for name, path in paths.items() if path.exists()}


def right(
    case: Case, x: Array, feedforward: Array | None, feedback: Array, state: by_scipy.State, grad_y: Array | None
) -> Outputs:
    """Return y, and with a gradient of y those of x and of the coefficients, for arrays with the axes (B, C, T)."""
    if by_scipy.serves(x, feedback):
        return by_scipy.results(x, feedforward, feedback, state, grad_y)
    inputs, outputs = (None, None) if state is None else state
    described = problems.Case(
        dtype=case.dtype,
        feedforward_dtype=case.computed,
        feedback_dtype=case.computed,
        feedforward="none" if feedforward is None else "static",
        feedback="static" if feedback.ndim == 2 else "time_varying",
        input_order=0 if feedforward is None else feedforward.shape[-1] - 1,
        order=feedback.shape[-1],
        batch=(len(x),),
        channels=feedback.shape[-3] if feedback.ndim > 2 else len(feedback),
        length=x.shape[-1],
        shared=x.shape[1] == 1,
        state="none" if state is None else "both",
        through="y",
        frozen=("x", "feedforward", "feedback", "state") if grad_y is None else (),
    )
    found = values_of(described, problems.Arguments(x, feedforward, feedback, inputs, outputs, grad_y, None, None))
    names = {"y": "y"} | {name: f"gradient of {name}" for name in ("x", "feedforward", "feedback")}
    return {name: found[theirs] for name, theirs in names.items() if theirs in found}
