"""The library's operators as nodes of ONNX: a weighted sum of what came in, and a Scan of what went out."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
from onnxscript import evaluator

from ._axes import from_channels_time, to_channels_time
from ._nodes import Nodes, Value
from ._scan import fed_back
from ._taps import Taps, taps_of

__all__ = ["forward", "recurrence"]

_DOUBLE, _FLOAT = ir.DataType.DOUBLE, ir.DataType.FLOAT


def recurrence(
    x: Any,
    feedforward: Any,
    feedback: Any,
    inputs: Any,
    outputs: Any,
    layout: str,
    reverse: bool,
    backend: str,
    compute_dtype: str | None = None,
) -> Any:
    """Return y and the two parts of the state, as `multirec::recurrence` does."""
    nodes, rank, own = Nodes(), len(x.shape), x.dtype
    dtype = _DOUBLE if own == _DOUBLE or compute_dtype == "float64" else _FLOAT
    b, a = (taps_of(nodes, taps, layout, rank, dtype) for taps in (feedforward, feedback))
    x, inputs, outputs = (
        None if part is None else to_channels_time(nodes, part, layout, rank) for part in (x, inputs, outputs)
    )
    q = max(len(b.lags) - 1, 0)
    whole = _with_past(nodes, x, inputs, q, rank, reverse)
    given = _weighted(nodes, nodes.cast(whole, dtype), b, q, reverse)
    y, last = fed_back(nodes, given, a, None if outputs is None else nodes.cast(outputs, dtype), rank, reverse, dtype)
    kept = nodes.stretch(whole, -q, None) if q and not reverse else nodes.stretch(whole, 0, q)
    results = [from_channels_time(nodes, part, layout, rank) for part in (nodes.cast(y, own), kept, last)]
    evaluator.default().nodes.extend(nodes.made)
    return results


def forward(
    x: Any,
    feedforward: Any,
    feedback: Any,
    inputs: Any,
    outputs: Any,
    layout: str,
    reverse: bool,
    backend: str,
    compute_dtype: str | None = None,
) -> Any:
    """Return y and the two parts of the state, as `multirec::forward` does: of canonical operands."""
    # how they lie in memory is what the layout says there; their axes are always those of BCT
    return recurrence(x, feedforward, feedback, inputs, outputs, "BCT", reverse, backend, compute_dtype)


def _with_past(nodes: Nodes, x: Value, inputs: Value | None, q: int, rank: int, reverse: bool) -> Value:
    """Return x with the q samples that stand before it, or after it where time runs backwards."""
    if q == 0:
        return x
    if inputs is None:
        before, after = (0, q) if reverse else (q, 0)
        return nodes("Pad", x, nodes.numbers(*[0] * (rank - 1), before, *[0] * (rank - 1), after))
    sizes = nodes.joined(nodes("Shape", x, start=0, end=rank - 1), nodes.numbers(q))
    inputs = nodes("Expand", inputs, sizes)
    return nodes.joined(x, inputs) if reverse else nodes.joined(inputs, x)


def _weighted(nodes: Nodes, whole: Value, b: Taps, q: int, reverse: bool) -> Value:
    """Return Σ b[j]·x[t-j], or x where there are no such coefficients."""
    if not b.lags:
        return whole
    starts = range(q + 1) if reverse else range(q, -1, -1)
    stretches = [nodes.stretch(whole, start, start - q or None) for start in starts]
    return nodes(
        "Sum", *(nodes("Mul", tap, part) for tap, part in zip(b.beside_signals(nodes), stretches, strict=True))
    )
