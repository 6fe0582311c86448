"""`multirec.compat.torchaudio`: filters by their coefficients; numbers of torchaudio are those of its version 2.11."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import signal
from torch.autograd import gradcheck, gradgradcheck

from multirec import errors
from multirec.compat import torchaudio as compat

A = torch.tensor([2.0, -1.5, 0.7], dtype=torch.float64)
B = torch.tensor([1.0, -0.4, 2.0], dtype=torch.float64)


def noise(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(sum(shape)).standard_normal(shape)).to(dtype)


def bank(filters: int, order: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Return stable a_coeffs and b_coeffs, a[0] other than 1."""
    a = 0.3 * noise(filters, order + 1) / max(order, 1)
    a[:, 0] = 1 + 0.5 * torch.arange(filters)
    return a, noise(filters, order + 1)


def scipys(waveform: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(signal.lfilter(b.numpy(), a.numpy(), waveform.numpy()))


def assert_near(got: torch.Tensor, want: torch.Tensor, error: float = 1e-12) -> None:
    torch.testing.assert_close(got, want, rtol=error, atol=error)


class TestShapes:
    @pytest.mark.parametrize("shape", [(40,), (1, 40), (3, 40), (2, 3, 40), (2, 1, 3, 40), (3,), (1, 3), (3, 3), (0,)])
    @pytest.mark.parametrize("batching", [True, False])
    def test_one_filter_serves_every_signal(self, shape: tuple[int, ...], batching: bool) -> None:
        x = noise(*shape)
        assert_near(compat.lfilter(x, A, B, False, batching), scipys(x, A, B))
        assert_near(compat.filtfilt(x, A, B, False), scipys(scipys(x, A, B).flip(-1), A, B).flip(-1))

    @pytest.mark.parametrize("shape", [(3, 40), (2, 3, 40), (2, 1, 3, 40), (0, 3, 40), (3, 3), (3, 0)])
    def test_a_bank_has_a_filter_for_each_channel(self, shape: tuple[int, ...]) -> None:
        x, (a, b) = noise(*shape), bank(3)
        y, both = compat.lfilter(x, a, b, clamp=False), compat.filtfilt(x, a, b, clamp=False)
        for i in range(3):
            assert_near(y[..., i, :], scipys(x[..., i, :], a[i], b[i]))
            assert_near(both[..., i, :], scipys(y[..., i, :].flip(-1), a[i], b[i]).flip(-1))

    @pytest.mark.parametrize("shape", [(40,), (3, 40), (2, 5, 40), (3,), (4, 3)])
    def test_a_bank_without_batching_adds_an_axis(self, shape: tuple[int, ...]) -> None:
        x, (a, b) = noise(*shape), bank(4)
        y = compat.lfilter(x, a, b, clamp=False, batching=False)
        assert y.shape == (*shape[:-1], 4, shape[-1])
        for i in range(4):
            assert_near(y[..., i, :], scipys(x, a[i], b[i]))

    def test_strides_do_not_matter(self) -> None:
        x, (a, b) = noise(40, 3, 2).permute(2, 1, 0), bank(3)
        assert_near(compat.lfilter(x, a, b), compat.lfilter(x.contiguous(), a, b))

    @pytest.mark.parametrize("order", [0, 1, 4])
    def test_orders(self, order: int) -> None:
        x, (a, b) = noise(2, 40), bank(1, order)
        assert_near(compat.lfilter(x, a[0], b[0], clamp=False), scipys(x, a[0], b[0]))


class TestClamp:
    x = 3 * ((torch.arange(64, dtype=torch.float64) * 37 % 101) / 101 - 0.5)

    @pytest.mark.parametrize(
        ("function", "clamp", "numbers"),
        [
            (compat.lfilter, True, (-0.10876989867, 1.0, -0.0313551556949)),
            (compat.lfilter, False, (-0.10876989867, 1.2912607625, -0.0313551556949)),
            (compat.filtfilt, True, (0.653398273286, -0.448653224858, -0.0156775778474)),
            (compat.filtfilt, False, (0.653398273286, -0.448653224858, -0.0156775778474)),
        ],
    )
    def test_numbers_of_torchaudio(self, function: Any, clamp: bool, numbers: tuple[float, ...]) -> None:
        y = function(self.x, A, B, clamp)
        assert_near(y[[5, 40, 63]], torch.tensor(numbers, dtype=torch.float64), 1e-11)

    def test_only_what_is_returned_is_limited(self) -> None:
        growing = torch.tensor([1.0, -1.1]), torch.tensor([1.0, 0.0])
        impulse = torch.eye(20)[0]
        whole = compat.lfilter(impulse, *growing, clamp=False)
        assert whole[-1] > 6
        assert torch.equal(compat.lfilter(impulse, *growing), whole.clamp(-1, 1))
        both = compat.filtfilt(impulse, *growing, clamp=False)
        assert torch.equal(compat.filtfilt(impulse, *growing), both.clamp(-1, 1))

    def test_what_is_no_number_stays_so(self) -> None:
        y = compat.lfilter(
            torch.tensor([0.2, torch.nan, 0.2, torch.inf]), torch.tensor([1.0, 0]), torch.tensor([1.0, 0])
        )
        assert y[:2].isnan().tolist() == [False, True]
        y = compat.lfilter(torch.tensor([0.2, torch.inf, -torch.inf]), torch.ones(1), torch.ones(1))
        assert y.tolist() == pytest.approx([0.2, 1.0, -1.0])

    @pytest.mark.parametrize("grad", [True, False])
    def test_no_argument_is_written_to(self, grad: bool) -> None:
        given = [5 * noise(2, 40), torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)]
        before = [part.clone() for part in given]
        with torch.set_grad_enabled(grad):
            for part in given:
                part.requires_grad_(grad)
            compat.lfilter(*given)
            compat.deemphasis(given[0])
        assert all(map(torch.equal, given, before))

    def test_no_gradient_where_it_limits(self) -> None:
        x = torch.tensor([0.5, 2.0, -3.0, 1.0], requires_grad=True)
        compat.lfilter(x, torch.ones(1), torch.ones(1)).sum().backward()
        assert x.grad is not None
        assert x.grad.tolist() == [1.0, 0.0, 0.0, 1.0]


class TestPrecision:
    def test_order_9_is_stable(self) -> None:
        """As second-order sections say, whose error is smaller than that of one polynomial."""
        design = {"N": 9, "Wn": 850, "btype": "highpass", "fs": 22050}
        b, a = map(torch.from_numpy, signal.butter(**design))
        impulse = torch.eye(1024, dtype=torch.float64)[0]
        want = torch.from_numpy(signal.sosfilt(signal.butter(**design, output="sos"), impulse.numpy()))
        assert_near(compat.lfilter(impulse, a, b, clamp=False), want, 1e-8)
        # float32 cannot hold this design, and float64 coefficients are not rounded to it
        assert_near(compat.lfilter(impulse.float(), a, b, clamp=False).double(), want, 1e-6)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    @pytest.mark.parametrize(
        "function",
        [
            lambda x: compat.lfilter(x, A.half(), B.half()),
            lambda x: compat.filtfilt(x, A.float(), B.float()),
            lambda x: compat.lowpass_biquad(x, 16000, 300.0),
            compat.preemphasis,
            compat.deemphasis,
        ],
        ids=["half coefficients", "filtfilt", "lowpass", "preemphasis", "deemphasis"],
    )
    def test_half_types_are_computed_in_float32(self, function: Any, dtype: torch.dtype) -> None:
        x = 0.1 * noise(2, 100, dtype=dtype)
        y, exact = function(x), function(x.float())
        assert y.dtype == dtype
        torch.testing.assert_close(y.float(), exact, rtol=0, atol=torch.finfo(dtype).eps * exact.abs().max().item())

    def test_float64_signals_take_coefficients_of_float32(self) -> None:
        x = noise(2, 40)
        assert_near(compat.lfilter(x, A.float(), B.float(), False), scipys(x, A.float().double(), B.float().double()))

    @pytest.mark.parametrize("function", [compat.lfilter, compat.filtfilt])
    def test_complex_coefficients_cannot_be_limited_either(self, function: Any) -> None:
        with pytest.raises(
            errors.DtypeError, match=r"a_coeffs is torch\.complex64, and complex numbers cannot be clamped"
        ):
            function(noise(2, 40), torch.ones(2, dtype=torch.complex64), torch.ones(2, dtype=torch.complex64))

    def test_complex_signals_are_not_limited(self) -> None:
        x = torch.complex(noise(2, 40), noise(2, 40).flip(-1))
        y = compat.lfilter(x, A, B, clamp=False)
        assert_near(y, torch.complex(scipys(x.real, A, B), scipys(x.imag, A, B)))
        with pytest.raises(errors.DtypeError, match="clamp=False"):
            compat.lfilter(x, A, B)


class TestEmphasis:
    @pytest.mark.parametrize("shape", [(40,), (2, 3, 40), (0,), (2,), (1, 2)])
    def test_one_undoes_the_other(self, shape: tuple[int, ...]) -> None:
        x = 0.1 * noise(*shape)
        emphasised = compat.preemphasis(x, 0.9)
        want = x.clone()
        want[..., 1:] -= 0.9 * x[..., :-1]
        assert_near(emphasised, want)
        assert_near(compat.deemphasis(emphasised, 0.9), x)

    def test_only_deemphasis_is_limited(self) -> None:
        assert compat.preemphasis(torch.full((3,), -2.0)).tolist() == pytest.approx([-2.0, -0.06, -0.06])
        assert compat.deemphasis(torch.ones(5)).tolist() == [1.0] * 5


class TestGradients:
    @pytest.mark.parametrize(
        ("shape", "filters", "batching"),
        [((7,), None, True), ((2, 7), None, True), ((2, 3, 7), 3, True), ((2, 7), 3, False)],
    )
    def test_lfilter(self, shape: tuple[int, ...], filters: int | None, batching: bool) -> None:
        a, b = bank(filters or 1)
        pair = (a, b) if filters else (a[0], b[0])
        inputs = [part.clone().requires_grad_() for part in (0.1 * noise(*shape), *pair)]

        def function(*inputs: torch.Tensor) -> torch.Tensor:
            return compat.lfilter(*inputs, batching=batching)

        assert gradcheck(function, inputs)
        assert gradgradcheck(function, inputs)

    @pytest.mark.parametrize("function", [compat.filtfilt, compat.biquad, compat.preemphasis, compat.deemphasis])
    def test_other_functions(self, function: Any) -> None:
        coefficients = {
            compat.filtfilt: (A, B),
            compat.biquad: (*B, *A),
        }.get(function, (torch.tensor(0.9, dtype=torch.float64),))
        inputs = [part.clone().requires_grad_() for part in (0.02 * noise(2, 6), *coefficients)]
        assert gradcheck(function, inputs)

    def test_the_batch_is_summed(self) -> None:
        x, a, b = noise(4, 1, 30), A.clone().requires_grad_(), B.clone().requires_grad_()
        whole = torch.autograd.grad(compat.lfilter(x, a, b).sum(), (a, b))
        parts = [torch.autograd.grad(compat.lfilter(one, a, b).sum(), (a, b)) for one in x]
        for got, each in zip(whole, zip(*parts, strict=True), strict=True):
            assert_near(got, torch.stack(each).sum(0))

    def test_a_filter_that_divides_by_0_harms_no_other(self) -> None:
        a, b = bank(3)
        a[1, 0] = 0.0
        a.requires_grad_()
        y = compat.lfilter(noise(3, 20), a, b)
        y[[0, 2]].sum().backward()
        assert y[[0, 2]].isfinite().all()
        assert a.grad is not None
        assert a.grad[[0, 2]].isfinite().all()


class TestTransforms:
    def test_vmap_and_grad(self) -> None:
        x, (a, b) = 3 * noise(5, 3, 20), bank(3)
        each = torch.func.vmap(lambda x: compat.lfilter(x, a, b))(x)
        assert_near(each, compat.lfilter(x, a, b))

        def loss(a: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            return compat.lfilter(x, a, b).square().sum()

        per_example = torch.func.vmap(torch.func.grad(loss), (None, 0))(a, x)
        assert_near(per_example.sum(0), torch.func.grad(loss)(a, x))

    def test_forward_mode(self) -> None:
        x, direction = 3 * noise(3, 20), noise(3, 20).flip(-1)
        y, tangent = torch.func.jvp(lambda x: compat.lfilter(x, A, B), (x,), (direction,))
        inside = compat.lfilter(x, A, B, clamp=False).abs() <= 1
        assert_near(tangent, compat.lfilter(direction, A, B, clamp=False) * inside)
        assert_near(y, compat.lfilter(x, A, B))

    @pytest.mark.parametrize("inner", ["vmap", "jvp"])
    def test_a_gradient_of_another_transform(self, inner: str) -> None:
        x = 3 * noise(3, 20)

        def loss(a: torch.Tensor, clamp: bool) -> torch.Tensor:
            def limited(x: torch.Tensor) -> torch.Tensor:
                y = compat.lfilter(x, a, B, clamp)
                return y if clamp else y.clamp(-1, 1)

            if inner == "vmap":
                return torch.func.vmap(limited)(x).square().sum()
            return torch.func.jvp(limited, (x,), (x,))[1].square().sum()

        assert_near(torch.func.grad(loss)(A, True), torch.func.grad(loss)(A, False), 1e-10)
        leaf = A.clone().requires_grad_()
        (got,) = torch.autograd.grad(loss(leaf, True), leaf)
        assert_near(got, torch.func.grad(loss)(A, False), 1e-10)

    @pytest.mark.parametrize("grad", [True, False])
    def test_compiled_in_one_graph(self, grad: bool) -> None:
        torch._dynamo.reset()

        def function(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return compat.filtfilt(compat.lfilter(x, a, b), a, b)

        inputs = [3 * noise(2, 30), A.clone().requires_grad_(grad), B]
        assert_near(torch.compile(function, fullgraph=True, backend="eager")(*inputs), function(*inputs))


class TestErrors:
    x = torch.zeros(2, 10)
    pair = torch.tensor([1.0, 0.5]), torch.tensor([1.0, 0.0])

    def test_coefficients_that_do_not_fit(self) -> None:
        a, b = self.pair
        with pytest.raises(errors.ShapeError, match=r"\(2,\).*\(3,\).*[Pp]ad"):
            compat.lfilter(self.x, a, torch.ones(3))
        with pytest.raises(errors.ShapeError, match=r"\(1, 1, 2\)"):
            compat.lfilter(self.x, a[None, None], b[None, None])
        with pytest.raises(errors.ShapeError, match=r"shape \(0,\)"):
            compat.lfilter(self.x, a[:0], b[:0])
        with pytest.raises(errors.ShapeError, match=r"shape \(\)"):
            compat.lfilter(self.x, a[0], b[0])

    @pytest.mark.parametrize("function", [compat.lfilter, compat.filtfilt])
    @pytest.mark.parametrize("shape", [(10,), (2, 10), (3, 2, 10), (3, 1, 10)])
    def test_a_bank_for_another_number_of_channels(self, function: Any, shape: tuple[int, ...]) -> None:
        a, b = (part.repeat(3, 1) for part in self.pair)
        with pytest.raises(errors.ShapeError, match=r"there are 3 filters.*\(\.\.\., 3, time\).*batching=False"):
            function(torch.zeros(shape), a, b)

    def test_a_waveform_that_is_no_signal(self) -> None:
        with pytest.raises(errors.ShapeError, match=r"waveform\[None\]"):
            compat.lfilter(torch.tensor(1.0), *self.pair)
        with pytest.raises(errors.DtypeError, match=r"waveform has dtype torch\.int32"):
            compat.lfilter(self.x.int(), *self.pair)
        with pytest.raises(errors.DtypeError, match=r"waveform has dtype torch\.int32"):
            compat.preemphasis(self.x.int())
        with pytest.raises(errors.FamilyError, match=r"waveform is a ndarray.*torch\.as_tensor"):
            compat.biquad(self.x.numpy(), 1, 0, 0, 1, 0, 0)

    def test_coefficients_that_are_no_tensors_of_numbers(self) -> None:
        a, b = self.pair
        with pytest.raises(errors.FamilyError, match="a_coeffs is a list"):
            compat.lfilter(self.x, [1.0, 0.5], b)
        with pytest.raises(errors.DtypeError, match=r"b_coeffs has dtype torch\.int64"):
            compat.filtfilt(self.x, a, b.long())
        with pytest.raises(errors.ArgumentError, match=r"b1 has shape \(2,\).*one number"):
            compat.biquad(self.x, 1.0, torch.ones(2), 0.0, 1.0, 0.0, 0.0)

    def test_they_are_what_torchaudio_raises(self) -> None:
        """Where it raises ValueError, so does this."""
        with pytest.raises(ValueError, match="same shape"):
            compat.lfilter(self.x, self.pair[0], torch.ones(3))
        with pytest.raises(ValueError, match="3 filters"):
            compat.lfilter(self.x, torch.ones(3, 2), torch.ones(3, 2))
