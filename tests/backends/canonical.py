"""Random canonical problems for the torch kernels, and what the oracle says of them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from multirec import reference
from multirec._core.axes import ends
from multirec._core.problem import real_precision
from multirec.backend import HALF_DTYPES, Layout, Operands, Problem, Taps

SHAPES = {
    "static": (1, 3, 1),
    "per_example": (2, 3, 1),
    "time_varying": (2, 3, 11),
    "one": (1, 1, 1),
    "gate": (1, 1, 11),
}
GATED = ("time_varying", "gate")
ORDERS: dict[Layout, tuple[int, int, int]] = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}


def signal(generator: torch.Generator, shape: tuple[int, ...], dtype: str) -> Tensor:
    wide = torch.complex128 if dtype.startswith("complex") else torch.float64
    return torch.randn(shape, generator=generator, dtype=wide).to(getattr(torch, dtype))


def laid_out(array: Tensor, layout: Layout) -> Tensor:
    """The same values in memory that is contiguous in `layout`."""
    axes = ORDERS[layout]
    back = tuple(axes.index(axis) for axis in range(3))
    return array.permute(axes).contiguous().permute(back)


def taps_of(coefficients: Tensor | None) -> Taps | None:
    if coefficients is None:
        return None
    return Taps(*coefficients.shape, dtype=str(coefficients.dtype).removeprefix("torch."))


def make(
    x: Tensor,
    feedforward: Tensor | None,
    feedback: Tensor | None,
    *,
    state: bool = False,
    channels: int | None = None,
    layout: Layout = "BCT",
    reverse: bool = False,
    seed: int = 0,
) -> tuple[Problem, Operands]:
    """A problem and its operands from canonical arrays; with `state` it has random past samples."""
    generator = torch.Generator().manual_seed(seed)
    dtype = str(x.dtype).removeprefix("torch.")
    sizes = [c.shape[1] for c in (feedforward, feedback) if c is not None]
    channels = channels or max([x.shape[1], *sizes])
    complex_taps = any(c is not None and c.is_complex() for c in (feedforward, feedback))
    y_dtype = {"float32": "complex64", "float64": "complex128"}.get(dtype, dtype) if complex_taps else dtype
    b, a = taps_of(feedforward), taps_of(feedback)
    batch, x_channels, length = x.shape
    sizes = (batch, channels, length, x_channels)
    problem = Problem("torch", "cpu", dtype, y_dtype, real_precision(y_dtype), layout, reverse, *sizes, b, a)
    past_x = signal(generator, (x.shape[0], x.shape[1], problem.input_order), dtype) if state else None
    past_y = signal(generator, (x.shape[0], channels, problem.order), problem.state_dtype) if state else None
    return problem, Operands(laid_out(x, layout), feedforward, feedback, past_x, past_y)


def run(kernel: Any, problem: Problem, operands: Operands) -> Tensor:
    """Return y; the memory that the kernel is given holds NaN, and the last outputs are those of y but for rounding."""

    def allocate(channels: int, dtype: str) -> Tensor:
        shape = (problem.batch, channels, problem.length)
        return laid_out(torch.full(shape, torch.nan, dtype=getattr(torch, dtype)), problem.layout)

    with torch.no_grad():
        found = kernel.forward(problem, operands, allocate)
    y, last = found if isinstance(found, tuple) else (found, None)
    assert y.shape == (problem.batch, problem.channels, problem.length)
    assert y.dtype == getattr(torch, problem.y_dtype)
    assert y.permute(ORDERS[problem.layout]).is_contiguous()
    if problem.state_dtype == problem.y_dtype:
        assert last is None
    else:
        assert last is not None
        assert last.dtype == getattr(torch, problem.state_dtype)
        assert torch.equal(last.to(y.dtype), ends(y, problem.order, problem.reverse))
    return y


def oracle(problem: Problem, operands: Operands) -> np.ndarray[Any, Any]:
    """The recurrence in float64 from the same rounded operands."""

    def array(part: Tensor | None) -> Any:
        if part is None:
            return None
        return part.view(torch.uint16).numpy() if part.dtype == torch.bfloat16 else part.numpy()

    return reference.kernel.wide_forward(problem, Operands(*(array(part) for part in operands)))


def tolerance(problem: Problem) -> float:
    if problem.y_dtype in HALF_DTYPES:
        return 1e-3 if problem.y_dtype == "float16" else 1e-2
    return 1e-12 if problem.compute_dtype == "float64" else 1e-5


def assert_agrees(kernel: Any, problem: Problem, operands: Operands) -> None:
    expected = oracle(problem, operands)
    y = run(kernel, problem, operands)
    got = y.to(torch.complex128 if problem.is_complex else torch.float64).numpy()
    scale = np.abs(expected).max(initial=1.0)
    np.testing.assert_allclose(got, expected, rtol=tolerance(problem), atol=tolerance(problem) * scale)


class KernelTests:
    """What every torch kernel must do; a subclass names its `kernel` and its highest time-varying order."""

    kernel: Any
    gated_order: int

    @pytest.mark.parametrize(("layout", "reverse"), [("BCT", False), ("BTC", True), ("TBC", False)])
    @pytest.mark.parametrize("back", [None, *SHAPES])
    @pytest.mark.parametrize("forward", [None, *SHAPES])
    def test_agrees_with_the_oracle(self, forward, back, layout, reverse):
        if forward is None and back is None:
            pytest.skip("nothing to compute")
        generator = torch.Generator().manual_seed(1)
        b = None if forward is None else signal(generator, (*SHAPES[forward], 3), "float64")
        order = self.gated_order if back in GATED else 2
        a = None if back is None else 0.3 * signal(generator, (*SHAPES[back], order), "float64")
        for x_channels, state in itertools.product((1, 3), (False, True)):
            x = signal(generator, (2, x_channels, 11), "float64")
            problem, operands = make(x, b, a, state=state, channels=3, layout=layout, reverse=reverse)
            assert_agrees(self.kernel, problem, operands)

    @pytest.mark.parametrize("reverse", [False, True])
    @pytest.mark.parametrize("length", [0, 1, 2, 3, 5])
    @pytest.mark.parametrize(("taps", "order"), [(1, 0), (6, 0), (1, 4), (4, 2), (6, 4)])
    def test_short_signals(self, length, taps, order, reverse):
        generator = torch.Generator().manual_seed(2)
        for batch, state in itertools.product((0, 2), (False, True)):
            x = signal(generator, (batch, 1, length), "float64")
            b, a = signal(generator, (1, 4, 1, taps), "float64"), 0.3 * signal(generator, (1, 4, 1, order), "float64")
            assert_agrees(self.kernel, *make(x, b, a, state=state, reverse=reverse))

    @pytest.mark.parametrize(
        ("x_dtype", "b_dtype", "a_dtype"),
        [
            ("float16", "float32", "float32"),
            ("bfloat16", "float32", "float32"),
            ("float32", "float32", "float32"),
            ("float32", "complex64", "float32"),
            ("float32", "float32", "complex64"),
            ("complex64", "float32", "complex64"),
            ("complex64", "float32", "float32"),
            ("float64", "float64", "complex128"),
            ("complex128", "complex128", "float64"),
        ],
    )
    def test_data_types(self, x_dtype, b_dtype, a_dtype):
        generator = torch.Generator().manual_seed(3)
        x = signal(generator, (2, 3, 50), x_dtype)
        b, a = signal(generator, (1, 3, 1, 3), b_dtype), 0.3 * signal(generator, (2, 1, 1, 2), a_dtype)
        assert_agrees(self.kernel, *make(x, b, a, state=True))

    def test_strides_of_any_kind(self):
        generator = torch.Generator().manual_seed(4)
        x = signal(generator, (2, 1, 1), "float64").expand(2, 3, 20)
        b = signal(generator, (1, 3, 1, 6), "float64")[..., ::2]
        a = 0.3 * signal(generator, (1, 1, 1, self.gated_order), "float64").expand(2, 3, 20, -1)
        assert_agrees(self.kernel, *make(x, b, a))

    def test_a_nan_stays_in_its_channel_and_its_future(self):
        generator = torch.Generator().manual_seed(5)
        x = signal(generator, (2, 3, 20), "float32")
        x[1, 2, 7] = torch.nan
        y = run(self.kernel, *make(x, None, 0.3 * signal(generator, (1, 3, 1, 2), "float32")))
        expected = torch.ones(2, 3, 20, dtype=torch.bool)
        expected[1, 2, 7:] = False
        assert torch.equal(y.isfinite(), expected)
