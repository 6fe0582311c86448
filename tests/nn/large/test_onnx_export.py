"""Banks and layers, exported by torch, run by onnxruntime block by block."""

from __future__ import annotations

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


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_a_recurrence_without_a_translation_is_explained() -> None:
    with pytest.raises(torch.onnx.OnnxExporterError) as caught:
        onnx.export(nn.SRU(3, 4), (torch.randn(5, 2, 3),), verbose=False)
    assert "an activation inside" in "".join(caught.value.__notes__)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multirec.onnx._export.find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(LibraryMissingError, match=r"needs onnxscript, .*multirec-bank\[torch,onnx\]"):
        onnx.translations()
