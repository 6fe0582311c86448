"""The kernel of unfold_scan against the oracle, and against torch_loop where rounding and overflow matter."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import torch
from canonical import KernelTests, assert_agrees, make, oracle, run, signal
from multirec_backends.torch_loop._kernel import kernel as loop
from multirec_backends.unfold_scan import _blocks, _bound, _plan, _tables
from multirec_backends.unfold_scan._kernel import kernel

from multirec.testing.family import designed

FEEDBACK = {
    "static": (1, 3, 1, 2),
    "one": (1, 1, 1, 3),
    "per_example": (3, 3, 1, 2),
    "per_example_one": (3, 1, 1, 1),
    "time_varying": (3, 3, 1100, 1),
    "gate": (1, 3, 1100, 1),
}


class TestUnfoldScan(KernelTests):
    kernel = kernel
    gated_order = 1


def second_order(radius, angle):
    radius, angle = np.broadcast_arrays(radius, angle)
    taps = np.stack([2 * radius * np.cos(angle), -(radius**2)], -1)
    return torch.tensor(taps, dtype=torch.float32)[None, :, None]


@pytest.mark.parametrize("small", [1, 700, 4000])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", FEEDBACK)
def test_any_number_of_pieces_groups_and_blocks(kind, reverse, small, monkeypatch):
    monkeypatch.setattr(_plan, "_SMALL", small)
    generator = torch.Generator().manual_seed(6)
    x, b = signal(generator, (3, 1, 1100), "float64"), signal(generator, (1, 3, 1, 4), "float64")
    a = 0.4 * signal(generator, FEEDBACK[kind], "float64").clamp(-2, 2)
    if a.shape[-1] > 1:
        a = a / a.shape[-1]
    assert_agrees(kernel, *make(x, b, a, state=True, reverse=reverse))


@pytest.mark.parametrize("order", [3, 16, 40, 70])
def test_high_orders(order):
    generator = torch.Generator().manual_seed(7)
    x = signal(generator, (2, 2, 1500), "float64")
    a = signal(generator, (2, 2, 1, order), "float64")
    a = 0.9 * a / a.abs().sum(-1, keepdim=True)
    assert_agrees(kernel, *make(x, None, a, state=True))


def relative_error(problem, operands, y):
    expected = oracle(problem, operands)
    square = ((y.double().numpy() - expected) ** 2).mean((0, 2)), (expected**2).mean((0, 2))
    return np.sqrt(square[0] / square[1])


def test_float32_error_is_within_twice_that_of_the_loop():
    radius, angle = (np.ravel(grid) for grid in np.meshgrid([0.5, 0.99, 0.9999], [1e-3, 0.1, 1.5, 3.1]))
    ratios = []
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        x, b = signal(generator, (2, 1, 3000), "float32"), signal(generator, (1, len(radius), 1, 3), "float32")
        problem, operands = make(x, b, second_order(radius, angle))
        errors = [relative_error(problem, operands, run(each, problem, operands)) for each in (kernel, loop)]
        ratios.append(errors[0] / errors[1])
    assert np.median(ratios, 0).max() < 2


@pytest.mark.parametrize("gate", ["wide", "near_one", "constant"])
def test_float32_error_of_gates_is_within_twice_that_of_the_loop(gate):
    ratios = []
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        x, uniform = signal(generator, (2, 1, 3000), "float32"), torch.rand(2, 1, 3000, 1, generator=generator)
        a = {"wide": uniform, "near_one": 1 - 1e-4 * uniform, "constant": torch.full_like(uniform, 0.9999)}[gate]
        problem, operands = make(x, None, a)
        errors = [relative_error(problem, operands, run(each, problem, operands)).item() for each in (kernel, loop)]
        ratios.append(errors[0] / errors[1])
    assert statistics.median(ratios) < 2


def assert_lawful(problem, operands):
    """No wrong value before the oracle passes 1e30 (1e300), and nothing finite after something that is not."""
    expected, y = oracle(problem, operands), run(kernel, problem, operands).numpy()
    if problem.reverse:
        expected, y = expected[..., ::-1], y[..., ::-1]
    limit = 1e300 if problem.compute_dtype == "float64" else 1e30
    with np.errstate(all="ignore"):
        peak = np.maximum.accumulate(np.abs(expected), -1)
        said = peak < limit
        close = np.abs(y - expected) <= 1e-2 * peak
    assert (close | ~said).all()
    finite = np.isfinite(y)
    assert (finite[..., 1:] <= finite[..., :-1]).all()


@pytest.mark.parametrize(
    ("dtype", "reverse"),
    [
        *(("float32", True), ("float64", False)),
        *(pytest.param(*each, marks=pytest.mark.long) for each in (("float32", False), ("float64", True))),
    ],
)
def test_unstable_filters(dtype, reverse, monkeypatch):
    monkeypatch.setattr(_plan, "_SMALL", 10000)
    radius = np.array([0.9, 1.001, 1.01, 1.1, 1.5, 4.0, 1e3, 1e12])
    a = second_order(radius, 1.0).to(getattr(torch, dtype))
    generator = torch.Generator().manual_seed(8)
    x = signal(generator, (3, 1, 3000), dtype)
    x[1] *= 1e-20
    x[2, :, :1000], x[2, :, -1000:] = 0, 0
    problem, operands = make(x, None, a, channels=8, reverse=reverse)
    assert_lawful(problem, operands)
    alone = make(x, None, second_order(np.full(8, 0.9), 1.0).to(a.dtype), channels=8, reverse=reverse)
    assert torch.equal(run(kernel, problem, operands)[:, 0], run(kernel, *alone)[:, 0])


@pytest.mark.parametrize("reverse", [False, True])
def test_gates_that_overflow_and_close(reverse):
    generator = torch.Generator().manual_seed(9)
    x, a = signal(generator, (1, 6, 3000), "float32"), torch.rand(1, 6, 3000, 1, generator=generator)
    a[:, 1] = 1.5
    a[:, 2], x[:, 2, 100:2900] = 1e5, 0
    a[:, 3, 500:600] = 1e6
    x[:, 3, 450:650], a[:, 3, 450:500], a[:, 3, 600:650] = 0, 0, 0
    a[:, 4, 1000:1100], a[:, 4, 1100:1200] = 1e3, 1e-6
    a[:, 5, 2000] = torch.inf
    x[:, 5, 1990:2010] = 0
    assert_lawful(*make(x, None, a, reverse=reverse))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("kind", FEEDBACK)
def test_what_is_not_finite_stays_in_its_sequence_and_its_future(kind, value, reverse, monkeypatch):
    monkeypatch.setattr(_plan, "_SMALL", 4000)
    generator = torch.Generator().manual_seed(10)
    x = signal(generator, (3, 3, 1100), "float32")
    a = 0.2 * signal(generator, FEEDBACK[kind], "float32")
    clean = run(kernel, *make(x, None, a, reverse=reverse))
    x[1, 2, 700] = value
    y = run(kernel, *make(x, None, a, reverse=reverse))
    gone = torch.zeros(y.shape, dtype=torch.bool)
    gone[1, 2, slice(0, 701) if reverse else slice(700, None)] = True
    assert not y[gone].isfinite().any()
    np.testing.assert_allclose(y[~gone], clean[~gone], rtol=1e-5, atol=1e-6)


def test_no_more_tables_than_outputs():
    for samples in (1, 10, 100, 10**4, 10**7):
        length = _tables.block_length(2, samples)
        assert length == 2 or length**2 <= samples


def test_products_do_not_follow_the_global_precision():
    problem, operands = make(torch.ones(1, 1, 500), None, torch.full((1, 1, 1, 1), 0.999))
    precise = run(kernel, problem, operands)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        np.testing.assert_allclose(run(kernel, problem, operands), precise, rtol=1e-6)
    finally:
        torch.set_float32_matmul_precision(before)


DESIGNED = [filter_ for filter_ in designed() if 0 < filter_.order <= 8 and filter_.rounded("float32").radius() <= 1][
    ::3
]


@pytest.mark.parametrize(
    "filter_",
    [
        pytest.param(filter_, id=filter_.name, marks=[pytest.mark.long] * (index % 3 > 0))
        for index, filter_ in enumerate(DESIGNED)
    ],
)
def test_block_products_lose_no_more_than_is_predicted(filter_, monkeypatch):
    monkeypatch.setattr(_blocks, "most", lambda *_: math.inf)
    taps = torch.tensor([filter_.rounded("float32").feedback], dtype=torch.float32)
    x = signal(torch.Generator().manual_seed(0), (16, 1, 4096), "float32")
    problem, operands = make(x, None, taps[None, :, None])
    expected = oracle(problem, operands)
    lost, stepping = (
        np.sqrt(np.mean((run(each, problem, operands).numpy() - expected) ** 2)) for each in (kernel, loop)
    )
    predicted = float(_bound.predicted_loss(taps, _tables.responses(taps, 64))[0])
    least = 4 * np.finfo(np.float32).eps * np.sqrt(np.mean(expected**2))
    assert lost <= max(1, predicted) * 3 * stepping + least
