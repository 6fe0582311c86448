"""Coefficients by one operation each way: the values, derivatives and uses of what torch would differentiate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from multirec import nn as mnn
from multirec.nn._weights import band_pass
from multirec.nn._weights.all_pole import AllPole
from multirec.nn._weights.band_pass import BandPass
from multirec.nn._weights.closed_form import Formula, coefficients

Tensors = tuple[torch.Tensor, ...]

KINDS: dict[str, tuple[Callable[[torch.dtype], Formula], Callable[[int], list[tuple[int, ...]]]]] = {
    "band-pass": (BandPass, lambda channels: [(channels,), (channels,)]),
    **{
        f"order {order}{', scaled' if scaled else ''}": (
            lambda dtype, scaled=scaled: AllPole(dtype, scaled),
            lambda channels, order=order: [(channels, order)],
        )
        for order in (0, 1, 2, 3, 4, 7, 16, 40)
        for scaled in (False, True)
    },
}
SMALL = ["band-pass", "order 1", "order 2", "order 2, scaled", "order 4", "order 5, scaled"]
KINDS["order 5, scaled"] = (lambda dtype: AllPole(dtype, True), lambda channels: [(channels, 5)])


def some(kind: str, dtype: torch.dtype, spread: float = 1.0, channels: int = 11) -> tuple[Formula, Tensors]:
    make, shapes = KINDS[kind]
    generator = torch.Generator().manual_seed(1)
    weights = [spread * torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes(channels)]
    wide = torch.promote_types(dtype, torch.float32)
    return make(wide), tuple(weight.to(dtype).requires_grad_() for weight in weights)


@pytest.mark.parametrize("spread", [0.3, 3.0, 100.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_are_those_of_the_composition(kind: str, dtype: torch.dtype, spread: float) -> None:
    formula, weights = some(kind, dtype, spread)
    got, want = coefficients(formula, *weights), formula.composed(weights)
    # of high order they are sums of many terms
    eps = torch.finfo(dtype).eps * (8 if weights[0][:1].numel() < 8 else 64)
    for index, (own, other) in enumerate(zip(got, want, strict=True)):
        torch.testing.assert_close(own, other, rtol=0, atol=0)
        for tap in {0, own.shape[1] // 2, own.shape[1] - 1} if weights[0].numel() else ():
            # tap by tap, since sums may cancel
            grads = [torch.zeros_like(part) for part in got]
            grads[index][:, tap] = torch.linspace(-2, 2, len(own))
            pairs = [torch.autograd.grad(parts, weights, grads, retain_graph=True) for parts in (got, want)]
            for found, exact in zip(*pairs, strict=True):
                assert found.dtype == dtype
                largest = exact.abs().amax() if exact.ndim == 1 else exact.abs().amax(1, keepdim=True)
                assert ((found - exact).abs() <= eps * (exact.abs() if exact.ndim == 1 else largest)).all()
                assert largest.any() or not found.any()


@pytest.mark.parametrize("kind", SMALL)
def test_derivatives_to_the_second_order(kind: str) -> None:
    formula, weights = some(kind, torch.float64, 0.7, channels=2)

    def function(*given: torch.Tensor) -> Tensors:
        return coefficients(formula, *given)

    assert torch.autograd.gradcheck(function, weights, check_batched_grad=True, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, weights, check_batched_grad=True)


@pytest.mark.parametrize("kind", SMALL)
def test_transforms(kind: str) -> None:
    formula, weights = some(kind, torch.float64)
    plain = tuple(weight.detach() for weight in weights)

    def loss(run: Callable[..., Tensors], given: Tensors) -> torch.Tensor:
        return torch.stack([part.square().sum() for part in run(*given)]).sum()

    def own(*given: torch.Tensor) -> Tensors:
        return coefficients(formula, *given)

    def other(*given: torch.Tensor) -> Tensors:
        return formula.composed(given)

    want = torch.autograd.grad(loss(other, weights), weights)
    torch.testing.assert_close(torch.autograd.grad(loss(own, weights), weights), want)
    torch.testing.assert_close(torch.func.grad(lambda given: loss(own, given))(plain), want)
    many = tuple(torch.stack([weight, 0.5 * weight]) for weight in plain)
    for first, half, both in zip(
        own(*plain), own(*(0.5 * weight for weight in plain)), torch.vmap(own)(*many), strict=True
    ):
        torch.testing.assert_close(both, torch.stack([first, half]))
    torch.testing.assert_close(torch.func.jvp(own, plain, plain), torch.func.jvp(other, plain, plain))


@pytest.mark.parametrize("kind", SMALL)
def test_a_gradient_that_is_differentiated(kind: str) -> None:
    formula, weights = some(kind, torch.float64)

    def second(run: Callable[..., Tensors]) -> Tensors:
        loss = torch.stack([part.square().sum() for part in run(*weights)]).sum()
        first = torch.autograd.grad(loss, weights, create_graph=True)
        return torch.autograd.grad(torch.stack([part.square().sum() for part in first]).sum(), weights)

    torch.testing.assert_close(
        second(lambda *given: coefficients(formula, *given)), second(lambda *given: formula.composed(given))
    )


@pytest.mark.parametrize("held", [0, 1])
def test_a_weight_that_is_held(held: int) -> None:
    formula, weights = some("band-pass", torch.float64)
    free = weights[1 - held]
    given = tuple(weight.detach() if index == held else weight for index, weight in enumerate(weights))
    for create_graph in (False, True):
        (got,) = torch.autograd.grad(coefficients(formula, *given)[1].square().sum(), [free], create_graph=create_graph)
        (want,) = torch.autograd.grad(formula.composed(given)[1].square().sum(), [free])
        torch.testing.assert_close(got, want)


def test_results_may_be_changed_and_weights_may_not() -> None:
    for kind in SMALL:
        formula, weights = some(kind, torch.float64)
        results = coefficients(formula, *weights)
        want = torch.autograd.grad([2 * part for part in formula.composed(weights)], weights, list(results))
        grads = [part.detach().clone() for part in results]
        for part in results:
            part.mul_(2.0)
        torch.testing.assert_close(torch.autograd.grad(results, weights, grads), want)
        results = coefficients(formula, *weights)
        with torch.no_grad():
            weights[0].mul_(0.5)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            torch.autograd.grad(results[-1].sum(), weights[:1])


@pytest.mark.parametrize("kind", SMALL)
def test_autocast_changes_nothing(kind: str) -> None:
    formula, weights = some(kind, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = coefficients(formula, *weights)
    torch.testing.assert_close(got, formula.composed(weights), rtol=0, atol=0)


def test_constants_made_in_inference_mode_serve_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(band_pass, "_made", {})
    bank = mnn.BandpassBank(3, 16000)
    with torch.inference_mode():
        bank.coefficients()
    bank.coefficients()[1].sum().backward()
    assert bank.centre_weight.grad is not None


def test_a_capture_brings_no_constants_to_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda", 0)
    monkeypatch.setattr(band_pass, "_made", {})
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    formula = BandPass(torch.float32)
    assert not band_pass._at_hand(formula, device)
    assert band_pass._at_hand(formula, torch.device("cpu"))
    monkeypatch.setitem(band_pass._made, (torch.float32, device), None)
    assert band_pass._at_hand(formula, device)


class Recorder(TorchDispatchMode):
    """Names the operations that run below autograd, and the devices that they touch."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.devices: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self.names.append(func._schema.name.removeprefix("aten::"))
        leaves = torch.utils._pytree.tree_leaves((args, kwargs, found))
        self.devices |= {leaf.device.type for leaf in leaves if isinstance(leaf, torch.Tensor)}
        return found


# those that give work to no kernel
VIEWS = {
    "unbind", "select", "slice", "permute", "t", "transpose", "unsqueeze", "detach", "view", "expand", "diagonal",
    "empty", "empty_like", "unsafe_split_with_sizes", "promote_types",
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "forward", "backward"),
    [
        ("band-pass", 13, 11),
        ("order 1", 8, 4),
        ("order 2", 10, 6),
        ("order 4", 77, 14),
        ("order 16", 197, 38),
        ("order 1, scaled", 16, 8),
        ("order 2, scaled", 18, 10),
    ],
)
def test_operations_on_a_gpu_are_few_and_none_waits(
    kind: str, forward: int, backward: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(band_pass, "_made", {})
    formula, weights = some(kind, torch.float32)
    # of a device without memory only sizes and types are known, so that asking for a value is an error
    with torch.no_grad():
        weights = tuple(torch.empty(weight.shape, device="meta") for weight in weights)
        formula.run(weights)
        with Recorder() as there:
            results, kept = formula.run(weights)
        with Recorder() as back:
            found = formula.pull(weights, kept, tuple(torch.empty_like(part) for part in results))
    assert [part.shape for part in found] == [part.shape for part in weights]
    assert all(part.is_contiguous() for part in found), "autograd would copy them"
    for recorder, most in ((there, forward), (back, backward)):
        kernels = [name for name in recorder.names if name not in VIEWS]
        assert len(kernels) <= most, kernels
        assert recorder.devices == {"meta"}
        assert not {"_local_scalar_dense", "nonzero", "is_nonzero", "item", "equal"} & set(recorder.names)


@pytest.mark.parametrize(
    "unit",
    [
        lambda: mnn.BandpassBank(3, 16000),
        lambda: mnn.FilterBank(3),
        lambda: mnn.FilterBank(3, order=5),
        lambda: mnn.RecurrenceLayer(2, 3),
    ],
)
def test_layers_train_by_it(unit: Callable[[], Any]) -> None:
    made = unit()
    assert made.coefficients()[1].grad_fn.name() == "_CoefficientsBackward"
    x = torch.randn(2, 3, 2 if isinstance(made, mnn.RecurrenceLayer) else 20)
    step = torch.optim.SGD(made.parameters(), lr=0.1)
    for _ in range(2):
        made(x)[0].sum().backward()
    twice = [weight.grad.clone() for weight in made.parameters()]
    step.zero_grad(set_to_none=False)
    made(x)[0].sum().backward()
    for weight, grad in zip(made.parameters(), twice, strict=True):
        torch.testing.assert_close(2 * weight.grad, grad)
    step.step()
