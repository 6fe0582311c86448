"""`freeze`: coefficients computed once, in a unit that is called, stepped, moved and saved as others are."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

from multirec import nn as mnn

UNITS = {
    "FilterBank": (lambda **options: mnn.FilterBank(3, order=3, **options), (2, 20)),
    "BandpassBank": (lambda **options: mnn.BandpassBank(3, 16000, **options), (2, 20)),
    "ParametricEQ": (lambda **options: mnn.ParametricEQ(3, 16000, gains=6.0, channels=3, **options), (2, 20)),
    "RecurrenceLayer": (lambda **options: mnn.RecurrenceLayer(4, 3, **options), (20, 2, 4)),
}


@pytest.fixture(params=UNITS)
def pair(request: pytest.FixtureRequest) -> tuple[Any, torch.Tensor]:
    make, shape = UNITS[request.param]
    return make(), torch.randn(shape)


def test_it_is_the_unit_without_gradients(pair: Any) -> None:
    unit, x = pair
    frozen = unit.freeze()
    y, state = unit(x)
    found, after = frozen(x)
    torch.testing.assert_close(found, y, rtol=0, atol=0)
    torch.testing.assert_close(tuple(after), tuple(state), rtol=0, atol=0)
    assert not found.requires_grad
    assert not any(weight.requires_grad for weight in frozen.parameters())
    assert (frozen.layout, frozen.channels, frozen.order) == (unit.layout, unit.channels, unit.order)
    for got, expected in zip(frozen.ba(), unit.ba(), strict=True):
        assert (got == expected).all()
    x.requires_grad_()
    (grad,) = torch.autograd.grad(frozen(x)[0].square().sum(), x)
    torch.testing.assert_close(grad, torch.autograd.grad(unit(x)[0].square().sum(), x)[0])


def test_it_does_not_follow_the_unit(pair: Any) -> None:
    unit, x = pair
    frozen = unit.freeze()
    before, _ = frozen(x)
    with torch.no_grad():
        for weight in unit.parameters():
            weight.mul_(0.5)
    torch.testing.assert_close(frozen(x)[0], before, rtol=0, atol=0)
    assert not torch.equal(unit(x)[0], before)


def test_it_is_saved_and_copied(pair: Any) -> None:
    unit, x = pair
    frozen = unit.freeze()
    with torch.no_grad():
        for weight in unit.parameters():
            weight.mul_(0.5)
    other = unit.freeze()
    other.load_state_dict(frozen.state_dict())
    for twin in (other, copy.deepcopy(frozen), pickle.loads(pickle.dumps(frozen))):
        torch.testing.assert_close(twin(x)[0], frozen(x)[0], rtol=0, atol=0)
        assert repr(twin) == repr(frozen)
    assert {"feedforward", "feedback"} <= frozen.state_dict().keys()


def test_a_narrower_type_leaves_the_coefficients(pair: Any) -> None:
    unit, x = pair
    frozen = unit.freeze()
    own = [taps.clone() for taps in frozen.coefficients()]
    for dtype in (torch.bfloat16, torch.float64):
        frozen.to(dtype)
        assert frozen(x.to(dtype))[0].dtype == dtype
        torch.testing.assert_close(list(frozen.coefficients()), own, rtol=0, atol=0)
    assert frozen.to("meta")(x.double().to("meta"))[0].is_meta
    assert all(taps.device.type == "cpu" for taps in frozen.to_empty(device="cpu").coefficients())


def test_a_wide_unit_stays_wide() -> None:
    bank = mnn.FilterBank(3, compute_dtype="float64")
    _, state = bank.freeze()(torch.randn(2, 20))
    assert state.outputs.dtype == torch.float64


def test_it_is_frozen_where_inference_is(pair: Any) -> None:
    unit, x = pair
    with torch.inference_mode():
        frozen = unit.freeze()
    x.requires_grad_()
    frozen(x)[0].sum().backward()
    assert x.grad is not None


def test_it_compiles(pair: Any) -> None:
    unit, x = pair
    frozen = unit.freeze()
    compiled = torch.compile(frozen, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x)[0], frozen(x)[0])


def test_repr() -> None:
    assert repr(mnn.FilterBank(3, layout="BTC").freeze()) == "FrozenBank(3, order=2, layout='BTC')"
    assert repr(mnn.RecurrenceLayer(3, 4).freeze()).startswith("FrozenLayer(\n  3, 4, order=2\n")
