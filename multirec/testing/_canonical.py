"""Problems without layouts, broadcasting, shared input and reversed time, and results with them again.

Undone here, by other code than the library's: what computes in between knows one form alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ._rounding import Results
from .problems import (
    Arguments,
    Case,
    TapsName,
    Wide,
    from_canonical,
    round_to,
    taps_to_user,
    to_canonical,
)

__all__ = ["Canonical", "Expected", "canonical_arguments", "stored_dtype", "user_results"]


@dataclass(frozen=True)
class Expected:
    """Values and gradients of a case by name (``"y"``, ``"state.inputs"``, ``"gradient of x"``, …), in the user's axes.

    `bounds` has the largest error that rounding explains, for each of their elements.
    """

    values: dict[str, Wide]
    bounds: dict[str, Wide]


@dataclass(frozen=True)
class Canonical:
    """Arguments as signals (B, C, T) that run forward and coefficients (B, C, T, taps), all of them there."""

    x: Wide
    feedforward: Wide
    feedback: Wide
    inputs: Wide
    outputs: Wide
    grad_y: Wide
    grad_inputs: Wide
    grad_outputs: Wide


def canonical_arguments(case: Case, given: Arguments) -> Canonical:
    """Return the arguments of a case dense, in canonical axes, and reversed if its time runs backwards.

    Coefficients have the precision they are computed in. The gradient of a shared input's state arrives at its
    first channel, since it comes once and not once a channel.
    """
    dtype: Any = np.complex128 if case.y_dtype.startswith("complex") else np.float64
    channels = case.y_channels

    def in_order(array: Wide) -> Wide:
        array = array.reshape((prod(case.batch), *array.shape[len(case.batch) :])).astype(dtype)
        return array[:, :, ::-1] if case.reverse else array

    def signal(array: Wide | None, count: int, own: int = channels) -> Wide:
        if array is None:
            return np.zeros((prod(case.batch), own, count), dtype)
        array = to_canonical(array, case.layout)
        return in_order(np.broadcast_to(array, (*case.batch, own, count)))

    def taps(name: TapsName, array: Wide | None) -> Wide:
        if array is None:
            kept = 1 if name == "feedforward" else 0
            return np.ones((prod(case.batch), channels, case.length, kept), dtype)
        varies = getattr(case, name) == "time_varying"
        array = to_canonical(array, case.layout, taps=True) if varies else array[..., None, :]
        full = np.broadcast_to(array, (*case.batch, channels, case.length, array.shape[-1]))
        return in_order(round_to(full, case.computed_dtype(name)))

    grad_inputs = signal(given.grad_inputs, case.q, case.x_channels)
    if case.x_channels != channels:
        grad_inputs = np.concatenate([grad_inputs, np.zeros_like(grad_inputs).repeat(channels - 1, 1)], 1)
    return Canonical(
        signal(given.x, case.length),
        taps("feedforward", given.feedforward),
        taps("feedback", given.feedback),
        signal(given.inputs, case.q),
        signal(given.outputs, case.p),
        signal(given.grad_y, case.length),
        grad_inputs,
        signal(given.grad_outputs, case.p),
    )


def user_results(case: Case, results: Results) -> dict[str, Wide]:
    """Return canonical results by name, in the axes, shapes and realness of what the caller passed."""
    p, q, length = case.p, case.q, case.length

    def signal(array: Wide, dtype: str) -> Wide:
        array = array[..., ::-1] if case.reverse else array
        array = from_canonical(array.reshape((*case.batch, *array.shape[1:])), case.layout)
        return array if dtype.startswith("complex") else array.real

    def taps(name: TapsName, array: Wide) -> Wide:
        array = array[:, :, ::-1] if case.reverse else array
        array = array.reshape((*case.batch, *array.shape[1:]))
        for axis, own in enumerate(case.taps_shape(name)):
            array = array.sum(axis=axis, keepdims=True) if own == 1 else array
        array = taps_to_user(case, name, array)
        return array if case.taps_dtype(name).startswith("complex") else array.real

    shared = case.x_channels != case.y_channels
    x = results.x[:, :1] if shared else results.x
    grad_x = results.grad_x.sum(1, keepdims=True) if shared else results.grad_x
    named = {
        "y": signal(results.y[..., p:], case.y_dtype),
        "state.inputs": signal(x[..., length:], case.dtype),
        "state.outputs": signal(results.y[..., length:], case.y_dtype),
    }
    if "x" not in case.frozen:
        named["gradient of x"] = signal(grad_x[..., q:], case.dtype)
    if case.feedforward != "none" and "feedforward" not in case.frozen:
        named["gradient of feedforward"] = taps("feedforward", results.grad_feedforward)
    if case.feedback != "none" and "feedback" not in case.frozen:
        named["gradient of feedback"] = taps("feedback", results.grad_feedback)
    if case.state in ("inputs", "both") and "state" not in case.frozen:
        named["gradient of state.inputs"] = signal(grad_x[..., :q], case.dtype)
    if case.state in ("outputs", "both") and "state" not in case.frozen:
        named["gradient of state.outputs"] = signal(results.grad_past_y, case.y_dtype)
    return named


def stored_dtype(case: Case, name: str) -> str:
    if name == "state.outputs":
        return case.state_dtype
    if name == "gradient of state.outputs":
        return case.outputs_dtype
    if name in ("state.inputs", "gradient of x", "gradient of state.inputs"):
        return case.dtype
    if name in ("gradient of feedforward", "gradient of feedback"):
        return case.taps_dtype("feedforward" if name.endswith("forward") else "feedback")
    return case.y_dtype
