"""Coefficients are kept while weights keep their values, and are never those of other weights."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.utils import parametrize

from multirec import nn as mnn

UNITS = {
    "FilterBank": (lambda: mnn.FilterBank(3), lambda: torch.randn(2, 20)),
    "BandpassBank": (lambda: mnn.BandpassBank(3, 16000), lambda: torch.randn(2, 20)),
    # one pass and one section after the other round differently, and low frequencies add that up
    "ParametricEQ": (
        lambda: mnn.ParametricEQ(3, 16000, gains=6.0, compute_dtype="float64"),
        lambda: torch.randn(2, 20),
    ),
    "RecurrenceLayer": (lambda: mnn.RecurrenceLayer(2, 3), lambda: torch.randn(20, 2, 2)),
}


def weights(unit: Any) -> list[torch.nn.Parameter]:
    return [weight for name, weight in unit.named_parameters() if not name.startswith("projection")]


def adam(unit: Any) -> None:
    for weight in weights(unit):
        weight.grad = torch.randn_like(weight)
    torch.optim.Adam(weights(unit), lr=0.5).step()


def fused(unit: Any) -> None:
    for weight in weights(unit):
        weight.grad = torch.randn_like(weight)
    torch.optim.Adam(weights(unit), lr=0.5, fused=True).step()


def loaded(unit: Any, **options: Any) -> None:
    state = {name: value + 0.5 if value.dtype == torch.float32 else value for name, value in unit.state_dict().items()}
    unit.load_state_dict(state, **options)


def each(change: Callable[[torch.nn.Parameter], Any]) -> Callable[[Any], None]:
    def apply(unit: Any) -> None:
        for weight in weights(unit):
            change(weight)

    return apply


@torch.no_grad()
def in_place(unit: Any) -> None:
    each(lambda weight: weight.mul_(0.5))(unit)


@torch.inference_mode()
def in_inference(unit: Any) -> None:
    each(lambda weight: weight.mul_(0.5))(unit)


def data(weight: torch.nn.Parameter) -> None:
    weight.data = weight.data * 0.5


def data_twice(weight: torch.nn.Parameter) -> None:
    # the second may lie where the weight was at first
    shape, dtype = weight.shape, weight.dtype
    weight.data = torch.zeros(shape, dtype=dtype)
    weight.data = torch.full(shape, 0.25, dtype=dtype)


def through_numpy(weight: torch.nn.Parameter) -> None:
    weight.detach().numpy()[...] *= 0.5


def replaced_storage(weight: torch.nn.Parameter) -> None:
    with torch.no_grad():
        weight.set_(torch.full_like(weight, 0.3))


def resized_storage(weight: torch.nn.Parameter) -> None:
    storage, size = weight.untyped_storage(), weight.untyped_storage().nbytes()
    storage.resize_(0)
    storage.resize_(size)
    weight.data.fill_(0.2)


def unsafely(weight: torch.nn.Parameter) -> None:
    with torch.no_grad(), torch.autograd._unsafe_preserve_version_counter(weight):
        weight.mul_(0.5)


def new_parameters(unit: Any) -> None:
    for name, weight in list(unit.named_parameters(recurse=False)):
        setattr(unit, name, torch.nn.Parameter(weight.detach() * 0.5))


def averaged(unit: Any) -> None:
    average = torch.optim.swa_utils.AveragedModel(unit, avg_fn=lambda own, new, _: 0.5 * own + 0.5 * new)
    for _ in range(2):
        adam(unit)
        average.update_parameters(unit)
    with torch.no_grad():
        for own, mean in zip(unit.parameters(), average.module.parameters(), strict=True):
            own.copy_(mean)


class Halved(torch.nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return 0.5 * weight


def parametrized(unit: Any) -> None:
    for name, _ in list(unit.named_parameters(recurse=False)):
        parametrize.register_parametrization(unit, name, Halved())


CHANGES: dict[str, Callable[[Any], Any]] = {
    "optimizer": adam,
    "fused optimizer": fused,
    "load_state_dict": loaded,
    "load_state_dict(assign=True)": lambda unit: loaded(unit, assign=True),
    "no_grad, in place": in_place,
    "inference_mode, in place": in_inference,
    "data = ": each(data),
    "data = , twice": each(data_twice),
    "data, in place": each(lambda weight: weight.data.mul_(0.5)),
    "NumPy": each(through_numpy),
    "set_": each(replaced_storage),
    "resize_ of the storage": each(resized_storage),
    "version counter preserved": each(unsafely),
    "new Parameter": new_parameters,
    "average": averaged,
    "parametrize": parametrized,
    "reset_parameters": lambda unit: (in_place(unit), unit.reset_parameters()),
}


def fresh(unit: Any, x: torch.Tensor) -> torch.Tensor:
    """Return what a unit answers with a gradient, for which coefficients are computed at each call."""
    with torch.enable_grad():
        return unit(x)[0].detach()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", UNITS)
def test_no_change_of_a_weight_is_missed(name: str, change: str, mode: Any) -> None:
    make, signal = UNITS[name]
    unit, x = make(), signal()
    with mode():
        before = unit(x)[0].clone()
        torch.testing.assert_close(unit(x)[0], before, rtol=0, atol=0)
    CHANGES[change](unit)
    with mode():
        after = unit(x)[0].clone()
    torch.testing.assert_close(after, fresh(unit, x), rtol=0, atol=0)
    assert change == "reset_parameters" or not torch.equal(after, before)


@pytest.mark.parametrize("name", UNITS)
def test_they_are_computed_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, signal = UNITS[name]
    unit, x, count = make(), signal(), []
    own = type(unit)._made_of
    monkeypatch.setattr(type(unit), "_made_of", lambda *args: count.append(1) or own(*args))
    with torch.no_grad():
        for _ in range(3):
            unit(x)
    with torch.inference_mode():
        unit(x)
    assert len(count) == 1
    unit(x)
    unit(x)
    assert len(count) == 3
    unit.requires_grad_(False)
    for _ in range(2):
        y, _ = unit(x.clone().requires_grad_())
        y.sum().backward()
    assert len(count) == 3


@pytest.mark.parametrize("name", UNITS)
def test_other_precision_and_device(name: str) -> None:
    make, signal = UNITS[name]
    unit, x = make(), signal()
    with torch.no_grad():
        unit(x)
        unit.double()
        torch.testing.assert_close(unit(x.double())[0], fresh(unit, x.double()), rtol=0, atol=0)
        unit.float()
        unit.compute_dtype = "float64"
        torch.testing.assert_close(unit(x)[0], fresh(unit, x), rtol=0, atol=0)
        assert unit.to("meta")(x.to("meta"))[0].is_meta


@pytest.mark.parametrize("name", UNITS)
def test_copies_have_their_own(name: str) -> None:
    make, signal = UNITS[name]
    unit, x = make(), signal()
    with torch.no_grad():
        unit(x)
    size = len(pickle.dumps(make()))
    assert abs(len(pickle.dumps(unit)) - size) < 100
    stream = io.BytesIO()
    torch.save(unit, stream)
    stream.seek(0)
    saved = torch.load(stream, weights_only=False)
    for twin in (copy.deepcopy(unit), copy.copy(unit), pickle.loads(pickle.dumps(unit)), saved):
        new_parameters(twin)
        with torch.no_grad():
            torch.testing.assert_close(twin(x)[0], fresh(twin, x), rtol=0, atol=0)
            torch.testing.assert_close(unit(x)[0], fresh(unit, x), rtol=0, atol=0)


@pytest.mark.parametrize("name", UNITS)
def test_functions_of_weights(name: str) -> None:
    make, signal = UNITS[name]
    unit, x = make(), signal()
    others = {
        key: torch.stack([weight.detach() * scale for scale in (0.5, 2.0)]) for key, weight in unit.named_parameters()
    }

    def call(given: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.func.functional_call(unit, given, (x,))[0]

    with torch.no_grad():
        unit(x)
        apart = torch.stack([call({key: value[index] for key, value in others.items()}) for index in range(2)])
        torch.testing.assert_close(torch.vmap(call)(others), apart)
        _, moved = torch.func.jvp(
            call,
            ({key: value[0] for key, value in others.items()},),
            ({key: value[1] for key, value in others.items()},),
        )
        assert moved.abs().sum() > 0
        torch.testing.assert_close(unit(x)[0], fresh(unit, x), rtol=0, atol=0)


def test_a_compiled_unit_sees_its_weights() -> None:
    unit, x = mnn.FilterBank(3), torch.randn(2, 20)
    compiled = torch.compile(unit, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        unit(x)
        compiled(x)
        in_place(unit)
        torch.testing.assert_close(compiled(x)[0], fresh(unit, x))


def test_a_subclass_with_coefficients_of_its_own() -> None:
    class Scaled(mnn.FilterBank):
        scale = 1.0

        def coefficients(self) -> tuple[torch.Tensor, torch.Tensor]:
            feedforward, feedback = super().coefficients()
            return self.scale * feedforward, feedback

    unit, x = Scaled(3), torch.randn(2, 20)
    with torch.no_grad():
        before = unit(x)[0]
        unit.scale = 2.0
        torch.testing.assert_close(unit(x)[0], 2 * before)


def test_weights_that_are_no_numbers_stay_so() -> None:
    unit = mnn.FilterBank(3)
    with torch.no_grad():
        unit.reflection_weight[1, 0] = torch.nan
        for _ in range(2):
            y, _ = unit(torch.randn(2, 20))
            assert y[:, 1].isnan().any()
            assert torch.isfinite(y[:, 0]).all()
