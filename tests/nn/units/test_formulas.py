"""Units are what their papers say: outputs, the state after them, and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import multirec as mr

from .cases import CASES, parts, perturb


def loss(outs: Any, state: Any) -> Any:
    return outs.square().sum() + sum(part.real.sin().sum() for part in parts(state))


@pytest.mark.parametrize("name", CASES)
def test_values_state_and_gradients(name: str) -> None:
    case = CASES[name]
    unit = perturb(case.unit())
    x = case.x(7, 2).requires_grad_()
    # a first block from nothing, and one that continues
    _, before = unit(case.x(3, 2))
    before = mr.State(*(part if part is None else part.detach().requires_grad_() for part in before))
    for state in (unit.init_state(x), before):
        outs, last = unit(x, state)
        expected, after = case.formula(unit, x, state)
        torch.testing.assert_close(outs, expected)
        torch.testing.assert_close(tuple(parts(last)), tuple(parts(after)))
        wanted = [x, *unit.parameters(), *(part for part in parts(state) if part.requires_grad)]
        got = torch.autograd.grad(loss(outs, last), wanted)
        torch.testing.assert_close(got, torch.autograd.grad(loss(expected, after), wanted))


@pytest.mark.parametrize("name", ["MinGRU-positive", "MinLSTM-positive", "QRNN", "SRU-v1", "RGLRU", "LRU"])
def test_second_derivatives(name: str) -> None:
    case = CASES[name]
    unit = perturb(case.unit())
    x = case.x(3, 1)

    def outs(*weights: Any) -> Any:
        return torch.func.functional_call(unit, dict(zip(names, weights, strict=True)), (x,))[0]

    names, weights = zip(*unit.named_parameters(), strict=True)
    directions = [torch.randn_like(weight) for weight in weights]
    first = torch.autograd.grad(outs(*weights).square().sum(), weights, create_graph=True)
    got = torch.autograd.grad(sum((g * d).sum() for g, d in zip(first, directions, strict=True)), weights)
    first = torch.autograd.grad(case.formula(unit, x, unit.init_state(x))[0].square().sum(), weights, create_graph=True)
    expected = torch.autograd.grad(sum((g * d).sum() for g, d in zip(first, directions, strict=True)), weights)
    torch.testing.assert_close(got, expected)


def in_logarithms(gates: Any, values: Any, first: Any) -> Any:
    """Return h[t] = gates·h[t-1] + values of logarithms, as the paper's parallel scan has it."""
    sums = gates.cumsum(0)
    logs = torch.cat([first[None].log(), values - sums])
    return (sums + torch.logcumsumexp(logs, 0)[1:]).exp()


@pytest.mark.parametrize("name", ["MinGRU-positive", "MinLSTM-positive"])
def test_logarithms_mean_the_same(name: str) -> None:
    unit, x = CASES[name].unit(), CASES[name].x(9, 2)
    first = torch.rand(2, 4, dtype=torch.float64) + 0.1
    projected = unit.projection(x)
    softplus = torch.nn.functional.softplus
    if name.startswith("MinGRU"):
        k, candidate = projected.chunk(2, -1)
        gates, share = -softplus(k), -softplus(-k)
    else:
        f, i, candidate = projected.chunk(3, -1)
        difference = softplus(-f) - softplus(-i)
        gates, share = -softplus(difference), -softplus(-difference)
    log_g = torch.where(candidate >= 0, (candidate.relu() + 0.5).log(), -softplus(-candidate))
    expected = in_logarithms(gates, share + log_g, first)
    torch.testing.assert_close(unit(x, mr.State(None, first[None]))[0], expected)


def test_gates_that_are_shut_and_open_are_finite() -> None:
    for name in ("MinLSTM", "RGLRU", "SRU-v1"):
        case = CASES[name]
        unit, x = case.unit(dtype=torch.float32), case.x(5, 2, dtype=torch.float32).mul(1e4).requires_grad_()
        outs, _ = unit(x)
        found = torch.autograd.grad(outs.sum(), [x, *unit.parameters()])
        assert outs.isfinite().all()
        assert all(grad.isfinite().all() for grad in found)


def test_eigenvalues_are_on_the_ring_and_stay_inside() -> None:
    case = CASES["LRU"]
    unit = case.kind(3, 4, state_dim=500, min_radius=0.5, max_radius=0.9, max_phase=1.0)
    radii, phases = unit.matrices().eigenvalues.abs(), unit.matrices().eigenvalues.angle()
    assert 0.5 - 1e-6 <= radii.min() < 0.55
    assert 0.87 < radii.max() <= 0.9 + 1e-6
    # uniform on the ring: half of its area lies within
    assert 0.4 < (radii.square() < (0.25 + 0.81) / 2).float().mean() < 0.6
    assert phases.min() > 0
    assert phases.max() <= 1.0 + 1e-6
    torch.testing.assert_close(unit.gamma_log.exp(), (1 - radii.square()).sqrt(), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        unit.nu_log.fill_(-100.0)
    assert unit.matrices().eigenvalues.abs().max() < 1
    x = torch.randn(6, 2, 3)
    m = unit.matrices()
    h = torch.stack([m.B @ sample.to(m.B.dtype) for sample in x[0]])
    torch.testing.assert_close(unit(x[:1])[0][0], (h @ m.C.T).real + x[0] @ m.D.T, rtol=1e-4, atol=1e-4)
