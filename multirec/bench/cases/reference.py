"""The float64 reference of a case: the oracle's. It is computed once, channels after channels, and kept in files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import numpy as np

from multirec.testing import problems
from multirec.testing.oracle import values_of

from . import by_scipy
from .case import Case, Mode
from .signals import Array, Outputs, Signals, numbers
from .sums import signed_sums, signs, sizes
from .window import Window, canonical, cut_signals, has_time

# numbers that are computed at once
_AT_ONCE, _AT_ONCE_BY_STEPS = 1 << 20, 1 << 23


class Reference(NamedTuple):
    """What a contestant is compared with.

    `arrays` has of signals the window's channels, and of coefficients' gradients those of the `channels` that there was
    time for. `sums` and `sizes` are of the signals of the channels `summed`, (B, C, sums) and (B, C), with `weights`
    (T, sums).
    """

    arrays: Outputs
    channels: Array
    sums: Outputs
    sizes: Outputs
    weights: Array
    summed: Array

    def describe(self, case: Case, window: Window) -> str:
        """Return what is compared, in words."""
        time = "full length" if window.length == case.length else f"first {window.length} of {case.length} samples"
        if len(window.channels) == case.channels:
            return f"all channels and examples, number by number, {time}"
        drawn = ", ".join(map(str, window.channels))
        text = f"channels {drawn}, drawn for this run, number by number"
        if "y" in self.sums:
            text += f"; signed sums over time in {len(self.summed)} of {case.channels} channels"
        if {"feedforward", "feedback", "weight"} & set(self.arrays):
            text += f"; gradients of coefficients in {len(self.channels)} of {case.channels} channels"
        return f"{text}; all {case.batch} examples, {time}"


def compute(case: Case, modes: Sequence[Mode], window: Window, draw: int, folder: Path, seconds: float) -> None:
    """Compute the reference of a case and keep it, one file an array, in `folder`.

    The window and the sums come first, then what else the other channels have, as far as `seconds` go.
    """
    began, length, backward = monotonic(), window.length, modes[-1] != "forward"
    arrays = cut_signals(case, modes[-1], window)
    weights = signs(length, draw)
    done, found = [window.channels], of_channels(case, arrays, window.channels, length)
    signals = {name: array for name, array in found.items() if has_time(case, name)}
    slopes = {name: [array] for name, array in found.items() if not has_time(case, name)}
    mixed = case.features > 0 or case.x_channels != case.channels
    total = signals.pop("x") if mixed and backward else None
    quick = not case.stateful and by_scipy.serves(arrays.feedback, length)
    parts: dict[str, list[Array]] = {}

    def keep(found: Outputs) -> None:
        for name in signals:
            parts.setdefault(f"sums.{name}", []).append(signed_sums(found[name], weights))
            parts.setdefault(f"sizes.{name}", []).append(sizes(found[name]))

    if not quick:
        keep(found)
    rest = np.setdiff1d(np.arange(case.channels), window.channels)
    for channels in _pieces(case, np.random.default_rng((draw, 2)).permutation(rest)):
        if (quick and not backward) or monotonic() - began > seconds:
            break
        found = of_channels(case, arrays, channels, length)
        done.append(channels)
        for name, arrays_so_far in slopes.items():
            arrays_so_far.append(found[name])
        total = None if total is None else total + found["x"]
        if not quick:
            keep(found)
    covered = np.concatenate(done)
    order, whole = np.argsort(covered), len(covered) == case.channels
    if whole and total is not None:
        # a gradient of an input that channels share is known with the last of them
        signals["x"] = total
    summed = np.arange(case.channels) if quick else covered[order]
    files = {"channels": covered[order], "summed": summed, "weights": weights} | signals
    files |= {name: np.concatenate(each)[order] for name, each in slopes.items()}
    if quick:
        values, large = by_scipy.sums(case, arrays, weights, backward)
        files |= {f"sums.{name}": array for name, array in values.items()}
        files |= {f"sizes.{name}": array for name, array in large.items()}
    else:
        files |= {name: np.concatenate(each, axis=1)[:, order] for name, each in parts.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in files.items():
        np.save(folder / f"{name}.npy", array)


def kept(folder: Path, mode: Mode) -> Reference:
    """Return the reference that was kept for a mode, without reading it all into memory."""

    def those(prefix: str) -> Outputs:
        names = ("y",) if mode == "forward" else ("y", "x", "feedforward", "feedback", "weight")
        paths = {name: folder / f"{prefix}{name}.npy" for name in names}
        return {name: np.load(path, mmap_mode="r") for name, path in paths.items() if path.exists()}

    channels, weights, summed = (np.load(folder / f"{name}.npy") for name in ("channels", "weights", "summed"))
    return Reference(those(""), channels, those("sums."), those("sizes."), weights, summed)


def of_whole(arrays: Outputs) -> Reference:
    """Return a reference of signals alone."""
    nothing = np.zeros(0, np.int64)
    return Reference(arrays, nothing, {}, {}, nothing, nothing)


def of_channels(case: Case, arrays: Signals, channels: Array, length: int) -> Outputs:
    """Return what is right in some channels up to a length, (B, C, T) and (C, taps).

    A gradient of an input that channels share is the part that comes from these.
    """
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
    return found


def right(
    case: Case, x: Array, feedforward: Array | None, feedback: Array, state: by_scipy.State, grad_y: Array | None
) -> Outputs:
    """Return y, and with a gradient of y those of x and of the coefficients, for arrays with the axes (B, C, T)."""
    if by_scipy.serves(feedback, x.shape[-1]):
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


def _pieces(case: Case, channels: Array) -> Iterator[Array]:
    most = _AT_ONCE_BY_STEPS if case.time_varying else _AT_ONCE
    size = max(1, most // (case.batch * case.length))
    return (channels[start : start + size] for start in range(0, len(channels), size))
