"""A step in one call of machine code equals the one of torch's operations, and the block."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

import multirec as mr
from multirec import nn as mnn
from multirec.errors import DtypeError, ShapeError
from multirec.nn._steps import step as steps

from .cases import CASES, ONE_EACH, parts, perturb

SOME = ["MinGRU", "QRNN-window", "LRU", "RGLRUBlock"]
TIME = {"TBC": 0, "BTC": 1}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Record of each step whether it was one call."""
    made: list[bool] = []

    def recorded(*given: Any) -> Any:
        found = steps.at_once(*given)
        made.append(found is not None)
        return found

    for module in ("sequence_unit", "rglru", "rglru_block"):
        monkeypatch.setattr(f"multirec.nn._units.{module}.at_once", recorded)
    monkeypatch.setattr("multirec.nn._filters.projected.at_once", recorded)
    return made


def twins(name: str, **options: Any) -> tuple[Any, Any]:
    """Return a unit, and the same on torch's operations alone."""
    case = CASES[name]
    unit, plain = perturb(case.unit(**options)), case.by_torch(**options)
    plain.load_state_dict(unit.state_dict())
    return unit, plain


@pytest.mark.parametrize(("layout", "reverse"), [("TBC", False), ("BTC", True)])
@pytest.mark.parametrize("name", CASES)
def test_one_call_is_the_step_and_the_block(name: str, layout: str, reverse: bool, calls: list[bool]) -> None:
    unit, plain = twins(name, layout=layout, reverse=reverse)
    axis, x = TIME[layout], CASES[name].x(*((4, 3) if layout == "TBC" else (3, 4)))
    with torch.no_grad():
        whole, last = plain(x)
        state, outs = plain(x.narrow(axis, 3 if reverse else 0, 1))[1], []
        for sample in x.unbind(axis)[2::-1] if reverse else x.unbind(axis)[1:]:
            # the samples of BTC have strides of their own
            out, state = unit.step(sample, state)
            outs.append(out)
    assert calls == [True] * len(calls)
    assert calls
    found = torch.stack(outs[::-1] if reverse else outs, axis)
    torch.testing.assert_close(found, whole.narrow(axis, 0 if reverse else 1, 3))
    torch.testing.assert_close(parts(state), parts(last))


@pytest.mark.parametrize("name", SOME)
def test_precisions_sizes_and_what_is_not_finite(name: str, calls: list[bool]) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        unit, _ = twins(name, dtype=dtype)
        for batch in ((), (0,), (1,), (2, 3)):
            x = CASES[name].x(*batch, dtype=dtype)
            for spoilt in (0.0, torch.nan, torch.inf):
                with torch.no_grad():
                    state = mr.State(*(part if part is None else part + 1 for part in unit.step(x)[1]))
                    state.outputs[..., 0] += spoilt
                    found = unit.step(x, state)
                    calls.clear()
                with torch.enable_grad():
                    expected = unit.step(x, state)
                close = {"rtol": 0.016, "atol": 0.016} if dtype == torch.bfloat16 else {}
                torch.testing.assert_close(found[0], expected[0].detach(), equal_nan=True, **close)
                torch.testing.assert_close(parts(found[1]), parts(expected[1].detach()), equal_nan=True, **close)


@pytest.mark.parametrize("name", ONE_EACH)
def test_when_torch_computes(name: str, calls: list[bool]) -> None:
    unit, plain = twins(name)
    x = CASES[name].x(2)
    with torch.no_grad():
        _, state = plain(x[None])
        expected = plain.step(x, state)
        assert name == "RNN" or True not in calls
        calls.clear()
        with torch.inference_mode():
            torch.testing.assert_close(unit.step(x, state)[0], expected[0])
        assert calls.count(True) == len(calls) > 0
    calls.clear()
    frozen = copy.deepcopy(unit).requires_grad_(False)
    torch.testing.assert_close(frozen.step(x, state)[0], expected[0])
    assert True in calls
    calls.clear()
    out, _ = unit.step(x, state)
    out.sum().backward()
    mapped = torch.func.vmap(lambda row: frozen.step(row, mr.State())[0])(x)
    torch.testing.assert_close(mapped, frozen.step(x, mr.State())[0])
    assert not any(calls[:1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", [name for name in ONE_EACH if not name.startswith("LRU")])
def test_half_states_are_refused_as_blocks_refuse_them(name: str, dtype: torch.dtype) -> None:
    unit = CASES[name].by_torch(dtype=torch.float32)
    x = CASES[name].x(1, 2, dtype=torch.float32)
    _, state = unit(x)
    narrow = mr.State(state.inputs, state.outputs.detach().to(dtype))
    says = []
    for call in (lambda: unit(x, narrow), lambda: unit.step(x[0], narrow)):
        with torch.no_grad(), pytest.raises(DtypeError, match=r"state.outputs has dtype b?float16, expected") as found:
            call()
        says.append(str(found.value))
    assert says[0] == says[1]


def test_what_does_not_fit_is_said(calls: list[bool]) -> None:
    unit, x = mnn.MinGRU(3, 4), torch.randn(2, 3)
    with torch.no_grad():
        _, state = unit.step(x)
        for wrong in (torch.randn(2, 5), torch.randn(())):
            with pytest.raises(ShapeError, match="a sample"):
                unit.step(wrong, state)
        with pytest.raises(DtypeError, match="x is"):
            unit.step(x.double(), state)
        with pytest.raises(ShapeError, match="of another batch"):
            unit.step(x[:1], state)
        with pytest.raises(ShapeError, match=r"state\.inputs"):
            unit.step(x, mr.State(x[None], state.outputs))


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize(("layout", "reverse"), [("TBC", False), ("BTC", True)])
def test_layers_step_in_one_call(order: int, layout: str, reverse: bool, calls: list[bool]) -> None:
    layer = mnn.RecurrenceLayer(3, 5, order=order, layout=layout, reverse=reverse, dtype=torch.float64)
    x, axis = torch.randn(4, 4, 3, dtype=torch.float64), TIME[layout]
    for unit in (layer, layer.freeze()):
        with torch.no_grad():
            whole, last = unit(x)
            out, state = unit.step(x.select(axis, 3 if reverse else 0))
            for at in (2, 1, 0) if reverse else (1, 2, 3):
                out, state = unit.step(x.select(axis, at), state)
            torch.testing.assert_close(out, whole.select(axis, 0 if reverse else 3))
            torch.testing.assert_close(tuple(state), tuple(last))
            layer.reflection_weight.data.add_(0.1)
    assert calls.count(True) == 6


@pytest.mark.long
@pytest.mark.parametrize("name", SOME)
def test_steps_compile_whole(name: str) -> None:
    unit, x = CASES[name].unit(), CASES[name].x(2)
    step = torch.compile(unit.step, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        _, state = unit.step(x)
        torch.testing.assert_close(step(x, state)[0], unit.step(x, state)[0])
