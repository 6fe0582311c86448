"""Banks and layers, exported by torch, run by onnxruntime block by block."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.export import Dim
from torch.utils._pytree import tree_leaves, tree_map

from multirec import nn, onnx
from multirec.errors import LibraryMissingError

runtime = pytest.importorskip("onnxruntime", reason="needs onnx, onnxscript and onnxruntime")


def frozen() -> nn.Chain:
    return nn.Chain(nn.FilterBank(3, order=1, layout="BTC").freeze(), nn.RecurrenceLayer(3, 2, layout="BTC"))


def live() -> nn.Chain:
    return nn.Chain(
        nn.BandpassBank(3, 16000, layout="BTC"),
        nn.ParametricEQ(3, 16000, gains=[3.0, -2.0, 1.0], layout="BTC"),
        nn.RecurrenceLayer(3, 4, order=3, layout="BTC"),
        torch.nn.Tanh(),
        nn.FilterBank(4, order=4, layout="BTC"),
    )


def arrays_of(parts: Any) -> list[Any]:
    return [part.detach().numpy() for part in tree_leaves(parts) if part is not None]


@pytest.mark.long
@pytest.mark.parametrize("make", [frozen, live])
@pytest.mark.filterwarnings("ignore")
def test_blocks_continue_as_in_torch(make: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, path, first = make().eval(), tmp_path / "model.onnx", torch.randn(3, 5, 1)
    with torch.no_grad():
        _, states = model(first)
    batch, time = Dim("batch", min=1, max=8), Dim("time", min=1, max=99)
    sizes = {0: batch, 1: time}, tree_map(lambda part: None if part is None else {0: batch}, states)
    onnx.export(model, (first, states), path, dynamic_shapes=sizes, external_data=False, verbose=False)
    pytest.importorskip("onnx.checker").check_model(str(path), full_check=True)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names, kept = [given.name for given in session.get_inputs()], arrays_of(states)
    for count in (1, 11, 4):
        block = torch.randn(3, count, 1)
        y, *kept = session.run(None, dict(zip(names, [block.numpy(), *kept], strict=True)))
        with torch.no_grad():
            expected, states = model(block, states)
        for got, want in zip((y, *kept), arrays_of((expected, states)), strict=True):
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


UNITS = {
    "MinGRU": lambda: nn.MinGRU(3, 4),
    "MinLSTM": lambda: nn.MinLSTM(3, 4, layout="BTC"),
    "QRNN": lambda: nn.QRNN(3, 4, window=3),
    "SRU-v1": lambda: nn.SRU(3, 4, v1=True),
    "RGLRU": lambda: nn.RGLRU(3, 4),
    "RGLRUBlock": lambda: nn.RGLRUBlock(3, 4),
}


@pytest.mark.long
@pytest.mark.parametrize("name", UNITS)
@pytest.mark.filterwarnings("ignore")
def test_units_are_what_they_are_in_torch(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    unit, path = UNITS[name]().eval(), tmp_path / "unit.onnx"
    time, axis = Dim("time", min=1, max=99), 1 if unit.layout == "BTC" else 0
    x = torch.randn(5, 5, 3)
    with torch.no_grad():
        _, state = unit(x)
    sizes = {axis: time}, tree_map(lambda part: None if part is None else {}, state)
    onnx.export(unit, (x, state), path, dynamic_shapes=sizes, external_data=False, verbose=False)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names, block = [given.name for given in session.get_inputs()], x.narrow(axis, 0, 3)
    found = session.run(None, dict(zip(names, arrays_of((block, state)), strict=True)))
    with torch.no_grad():
        expected = unit(block, state)
    for got, want in zip(found, arrays_of(expected), strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


class Resetting(torch.nn.Module):
    """A unit that is told where sequences begin."""

    def __init__(self) -> None:
        super().__init__()
        self.unit = nn.MinGRU(3, 4)

    def forward(self, x: torch.Tensor, resets: torch.Tensor) -> torch.Tensor:
        outs: torch.Tensor = self.unit(x, resets=resets)[0]
        return outs


@pytest.mark.long
@pytest.mark.parametrize(
    ("model", "given", "says"),
    [
        (nn.SRU(3, 4), (), "an activation inside"),
        (nn.LRU(3, 4), (), r"complex ones \(LRU\)"),
        (Resetting(), (torch.zeros(5, 2, dtype=torch.bool),), "on one sequence at a time"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_recurrence_without_a_translation_is_explained(model: Any, given: tuple[Any, ...], says: str) -> None:
    with pytest.raises(torch.onnx.OnnxExporterError) as caught:
        onnx.export(model, (torch.randn(5, 2, 3), *given), verbose=False)
    assert re.search(says, "".join(caught.value.__notes__))


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multirec.onnx._export.find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(LibraryMissingError, match=r"needs onnxscript, .*multirec-bank\[torch,onnx\]"):
        onnx.translations()
