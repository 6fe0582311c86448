"""What a backward pass keeps: x for the gradient of feedforward alone, y for that of feedback alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import multirec as mr
from multirec.errors import ArgumentError

BACKENDS = ["reference", "torch_loop", "unfold_scan", "numba"]
LENGTH = 500
SIGNAL_BYTES = 2 * 3 * LENGTH * 4
"""Of x and of y alike."""
NOTHING, ONE, BOTH = 0, SIGNAL_BYTES, 2 * SIGNAL_BYTES

# which of x, feedforward, feedback and the state want a gradient, and what is kept for it
NEEDS = {
    "x": NOTHING,
    "state": NOTHING,
    "x state": NOTHING,
    "feedforward": ONE,
    "feedback": ONE,
    "x feedforward": ONE,
    "x feedback state": ONE,
    "feedforward feedback": BOTH,
    "x feedforward feedback state": BOTH,
}


def operands(needs: str) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 3, LENGTH), (3, 2), (3, 2), (2, 3, 1), (2, 3, 2))
    names = ("x", "feedforward", "feedback", "state", "state")
    return [
        (0.3 * torch.randn(shape, generator=generator)).requires_grad_(name in needs.split())
        for shape, name in zip(shapes, names, strict=True)
    ]


def call(backend: str, **choices: Any) -> Any:
    def filtered(x: torch.Tensor, b: torch.Tensor, a: torch.Tensor, *state: torch.Tensor) -> Any:
        y, after = mr.recurrence(x, feedforward=b, feedback=a, state=state, backend=backend, **choices)
        return y, after.outputs

    return filtered


def saved_bytes(function: Any, tensors: list[torch.Tensor]) -> int:
    """Return the bytes of the signals that a call keeps for its backward pass; views of one memory count once."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        results = function(*tensors)
    assert results[0].requires_grad
    return sum(size for size in kept.values() if size >= SIGNAL_BYTES)


@pytest.mark.parametrize("needs", NEEDS)
@pytest.mark.parametrize("backend", BACKENDS)
class TestEager:
    def test_signals_are_kept_for_coefficients_alone(self, backend: str, needs: str) -> None:
        assert saved_bytes(call(backend), operands(needs)) == NEEDS[needs]

    def test_gradients_are_those_of_a_call_where_everything_wants_one(self, backend: str, needs: str) -> None:
        some, every = operands(needs), operands("x feedforward feedback state")
        for tensors in (some, every):
            sum(part.square().sum() for part in call(backend)(*tensors)).backward()
        for own, whole in zip(some, every, strict=True):
            assert own.grad is None or torch.equal(own.grad, whole.grad)


@pytest.mark.parametrize("needs", NEEDS)
def test_wide_arithmetic_keeps_what_is_stored(needs: str) -> None:
    assert saved_bytes(call("numba", compute_dtype="float64"), operands(needs)) == NEEDS[needs]


@pytest.mark.parametrize("needs", NEEDS)
def test_signals_are_kept_for_coefficients_alone_when_compiled(needs: str) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(call("numba"), fullgraph=True, backend="aot_eager")
    compiled(*operands(needs))
    assert saved_bytes(compiled, operands(needs)) == NEEDS[needs]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_frozen_filters_let_x_and_y_be_changed_in_place(backend: str, compiled: bool) -> None:
    torch._dynamo.reset()
    function = torch.compile(call(backend), fullgraph=True, backend="aot_eager") if compiled else call(backend)
    leaf, *others = operands("x")
    want = torch.autograd.grad(call(backend)(leaf, *others)[0].sum(), leaf)[0]
    x = leaf * 1
    y, _ = function(x, *others)
    x.zero_()
    torch.testing.assert_close(torch.autograd.grad(y.mul_(1).sum(), leaf)[0], want)


def test_x_may_not_be_changed_where_a_gradient_looks_at_it() -> None:
    leaf, *others = operands("x feedforward")
    x = leaf * 1
    y, _ = call("numba")(x, *others)
    x.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("backend", BACKENDS)
def test_coefficients_of_numpy_may_change_before_backward(backend: str) -> None:
    x, a = torch.ones(1, 2, 30, requires_grad=True), np.full((2, 2), 0.3, "float32")
    y, _ = mr.recurrence(x, feedback=a, backend=backend)
    (want,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
    a[:] = 0
    (got,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(got, want, rtol=0, atol=0)


@pytest.mark.parametrize("other", [torch.ones(3, 1), torch.ones(3, 2, dtype=torch.float64)], ids=["shape", "dtype"])
def test_backward_refuses_what_is_no_longer_what_it_was(other: torch.Tensor) -> None:
    tensors = operands("x feedforward feedback")
    y, _ = call("numba")(*tensors)
    tensors[1].data = other
    with pytest.raises(ArgumentError, match=r"feedforward was of shape \(3, 2\), torch.float32 on cpu when y was"):
        y.sum().backward()


def test_hooks_of_saved_tensors_return_what_they_got() -> None:
    with torch.autograd.graph.saved_tensors_hooks(lambda kept: kept, lambda kept: kept[..., :1].clone()):
        y, _ = call("numba")(*operands("feedforward"))
    with pytest.raises(ArgumentError, match=r"x was of shape \(2, 3, 500\), .* and is of shape \(2, 3, 1\)"):
        y.sum().backward()
