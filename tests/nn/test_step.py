"""`step`: one sample at a time is the block, in every unit and layout."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch

import multirec as mr
from multirec import nn as mnn
from multirec.errors import ArgumentError, DtypeError, FamilyError, ShapeError

OPTIONS: dict[str, Any] = {"dtype": torch.float64}
UNITS = {
    "FilterBank": lambda **options: mnn.FilterBank(4, **OPTIONS, **options),
    "BandpassBank": lambda **options: mnn.BandpassBank(4, 16000, **OPTIONS, **options),
    "ParametricEQ": lambda **options: mnn.ParametricEQ(3, 16000, channels=4, gains=6.0, **OPTIONS, **options),
    "RecurrenceLayer": lambda **options: mnn.RecurrenceLayer(4, 5, **OPTIONS, **options),
}
TIME = {"BCT": -1, "BTC": -2, "TBC": 0}


def stepped(unit: Any, x: torch.Tensor, time: int, out_time: int, state: Any = None) -> tuple[torch.Tensor, Any]:
    samples = x.unbind(time)
    outs = []
    for sample in samples[::-1] if getattr(unit, "reverse", False) else samples:
        out, state = unit.step(sample, state)
        outs.append(out)
    return torch.stack(outs[::-1] if getattr(unit, "reverse", False) else outs, out_time), state


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("name", "layout"), [pair for pair in product(UNITS, TIME) if pair != ("RecurrenceLayer", "BCT")]
)
def test_steps_are_the_block(name: str, layout: str, reverse: bool, frozen: bool) -> None:
    unit = UNITS[name](layout=layout, reverse=reverse)
    unit = unit.freeze() if frozen else unit
    shape = {"BCT": (2, 4, 6), "BTC": (2, 6, 4), "TBC": (6, 2, 4)}[layout]
    x = torch.randn(shape, dtype=torch.float64)
    y, last = unit(x)
    found, state = stepped(unit, x, TIME[layout], TIME[layout])
    torch.testing.assert_close(found, y)
    torch.testing.assert_close(tuple(state), tuple(last))
    again, _ = stepped(unit, x, TIME[layout], TIME[layout], last)
    torch.testing.assert_close(again, unit(x, last)[0])


@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
@pytest.mark.parametrize("batch", [(), (3,)])
def test_signals_without_a_channel_axis(layout: str, batch: tuple[int, ...]) -> None:
    bank = mnn.FilterBank(4, layout=layout, **OPTIONS)
    time = 0 if layout == "TBC" else -1
    x = torch.randn((6, *batch) if layout == "TBC" else (*batch, 6), dtype=torch.float64)
    y, last = bank(x)
    assert y.ndim == len(batch) + 2
    found, state = stepped(bank, x, time, TIME[layout])
    torch.testing.assert_close(found, y)
    torch.testing.assert_close(tuple(state), tuple(last))
    zeros = bank.init_state(x)
    torch.testing.assert_close(bank(x, zeros)[0], y)


def test_gradients_go_through_steps() -> None:
    layer = mnn.RecurrenceLayer(3, 4, **OPTIONS)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    weights = list(layer.parameters())
    got = torch.autograd.grad(stepped(layer, x, 0, 0)[0].square().sum(), weights)
    torch.testing.assert_close(got, torch.autograd.grad(layer(x)[0].square().sum(), weights))


class LearnedStart(mnn.FilterBank):
    """A user's bank that does not start from zeros."""

    def init_state(self, x: torch.Tensor) -> mr.State:
        zeros = super().init_state(x)
        return mr.State(zeros.inputs, zeros.outputs + 1)


@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
def test_a_first_state_of_a_subclass_is_used(layout: str) -> None:
    bank = LearnedStart(2, layout=layout, **OPTIONS)
    x = torch.randn(6, dtype=torch.float64)
    y, _ = bank(x)
    assert not torch.equal(y, bank(x, mr.State())[0])
    torch.testing.assert_close(stepped(bank, x, 0, TIME[layout])[0], y)


def test_a_chain_steps() -> None:
    chain = mnn.Chain(
        torch.nn.Conv1d(2, 4, 1), mnn.FilterBank(4), torch.nn.Tanh(), mnn.Chain(mnn.FilterBank(4))
    ).double()
    assert chain.layout == "BCT"
    x = torch.randn(2, 2, 6, dtype=torch.float64)
    y, last = chain(x)
    found, states = stepped(chain, x, -1, -1)
    torch.testing.assert_close(found, y)
    torch.testing.assert_close(tuple(states[1]), tuple(last[1]))
    mixed = mnn.Chain(mnn.FilterBank(4), mnn.RecurrenceLayer(4, 4))
    with pytest.raises(ArgumentError, match="'BCT' and 'TBC'"):
        mixed.step(torch.randn(2, 4))


@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
@pytest.mark.parametrize("batch", [(), (3,)])
def test_a_chain_steps_signals_without_a_channel_axis(layout: str, batch: tuple[int, ...]) -> None:
    chain = mnn.Chain(torch.nn.Tanh(), mnn.FilterBank(4, layout=layout), mnn.Chain(torch.nn.ReLU())).double()
    time = 0 if layout == "TBC" else -1
    x = torch.randn((6, *batch) if layout == "TBC" else (*batch, 6), dtype=torch.float64)
    torch.testing.assert_close(stepped(chain, x, time, TIME[layout])[0], chain(x)[0])


class Doubled(mnn.FilterBank):
    """A user's bank that does something to what comes out."""

    def forward(self, x: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        y, state = super().forward(x, state)
        return 2 * y, state


class Residual(mnn.RecurrenceLayer):
    """A user's layer that does something to what goes in."""

    def compute(self, x: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        y, state = super().compute(x, state)
        return x + y, state


@pytest.mark.parametrize("layout", ["BTC", "TBC"])
def test_steps_of_a_subclass_are_its_block(layout: str) -> None:
    x = torch.randn(6, dtype=torch.float64)
    bank = Doubled(4, layout=layout, **OPTIONS)
    torch.testing.assert_close(stepped(bank, x, 0, TIME[layout])[0], bank(x)[0])
    layer = Residual(3, 3, layout=layout, **OPTIONS)
    x = torch.randn(4, 4, 3, dtype=torch.float64)
    torch.testing.assert_close(stepped(layer, x, TIME[layout], TIME[layout])[0], layer(x)[0])


@pytest.mark.parametrize(("unit", "says"), [(Doubled(4), "forward"), (Residual(3, 3), "compute")])
def test_what_a_subclass_does_is_not_lost_when_it_is_frozen(unit: Any, says: str) -> None:
    with pytest.raises(ArgumentError, match=rf"{type(unit).__name__} has its own {says}"):
        unit.freeze()


def test_steps_compile() -> None:
    layer, x = mnn.RecurrenceLayer(3, 4), torch.randn(2, 3)
    step = torch.compile(layer.step, backend="aot_eager", fullgraph=True)
    out, state = step(x)
    torch.testing.assert_close(out, layer.step(x)[0])
    torch.testing.assert_close(step(x, state)[0], layer.step(x, state)[0])


def test_samples_that_do_not_fit() -> None:
    bank, layer = mnn.FilterBank(4), mnn.RecurrenceLayer(3, 4)
    with pytest.raises(ShapeError, match=r"takes 1 or 4 input channels .* \(2, 3\) with 3"):
        bank.step(torch.randn(2, 3))
    with pytest.raises(FamilyError, match="takes a torch tensor"):
        bank.step([1.0])
    with pytest.raises(ShapeError, match=r"a sample \(batch…, features\) with 3 features .* \(2, 4\)"):
        layer.step(torch.randn(2, 4))
    with pytest.raises(DtypeError, match=r"x is torch\.float64"):
        layer.step(torch.randn(2, 3, dtype=torch.float64))


def test_a_first_state_of_a_subclass_is_not_lost_when_it_is_frozen() -> None:
    with pytest.raises(ArgumentError, match="LearnedStart has its own init_state"):
        LearnedStart(2).freeze()
