"""Every kind of recurrence as nodes of ONNX, run by onnxruntime to the same numbers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import multirec as mr

runtime = pytest.importorskip("onnxruntime", reason="needs onnx, onnxscript and onnxruntime")
ir = pytest.importorskip("onnx_ir")
evaluator = pytest.importorskip("onnxscript.evaluator")

BATCH, CHANNELS, TIME = 4, 3, 9


def taps(*shape: int) -> torch.Tensor:
    """Return coefficients of stable filters, whatever their order."""
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))
    return 0.9 * drawn / drawn.abs().sum(-1, keepdim=True)


def signal(channels: int = CHANNELS, time: int = TIME, batch: int = BATCH) -> torch.Tensor:
    return torch.randn(batch, channels, time, generator=torch.Generator().manual_seed(channels + time))


def btc(part: torch.Tensor) -> torch.Tensor:
    return part.transpose(1, 2)


def tbc(part: torch.Tensor) -> torch.Tensor:
    return part.movedim(2, 0)


VARYING, EACH = (BATCH, CHANNELS, TIME, 2), (BATCH, CHANNELS, 2)
STATIC, X = taps(CHANNELS, 2), signal()
STATE = signal(time=1), signal(time=2)
CASES: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "shared": ((signal(1), taps(3, 3), STATIC), {}),
    "state": ((X, STATIC, STATIC, *STATE), {}),
    "reverse": ((X, taps(3, 2), taps(3, 3), signal(time=1), signal(time=3)), {"reverse": True}),
    "reverse, no state": ((X, taps(1, 2), taps(3, 1)), {"reverse": True}),
    "of each example": ((X, None, taps(*EACH)), {}),
    "of each, shared": ((signal(1), taps(*EACH), taps(1, 2)), {}),
    "varying": ((X, taps(BATCH, 1, TIME, 2), taps(*VARYING)), {}),
    "varying, one batch, one time": ((X, taps(1, 3, 1, 2), taps(1, 1, TIME, 2)), {}),
    "varying, reverse": ((signal(1), None, taps(*VARYING), None, STATE[1]), {"reverse": True}),
    "BTC": ((btc(X), STATIC, STATIC, btc(STATE[0]), btc(STATE[1])), {"layout": "BTC"}),
    "BTC, varying": ((btc(X), None, btc(taps(*VARYING))), {"layout": "BTC", "reverse": True}),
    "TBC": ((tbc(X), STATIC, STATIC, None, tbc(STATE[1])), {"layout": "TBC", "reverse": True}),
    "TBC, varying": ((tbc(X), None, tbc(taps(*VARYING))), {"layout": "TBC"}),
    "FIR": ((X, taps(3, 5)), {}),
    "no order": ((signal(1), None, taps(3, 0)), {}),
    "one first state": ((X, STATIC, STATIC, signal(time=1, batch=1), signal(time=2, batch=1)), {}),
    "two batch axes": ((signal()[None], STATIC, STATIC), {}),
    "no batch": ((signal()[0], STATIC, STATIC), {}),
    "a sample": ((signal(time=1), STATIC, STATIC, *STATE), {}),
    "wide": ((X, STATIC, STATIC, *STATE), {"compute_dtype": "float64"}),
    "half": ((X.half(), STATIC, STATIC, STATE[0].half(), STATE[1]), {}),
    "double": ((X.double(), STATIC.double(), STATIC.double()), {}),
}


def run(arrays: tuple[Any, ...], choices: dict[str, Any]) -> list[Any]:
    """Translate one call, whose batch and time have any size, and run it."""
    from multirec.onnx._recurrence import recurrence

    sizes: Any = {BATCH: "batch", TIME: "time"}
    values = [
        None
        if part is None
        else ir.val(f"given_{index}", ir.DataType.from_numpy(part.numpy().dtype), [sizes.get(n, n) for n in part.shape])
        for index, part in enumerate(arrays)
    ]
    with evaluator.default_as(recorder := SimpleNamespace(nodes=[])):
        settled = choices.get("layout", "BCT"), choices.get("reverse", False), "auto", choices.get("compute_dtype")
        results = recurrence(*values, *settled)
    for index, result in enumerate(results):
        result.name = f"result_{index}"
    inputs = [value for value in values if value is not None]
    graph = ir.Graph(inputs, results, nodes=recorder.nodes, name="call", opset_imports={"": 18})
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    model = ir.to_proto(ir.Model(graph, ir_version=10)).SerializeToString()
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    given = [part.numpy() for part in arrays if part is not None]
    return list(session.run(None, {value.name: part for value, part in zip(inputs, given, strict=True)}))


@pytest.mark.parametrize(("arrays", "choices"), CASES.values(), ids=CASES)
def test_a_call(arrays: tuple[Any, ...], choices: dict[str, Any]) -> None:
    x, b, a, *state = arrays + (None,) * (5 - len(arrays))
    y, after = mr.recurrence(x, feedforward=b, feedback=a, state=mr.State(*state), backend="reference", **choices)
    for got, want in zip(run((x, b, a, *state), choices), (y, *after), strict=True):
        assert got.dtype == want.numpy().dtype
        assert got.shape == want.shape
        least = {"float16": 1e-3, "float32": 2e-6, "float64": 1e-13}[str(got.dtype)]
        np.testing.assert_allclose(got, want, rtol=0, atol=least * np.abs(want.numpy()).max(initial=1e-9))
