"""Derivatives of every order and mode, against finite differences and each other, on every backend."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import func
from torch.autograd import gradcheck, gradgradcheck
from torch.utils.checkpoint import checkpoint

import multirec as mr
from multirec._core.problem import join_shape
from multirec._engine.plan import Plan

LONG = pytest.mark.long
BACKENDS = ["reference", "torch_loop", "unfold_scan", "numba"]

# layout, reverse, shared, kind of feedforward and feedback, T
CASES = {
    "static": ("BCT", False, True, "static", 5),
    "sequence-first-reverse": ("TBC", True, False, "static", 4),
    "per-example": ("BTC", False, False, "per_example", 4),
    "time-varying-reverse": ("BCT", True, True, "time_varying", 4),
    "shorter-than-state": ("BCT", False, True, "static", 1),
}


def problem(case: str, order: int = 2, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    """Return (x, feedforward, feedback, state.inputs, state.outputs), all requiring a gradient."""
    layout, _, shared, kind, length = CASES[case]
    generator = torch.Generator().manual_seed(len(case))
    batch, channels, q = (2,), 3, 1

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, dtype=dtype, generator=generator)

    def taps(count: int) -> torch.Tensor:
        lead = {
            "static": (channels,),
            "per_example": (*batch, channels),
            "time_varying": join_shape(batch, channels, length, layout),
        }[kind]
        return 0.3 * randn(*lead, count)

    x_channels = 1 if shared else channels
    tensors = [
        randn(*join_shape(batch, x_channels, length, layout)),
        taps(q + 1),
        taps(order),
        randn(*join_shape(batch, x_channels, q, layout)),
        randn(*join_shape(batch, channels, order, layout)),
    ]
    return [tensor.requires_grad_() for tensor in tensors]


def function(case: str, backend: str) -> Any:
    layout, reverse, *_ = CASES[case]

    def call(
        x: torch.Tensor, b: torch.Tensor, a: torch.Tensor, inputs: torch.Tensor, outputs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        y, state = mr.recurrence(
            x, feedforward=b, feedback=a, state=(inputs, outputs), layout=layout, reverse=reverse, backend=backend
        )
        return y, state.inputs, state.outputs

    return call


def order_for(case: str, backend: str) -> int:
    # unfold_scan declines time-varying feedback of order 2, and says so
    return 1 if backend == "unfold_scan" and case == "time-varying-reverse" else 2


def loss_of(call: Any) -> Any:
    return lambda *tensors: sum(part.square().sum() for part in call(*tensors))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
def test_gradcheck(case: str, backend: str) -> None:
    tensors = problem(case, order_for(case, backend))
    assert gradcheck(function(case, backend), tensors, check_forward_ad=True, check_batched_grad=True)


# the formulas are the same on every backend, and in every layout
TWICE = [(case, "numba") for case in ("static", "time-varying-reverse", "shorter-than-state")]
OTHERS = [pair for pair in itertools.product(CASES, BACKENDS) if pair not in TWICE]


@pytest.mark.parametrize(("case", "backend"), [*TWICE, *(pytest.param(*pair, marks=LONG) for pair in OTHERS)])
def test_gradgradcheck(case: str, backend: str) -> None:
    tensors = problem(case, order_for(case, backend))
    assert gradgradcheck(function(case, backend), tensors, check_fwd_over_rev=True)


@pytest.mark.parametrize("backend", BACKENDS)
class TestComplex:
    @LONG
    def test_gradcheck(self, backend: str) -> None:
        tensors = problem("static", dtype=torch.complex128)
        assert gradcheck(function("static", backend), tensors, check_forward_ad=True)

    def test_real_input_complex_feedback(self, backend: str) -> None:
        x = torch.randn(2, 1, 5, dtype=torch.float64, requires_grad=True)
        a = (0.4 * torch.randn(3, 1, dtype=torch.complex128)).requires_grad_()
        assert gradcheck(lambda x, a: mr.recurrence(x, feedback=a, backend=backend)[0], (x, a))


@pytest.mark.parametrize("backend", BACKENDS)
class TestTransforms:
    def test_jvp_against_finite_differences(self, backend: str) -> None:
        call = function("static", backend)
        point = [tensor.detach() for tensor in problem("static")]
        along = [torch.randn_like(tensor) for tensor in point]
        step = 1e-6
        _, tangents = func.jvp(call, tuple(point), tuple(along))
        up = call(*(p + step * d for p, d in zip(point, along, strict=True)))
        down = call(*(p - step * d for p, d in zip(point, along, strict=True)))
        for tangent, above, below in zip(tangents, up, down, strict=True):
            torch.testing.assert_close(tangent, (above - below) / (2 * step), atol=1e-7, rtol=1e-6)

    @pytest.mark.parametrize("mapped", range(5))
    def test_vmap_over_each_operand(self, backend: str, mapped: int) -> None:
        call = function("per-example", backend)
        point = [tensor.detach() for tensor in problem("per-example")]
        stacked = torch.stack([point[mapped], 0.5 * point[mapped], -point[mapped]], dim=1)
        arguments = [stacked if index == mapped else tensor for index, tensor in enumerate(point)]
        found = func.vmap(call, in_dims=tuple(1 if index == mapped else None for index in range(5)))(*arguments)
        for index in range(3):
            arguments[mapped] = stacked[:, index]
            for got, expected in zip(found, call(*arguments), strict=True):
                torch.testing.assert_close(got[index], expected)

    def test_vmap_of_grad_gives_per_example_gradients(self, backend: str) -> None:
        loss = loss_of(function("static", backend))
        x, *rest = [tensor.detach() for tensor in problem("static")]
        xs = torch.stack([x, 2 * x])
        per_example = func.vmap(func.grad(loss, argnums=(0, 1, 2)), in_dims=(0, None, None, None, None))(xs, *rest)
        for index in range(2):
            inputs = [xs[index].clone().requires_grad_(), *(tensor.clone().requires_grad_() for tensor in rest)]
            expected = torch.autograd.grad(loss(*inputs), inputs[:3])
            for got, want in zip(per_example, expected, strict=True):
                torch.testing.assert_close(got[index], want)

    def test_hessian_is_the_jacobian_of_the_gradient(self, backend: str) -> None:
        loss = loss_of(function("static", backend))
        x, b, a, *state = [tensor.detach() for tensor in problem("static")]
        hessian = func.hessian(lambda a: loss(x, b, a, *state))(a)
        gradient = func.grad(lambda a: loss(x, b, a, *state))
        step = 1e-6
        for index in range(a.numel()):
            bump = torch.zeros_like(a).view(-1)
            bump[index] = step
            bump = bump.view_as(a)
            column = (gradient(a + bump) - gradient(a - bump)) / (2 * step)
            torch.testing.assert_close(hessian.flatten(2)[..., index], column, atol=1e-5, rtol=1e-5)

    def test_jacrev_equals_jacfwd(self, backend: str) -> None:
        call = function("sequence-first-reverse", backend)
        x, b, a, *state = [tensor.detach() for tensor in problem("sequence-first-reverse")]
        outputs = lambda a: call(x, b, a, *state)[0]  # noqa: E731
        torch.testing.assert_close(func.jacrev(outputs)(a), func.jacfwd(outputs)(a))

    def test_checkpoint_gives_the_same_gradients(self, backend: str) -> None:
        loss = loss_of(function("static", backend))
        plain, saved = problem("static"), problem("static")
        loss(*plain).backward()
        checkpoint(loss, *saved, use_reentrant=False).backward()
        for one, other in zip(plain, saved, strict=True):
            assert torch.equal(one.grad, other.grad)

    def test_inference_mode_equals_eager(self, backend: str) -> None:
        call, tensors = function("static", backend), problem("static")
        with torch.inference_mode():
            quiet = call(*tensors)
        for got, expected in zip(quiet, call(*tensors), strict=True):
            assert torch.equal(got, expected.detach())


@pytest.mark.parametrize("backend", BACKENDS)
class TestMemory:
    def test_the_gradient_of_x_is_not_the_callers_gradient(self, backend: str) -> None:
        x = torch.randn(1, 2, 5, requires_grad=True)
        y, _ = mr.recurrence(x, feedback=torch.ones(2, 0), backend=backend)
        gradient = torch.ones(1, 2, 5)
        y.backward(gradient)
        x.grad.zero_()
        assert gradient.sum() == 10

    def test_y_may_change_where_no_gradient_looks_at_it(self, backend: str) -> None:
        x = torch.randn(1, 2, 5, requires_grad=True)
        b, a = torch.randn(2, 2, requires_grad=True), torch.full((2, 1), 0.5)
        y, _ = mr.recurrence(x, feedforward=b, feedback=a, backend=backend)
        y.mul_(2)
        y.sum().backward()
        found = x.grad.clone(), b.grad.clone()
        x.grad = b.grad = None
        (2 * mr.recurrence(x, feedforward=b, feedback=a, backend=backend)[0]).sum().backward()
        for got, expected in zip(found, (x.grad, b.grad), strict=True):
            torch.testing.assert_close(got, expected)

    def test_y_may_not_change_where_a_gradient_looks_at_it(self, backend: str) -> None:
        a = torch.full((2, 1), 0.5, requires_grad=True)
        y, _ = mr.recurrence(torch.randn(1, 2, 5), feedback=a, backend=backend)
        y.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()


def test_a_gradient_along_time_is_handed_over_without_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llvmlite")
    found = []
    vjp = Plan.vjp

    def watched(*arguments: Any) -> Any:
        found.append(vjp(*arguments))
        return found[-1]

    monkeypatch.setattr(Plan, "vjp", watched)
    x, gate = (torch.rand(2, 3, 500).requires_grad_(), torch.rand(2, 3, 500, 1).requires_grad_())
    grad = torch.autograd.grad(mr.recurrence(x, feedback=gate, backend="numba")[0].sum(), gate)[0]
    assert grad.data_ptr() == found[0].feedback.ctypes.data


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_along_one_element_backwards(backend: str) -> None:
    x, b = torch.randn(1, 1, 1, dtype=torch.float64), torch.randn(1, 1, 2, dtype=torch.float64, requires_grad=True)
    state = (torch.randn(1, 1, 1, dtype=torch.float64, requires_grad=True), None)
    y, after = mr.recurrence(x, feedforward=b, state=state, layout="TBC", reverse=True, backend=backend)
    grad_b, grad_past = torch.autograd.grad(y.sum() + after.inputs.sum(), (b, state[0]))
    torch.testing.assert_close(grad_b, torch.stack([x, state[0]], -1)[0].detach())
    torch.testing.assert_close(grad_past, b[..., 1:].detach())
