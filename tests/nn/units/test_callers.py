"""What callers do around a step: they write over what is theirs, give states of others, and change the units."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

import multirec as mr
from multirec import nn as mnn
from multirec.errors import DeviceError, ShapeError

from .cases import CASES, ONE_EACH, Case

WINDOW_2 = Case(mnn.QRNN, CASES["QRNN"].formula, {"window": 2, "output_gate": False})


@pytest.mark.parametrize("compiles", [True, False])
@pytest.mark.parametrize("name", [*CASES, "window 2"])
def test_a_state_shares_no_memory_with_what_is_the_callers(name: str, compiles: bool) -> None:
    case = CASES.get(name, WINDOW_2)
    unit, x = case.unit() if compiles else case.by_torch(), case.x(2)
    with torch.no_grad():
        out, state = unit.step(x, unit.step(case.x(2))[1])
    held: list[Any] = [None if part is None else part.clone() for part in state]
    out.fill_(7.0)
    x.fill_(7.0)
    assert state.outputs is not None
    for part, was in zip(state, held, strict=True):
        assert (part is None and was is None) or torch.equal(part, was)


@pytest.mark.parametrize("name", ONE_EACH)
def test_a_step_is_on_the_host_whatever_device_new_tensors_are_on(name: str) -> None:
    unit, x = CASES[name].unit(), CASES[name].x(2)
    with torch.no_grad():
        _, state = unit.step(x)
        wanted, _ = unit.step(x, state)
        with torch.device("meta"):
            found, after = unit.step(x, state)
    assert torch.equal(found, wanted)
    assert after.outputs.device == x.device


@pytest.mark.parametrize("layout", ["TBC", "BTC"])
@pytest.mark.parametrize("name", ONE_EACH)
def test_states_of_other_lengths_and_places_are_refused(name: str, layout: str) -> None:
    unit, x = CASES[name].unit(layout=layout), CASES[name].x(2)
    with torch.no_grad():
        _, state = unit.step(x)
        time = 0 if layout == "TBC" else 1
        of = state.outputs
        others = [torch.cat([of, of], time), of.select(time, 0), of.new_zeros(()), of.new_zeros(0), of[0, 0]]
        for other in others:
            with pytest.raises(ShapeError, match="state"):
                unit.step(x, state._replace(outputs=other))
        with pytest.raises(DeviceError, match=r"state\.outputs is on meta"):
            unit.step(x, state._replace(outputs=of.to("meta")))


def test_longer_states_of_a_layer_are_refused() -> None:
    layer, x = mnn.RecurrenceLayer(3, 4, layout="BTC"), torch.zeros(2, 3)
    with torch.no_grad():
        _, state = layer.step(x)
        longer = torch.cat([state.outputs, state.outputs], 1)
        with pytest.raises(ShapeError):
            layer.step(x, mr.State(state.inputs, longer))


def test_a_layer_that_learns_makes_its_coefficients_once_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = mnn.RecurrenceLayer(3, 4)
    _, state = layer.step(torch.zeros(2, 3))
    made = Mock(wraps=layer._now)
    monkeypatch.setattr(layer, "_now", made)
    layer.step(torch.zeros(2, 3), state)
    assert made.call_count == 1


def test_what_is_mixed_into_a_unit_is_in_its_steps() -> None:
    class Twice:
        def forward(self, *given: Any, **named: Any) -> tuple[Tensor, mr.State]:
            outs, state = super().forward(*given, **named)  # type: ignore[misc]
            return 2 * outs, state

    class Loud(Twice, mnn.MinGRU):
        pass

    class Same(Loud):
        pass

    for kind in (Loud, Same):
        unit, x = kind(3, 4), torch.randn(1, 2, 3)
        torch.testing.assert_close(unit.step(x[0])[0], unit(x)[0][0])


def test_a_projection_with_a_bias_in_the_place_of_one_without() -> None:
    unit, x = mnn.SRU(4, 4, v1=True), torch.randn(1, 2, 4)
    unit.projection = nn.Linear(4, 12)
    torch.testing.assert_close(unit(x)[0][0], unit.step(x[0])[0])


def test_matrices_are_the_callers() -> None:
    unit, x = mnn.LRU(3, 4), torch.randn(5, 2, 3)
    with torch.no_grad():
        wanted, _ = unit(x)
        unit.matrices().eigenvalues.zero_()
        assert torch.equal(unit(x)[0], wanted)


def test_parametrizations_of_a_dense_recurrence_are_in_blocks() -> None:
    class Half(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return weight / 2

    x = torch.randn(3, 2, 3)
    for bias in (True, False):
        unit = mnn.RNN(3, 4, bias=bias)
        parametrize.register_parametrization(unit, "weight_hh_l0", Half())
        outs, _ = unit(x)
        _, before = unit(x[:2])
        torch.testing.assert_close(unit.step(x[2], before)[0], outs[2])
        packed = unit(x, lengths=torch.tensor([3, 2]))[0]
        torch.testing.assert_close(packed[:2], outs[:2])
