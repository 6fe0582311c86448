"""The part of a recurrence that looks back at its own outputs, as the operator Scan."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from ._nodes import Nodes, Value
from ._taps import Taps

__all__ = ["fed_back"]


def fed_back(
    nodes: Nodes, given: Value, a: Taps, outputs: Value | None, rank: int, reverse: bool, dtype: Any
) -> tuple[Value, Value]:
    """Return y[t] = given[t] + Σ a[k]·y[t-k] and its last samples, as many as there are lags.

    Signals are (batch…, channels, time); `given` may have one channel that serves all.
    """
    p = len(a.lags)
    channels = nodes("Max", nodes("Shape", given, start=rank - 2, end=rank - 1), a.channels)
    sample = nodes.joined(nodes("Shape", given, start=0, end=rank - 2), channels)
    if p == 0:
        time = nodes("Shape", given, start=rank - 1)
        y = nodes("Expand", given, nodes.joined(sample, time))
        return y, nodes.stretch(y, 0, 0)
    # the samples before the block ascend in time, and those after it too, where time runs backwards
    places = list(range(p)) if reverse else list(reversed(range(p)))
    zero = nodes("Constant", value=ir.tensor(0.0, dtype=dtype))
    before = [nodes("Expand", zero if outputs is None else nodes.tap(outputs, place), sample) for place in places]
    moving = [given, *(a.lags if a.varies else [])]
    *after, y = nodes.several(
        "Scan",
        p + 1,
        *before,
        *moving,
        body=_body(a, rank, dtype),
        num_scan_inputs=len(moving),
        scan_input_axes=[rank - 1] * len(moving),
        scan_input_directions=[int(reverse)] * len(moving),
        scan_output_axes=[rank - 1],
        scan_output_directions=[int(reverse)],
    )
    samples = [nodes("Unsqueeze", part, nodes.numbers(-1)) for part in after]
    return y, nodes.joined(*(samples[places.index(place)] for place in range(p)))


def _body(a: Taps, rank: int, dtype: Any) -> Any:
    """Return one step: from the samples of each lag, newest first, and what is given now, to those after it and y."""
    nodes, lags = Nodes(), range(len(a.lags))
    given, *past = (_sample(name, rank, dtype) for name in ("given", *(f"past_{k}" for k in lags)))
    taps = [_sample(f"tap_{k}", rank, dtype) for k in lags] if a.varies else a.lags
    # from the oldest on, so that what is given comes last
    parts = [nodes("Mul", tap, sample) for tap, sample in zip(taps, past, strict=True)]
    y = nodes("Sum", *reversed(parts), given)
    # each output of a graph has a name of its own
    outs = [y, *(nodes("Identity", sample) for sample in (*past[:-1], y))]
    for index, node in enumerate(nodes.made):
        # a graph and what is inside of it share their names
        node.outputs[0].name = f"multirec_body_{index}"
    inputs = [*past, given, *(taps if a.varies else [])]
    return ir.Graph(inputs, outs, nodes=nodes.made, name="multirec_step")


def _sample(name: str, rank: int, dtype: Any) -> Value:
    return ir.Value(name=f"multirec_{name}", type=ir.TensorType(dtype), shape=ir.Shape([None] * (rank - 1)))
