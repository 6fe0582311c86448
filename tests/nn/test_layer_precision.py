"""Layers that compute float32 and half signals in a wider type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import butter, lfilter

from multirec import nn as mnn
from multirec.errors import ArgumentError

LAYERS = {
    "FilterBank": lambda **options: mnn.FilterBank(3, **options),
    "BandpassBank": lambda **options: mnn.BandpassBank(3, 16000, **options),
    "RecurrenceLayer": lambda **options: mnn.RecurrenceLayer(1, 3, layout="BTC", **options),
}


def signal(name: str, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    x = torch.randn(2, 1, 50, generator=torch.Generator().manual_seed(0)).to(dtype)
    return x.mT if name == "RecurrenceLayer" else x


@pytest.mark.parametrize("name", LAYERS)
class TestWide:
    def test_coefficients_and_state_are_float64(self, name: str) -> None:
        layer, x = LAYERS[name](compute_dtype="float64"), signal(name)
        assert {taps.dtype for taps in layer.coefficients()} == {torch.float64}
        start = layer.init_state(x)
        y, state = layer(x, start)
        assert (y.dtype, start.inputs.dtype) == (torch.float32, torch.float32)
        assert start.outputs.dtype == state.outputs.dtype == torch.float64

    def test_it_is_the_layer_in_float64_but_for_rounding(self, name: str) -> None:
        layer, x = LAYERS[name](compute_dtype="float64"), signal(name)
        y, _ = layer(x)
        y.sum().backward()
        found = [weight.grad for weight in layer.parameters()]
        exact = LAYERS[name]().double()
        exact.load_state_dict(layer.state_dict())
        want, _ = exact(x.double())
        want.sum().backward()
        torch.testing.assert_close(y.double(), want, rtol=1e-5, atol=1e-5)
        for got, weight in zip(found, exact.parameters(), strict=True):
            assert got.dtype == torch.float32
            torch.testing.assert_close(got.double(), weight.grad, rtol=1e-4, atol=1e-4)

    def test_it_is_shown_and_compiled(self, name: str) -> None:
        layer, x = LAYERS[name](compute_dtype="float64"), signal(name)
        assert "compute_dtype='float64'" in repr(layer)
        assert "compute_dtype" not in repr(LAYERS[name]())
        torch._dynamo.reset()
        y, state = torch.compile(layer, fullgraph=True, backend="aot_eager")(x)
        want, after = layer(x)
        torch.testing.assert_close(y, want)
        torch.testing.assert_close(state.outputs, after.outputs)

    def test_an_unknown_one_is_an_error(self, name: str) -> None:
        with pytest.raises(ArgumentError, match="compute_dtype is 'float32' or 'float64'"):
            LAYERS[name](compute_dtype="double")

    def test_half_types_start_from_a_float32_state(self, name: str) -> None:
        layer: Any = LAYERS[name](dtype=torch.bfloat16)
        x = signal(name, torch.bfloat16)
        start = layer.init_state(x)
        y, state = layer(x, start)
        assert (y.dtype, start.outputs.dtype, state.outputs.dtype) == (torch.bfloat16, torch.float32, torch.float32)

    def test_steps_in_half_types_are_the_whole(self, name: str) -> None:
        layer: Any = LAYERS[name](dtype=torch.bfloat16, backend="torch_loop")
        x, state, axis = signal(name, torch.bfloat16), None, 1 if name == "RecurrenceLayer" else -1
        found = []
        for sample in x.unbind(axis)[:20]:
            out, state = layer.step(sample, state)
            found.append(out)
        whole = layer(x.narrow(axis, 0, 20))[0]
        # torch sums the projection of one row in another order, so what it rounds may be a bit of the largest apart
        atol = float(whole.detach().abs().max()) * torch.finfo(torch.bfloat16).eps
        torch.testing.assert_close(torch.stack(found, axis), whole, rtol=1.6e-2, atol=atol)


def test_designs_near_the_circle_go_in_as_they_are() -> None:
    b, a = butter(2, 5, "high", fs=48000)
    bank = mnn.FilterBank.from_ba(b, a, dtype=torch.float64, compute_dtype="float64")
    x = torch.randn(1, 1, 20000, generator=torch.Generator().manual_seed(0))
    y, _ = bank(x)
    want = lfilter(b, a, x.double().numpy())
    assert y.dtype == torch.float32
    np.testing.assert_allclose(y.detach(), want, atol=1e-6 * np.abs(want).max())
