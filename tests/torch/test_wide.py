"""Derivatives of what is computed in a wider type than it is stored in: half types, and compute_dtype float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import func

import multirec as mr

BACKENDS = ["reference", "torch_loop", "unfold_scan", "numba"]
STORED = {"float32": 1e-6, "bfloat16": 2e-2, "complex64": 1e-6}
"""Data types of x, and the relative error that rounding y, or a gradient, to them makes."""
LENGTH = 7


def tensors(dtype: str, grad: bool = True) -> list[torch.Tensor]:
    """Return x, float64 coefficients, and a state in the type that is computed in."""
    generator = torch.Generator().manual_seed(1)

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=generator)

    kind = getattr(torch, dtype)
    wide = torch.complex128 if kind.is_complex else torch.float64
    x, b, a, inputs, outputs = randn(2, 1, LENGTH), randn(3, 2), 0.3 * randn(3, 2), randn(2, 1, 1), randn(2, 3, 2)
    found = [x.to(kind), b, a, inputs.to(kind), outputs.to(wide)]
    return [part.requires_grad_(grad) for part in found]


def call(backend: str, compute_dtype: str | None = "float64") -> Any:
    def filtered(x: torch.Tensor, b: torch.Tensor, a: torch.Tensor, *state: torch.Tensor) -> Any:
        y, after = mr.recurrence(
            x, feedforward=b, feedback=a, state=state, backend=backend, compute_dtype=compute_dtype
        )
        return y, *after

    return filtered


def exact(parts: list[torch.Tensor]) -> list[torch.Tensor]:
    wide = [part.detach().to(torch.complex128 if part.is_complex() else torch.float64) for part in parts]
    return [part.requires_grad_() for part in wide]


def loss(results: Any) -> torch.Tensor:
    return sum(part.to(torch.complex128).abs().square().sum() for part in results)


def assert_near(got: torch.Tensor, want: torch.Tensor, error: float) -> None:
    scale = want.abs().max().item()
    torch.testing.assert_close(got.to(want.dtype), want, rtol=0, atol=error * scale)


@pytest.mark.parametrize("dtype", STORED)
@pytest.mark.parametrize("backend", BACKENDS)
class TestWide:
    def test_only_what_is_stored_is_rounded(self, backend: str, dtype: str) -> None:
        given = tensors(dtype, grad=False)
        y, inputs, outputs = call(backend)(*given)
        want = call(backend)(*exact(given))
        assert (y.dtype, inputs.dtype, outputs.dtype) == (given[0].dtype, given[0].dtype, given[4].dtype)
        assert_near(y, want[0].detach(), STORED[dtype])
        assert_near(outputs, want[2].detach(), 1e-14)

    def test_second_derivatives(self, backend: str, dtype: str) -> None:
        results = []
        for given in (tensors(dtype), exact(tensors(dtype))):
            first = torch.autograd.grad(loss(call(backend)(*given)), given, create_graph=True)
            results.append([first, torch.autograd.grad(loss(first), given)])
        for found, want in zip(*results, strict=True):
            for got, right, own in zip(found, want, tensors(dtype), strict=True):
                assert got.dtype == own.dtype
                assert_near(got.detach(), right.detach(), 20 * STORED[dtype])

    def test_jvp(self, backend: str, dtype: str) -> None:
        given = tensors(dtype, grad=False)
        moves = tuple(torch.ones_like(part) for part in given)
        primals, tangents = func.jvp(call(backend), tuple(given), moves)
        wanted = func.jvp(call(backend), tuple(exact(given)), tuple(move.detach() for move in exact(moves)))[1]
        for primal, got, want in zip(primals, tangents, wanted, strict=True):
            assert got.dtype == primal.dtype
            assert_near(got, want.detach(), 4 * STORED[dtype])
        # y is saved as it is stored, so no derivative is nearer than that
        assert tangents[2].dtype == given[4].dtype

    def test_vmap(self, backend: str, dtype: str) -> None:
        x, b, a, inputs, outputs = tensors(dtype, grad=False)
        filters = torch.stack([a, 0.5 * a])
        found = func.vmap(call(backend), in_dims=(None, None, 0, None, None))(x, b, filters, inputs, outputs)
        for index, one in enumerate(filters):
            for got, want in zip(found, call(backend)(x, b, one, inputs, outputs), strict=True):
                torch.testing.assert_close(got[index], want)

    def test_compiled(self, backend: str, dtype: str) -> None:
        torch._dynamo.reset()
        compiled = torch.compile(call(backend), fullgraph=True, backend="aot_eager")
        results = []
        for function in (compiled, call(backend)):
            given = tensors(dtype)
            values = function(*given)
            loss(values).backward()
            results.append([*values, *(part.grad for part in given)])
        for got, want in zip(*results, strict=True):
            assert torch.equal(got, want)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("backend", BACKENDS)
class TestHalf:
    def test_a_leaky_sum_called_sample_by_sample_is_that_of_one_call(self, backend: str, dtype: torch.dtype) -> None:
        a, steps = torch.tensor([[0.999]]), 300
        x, state = torch.ones(1, 1, steps, dtype=dtype), None
        bank = mr.RecurrenceBank(feedback=a, backend=backend)
        whole, after = bank(x)
        for t in range(steps):
            y, state = bank.step(x[..., t], state)
        # the sum of a half type that rounds its state sticks at 256
        exact = (1 - 0.999**steps) / 0.001
        assert state.outputs.dtype == after.outputs.dtype == torch.float32
        torch.testing.assert_close(state.outputs.item(), exact, rtol=1e-4, atol=0)
        torch.testing.assert_close(after.outputs, state.outputs, rtol=1e-6, atol=0)
        torch.testing.assert_close(y, whole[..., -1], rtol=torch.finfo(dtype).eps, atol=0)

    def test_a_state_in_the_half_type_is_taken_and_gets_its_gradient_in_it(
        self, backend: str, dtype: torch.dtype
    ) -> None:
        a = torch.tensor([[0.5, -0.2]])
        for kind in (dtype, torch.float32):
            past = torch.ones(1, 1, 2, dtype=kind, requires_grad=True)
            _, state = mr.recurrence(torch.zeros(1, 1, 4, dtype=dtype), feedback=a, state=(None, past), backend=backend)
            assert state.outputs.dtype == torch.float32
            state.outputs.sum().backward()
            assert past.grad.dtype == kind
            again = torch.ones(1, 1, 2, dtype=torch.float64, requires_grad=True)
            zeros = torch.zeros(1, 1, 4, dtype=torch.float64)
            _, state = mr.recurrence(zeros, feedback=a, state=(None, again), backend=backend)
            state.outputs.sum().backward()
            torch.testing.assert_close(past.grad.double(), again.grad, rtol=4 * torch.finfo(kind).eps, atol=0)
