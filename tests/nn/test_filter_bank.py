"""`nn.FilterBank`: stable for every weight, exact from a design, and a well-behaved module."""

import copy
import pickle
from fractions import Fraction

import numpy as np
import pytest
import scipy.signal
import torch

import multirec as mr
from multirec import nn as mnn
from multirec.errors import ArgumentError, DtypeError, FamilyError, ShapeError, UnknownBackendError

BIQUAD = scipy.signal.butter(2, 0.2)
BANDPASS = scipy.signal.butter(2, [0.1, 0.2], "bandpass")
CAUER = scipy.signal.ellip(6, 1, 60, 0.4)


def with_poles(radius, angle):
    """Return feedback of a conjugate pole pair."""
    return 2 * radius * np.cos(angle), -(radius**2)


def is_stable(feedback):
    """Schur–Cohn in rational arithmetic, so that no rounding of the test's own decides."""
    a = [Fraction(1), *(-Fraction(tap) for tap in feedback)]
    while len(a) > 1:
        k = a[-1]
        if abs(k) >= 1:
            return False
        a = [(a[i] - k * a[-1 - i]) / (1 - k * k) for i in range(len(a) - 1)]
    return True


def scipy_bank(bank, x):
    return np.stack([scipy.signal.lfilter(b, a, x) for b, a in zip(*bank.ba(), strict=True)], axis=-2)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("input_order", [None, 0, 4])
def test_is_the_filters_that_ba_says(order, input_order):
    bank = mnn.FilterBank(4, order=order, input_order=input_order, dtype=torch.float64)
    torch.nn.init.normal_(bank.feedforward)
    x = torch.randn(3, 50, dtype=torch.float64)
    y, state = bank(x)
    b, a = bank.ba()
    assert b.shape == (4, (order if input_order is None else input_order) + 1)
    assert a.shape == (4, order + 1)
    assert y.shape == (3, 4, 50)
    np.testing.assert_allclose(y.detach(), scipy_bank(bank, x.numpy()), rtol=1e-9, atol=1e-12)
    assert state.inputs.shape == (3, 1, b.shape[1] - 1)
    assert state.outputs.shape == (3, 4, order)


@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
@pytest.mark.parametrize("channels", [None, 1, 4])
def test_every_layout_and_kind_of_input(layout, channels):
    order = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}[layout]
    bank = mnn.FilterBank(4, layout=layout, dtype=torch.float64)
    dense = torch.randn(3, channels or 1, 20, dtype=torch.float64)
    x = dense.permute(order)
    given = x if channels else x.squeeze(order.index(1))
    y, _ = bank(given)
    plain, _ = mr.recurrence(dense, **dict(zip(("feedforward", "feedback"), bank.coefficients(), strict=True)))
    torch.testing.assert_close(y, plain.permute(order))


@pytest.mark.parametrize("reverse", [False, True])
def test_resumes_from_its_state_and_keeps_none(reverse):
    bank = mnn.FilterBank(3, order=4, reverse=reverse, dtype=torch.float64)
    x = torch.randn(2, 30, dtype=torch.float64)
    whole, last = bank(x)
    parts, state = [], None
    for block in x.split(7, -1)[::-1] if reverse else x.split(7, -1):
        y, state = bank(block, state)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts[::-1] if reverse else parts, -1), whole)
    torch.testing.assert_close(tuple(state), tuple(last))
    torch.testing.assert_close(bank(x)[0], whole)


def test_init_state_is_none_spelt_out():
    bank = mnn.FilterBank(3, dtype=torch.float64)
    x = torch.randn(2, 10, dtype=torch.float64)
    zeros = bank.init_state(x)
    assert zeros.inputs.shape == (2, 1, 2)
    assert zeros.outputs.shape == (2, 3, 2)
    torch.testing.assert_close(bank(x, zeros)[0], bank(x)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("order", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("spread", [1.0, 4.0, 20.0, 1e30])
def test_every_weight_is_stable_and_has_finite_gradients(dtype, order, spread):
    torch.manual_seed(0)
    bank = mnn.FilterBank(40, order=order, dtype=dtype)
    torch.nn.init.normal_(bank.reflection_weight, std=spread)
    feedforward, feedback = bank.coefficients()
    assert all(is_stable(taps) for taps in feedback.tolist())
    (feedforward.sum() + feedback.square().sum()).backward()
    assert torch.isfinite(bank.reflection_weight.grad).all()


def test_equal_extreme_weights_are_stable():
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 5)
    bank = mnn.FilterBank(len(signs), order=5)
    with torch.no_grad():
        bank.reflection_weight.copy_(signs * 100)
    assert all(is_stable(taps) for taps in bank.coefficients()[1].tolist())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("design", [BIQUAD, BANDPASS, CAUER, ([2.0], [4.0]), ([1.0, 1.0], [2.0, -1.9])])
def test_starts_from_a_design(design, dtype):
    b, a = (np.atleast_2d(part) for part in design)
    bank = mnn.FilterBank.from_ba(b, a, dtype=dtype)
    eps = torch.finfo(dtype).eps
    np.testing.assert_allclose(bank.ba()[0], b / a[:, :1], rtol=eps)
    np.testing.assert_allclose(bank.ba()[1], a / a[:, :1], atol=4 * eps * np.abs(a / a[:, :1]).max())


@pytest.mark.parametrize("radius", [0.9, 0.999, 0.99999])
@pytest.mark.parametrize("angle", [0.01, 0.3, 1.5, 3.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_starts_from_poles_near_the_unit_circle(radius, angle, dtype):
    a1, a2 = with_poles(radius, angle)
    bank = mnn.FilterBank.from_ba([[1.0]], [[1.0, -a1, -a2]], dtype=dtype)
    _, a = bank.ba()
    np.testing.assert_allclose(a, [[1.0, -a1, -a2]], atol=4 * torch.finfo(dtype).eps)


def test_from_ba_shares_single_rows_and_takes_options():
    b, a = BIQUAD
    bank = mnn.FilterBank.from_ba(np.stack([b, 2 * b]), a, layout="BTC", reverse=True, dtype=torch.float64)
    assert (bank.channels, bank.order, bank.layout, bank.reverse) == (2, 2, "BTC", True)
    np.testing.assert_allclose(bank.ba()[0], [b, 2 * b])
    np.testing.assert_allclose(bank.ba()[1], [a, a])
    assert mnn.FilterBank.from_ba([1, 2], [2, 1]).ba()[0].tolist() == [[0.5, 1.0]]


def test_gradients_stay_finite_near_the_unit_circle_after_long_training():
    torch.manual_seed(0)
    angles = np.linspace(0.05, 3.0, 8)
    a1, a2 = with_poles(0.99999, angles)
    a = np.stack([np.ones(8), -a1, np.full(8, -a2)], -1)
    bank = mnn.FilterBank.from_ba(np.ones((1, 1)), a)
    x = torch.randn(2, 512)
    step = torch.optim.Adam(bank.parameters(), lr=0.05)
    for _ in range(60):
        y, _ = bank(x)
        step.zero_grad()
        # more energy is always better: training pushes the poles outwards
        (-y.square().mean().log()).backward()
        assert all(torch.isfinite(weight.grad).all() for weight in bank.parameters())
        step.step()
    assert all(is_stable(taps) for taps in bank.coefficients()[1].tolist())
    assert torch.isfinite(bank(x)[0]).all()


def test_weights_far_beyond_the_bound_can_come_back():
    bank = mnn.FilterBank(2, order=2)
    torch.nn.init.constant_(bank.reflection_weight, 50.0)
    bank.coefficients()[1].sum().backward()
    assert (bank.reflection_weight.grad != 0).all()


@pytest.mark.parametrize("order", [1, 2, 4])
def test_gradients_of_the_weights(order):
    torch.manual_seed(1)
    bank = mnn.FilterBank(3, order=order, dtype=torch.float64)
    x = torch.randn(2, 12, dtype=torch.float64)

    def filtered(feedforward, reflection_weight):
        weights = {"feedforward": feedforward, "reflection_weight": reflection_weight}
        return torch.func.functional_call(bank, weights, (x,))[0]

    weights = [weight.detach().requires_grad_() for weight in (bank.feedforward, bank.reflection_weight)]
    assert torch.autograd.gradcheck(filtered, weights)


def test_learns_a_filter():
    torch.manual_seed(0)
    x = torch.randn(4, 200, dtype=torch.float64)
    target = torch.from_numpy(scipy.signal.lfilter(*scipy.signal.butter(2, 0.3), x.numpy()))[:, None]
    bank = mnn.FilterBank(1, dtype=torch.float64)
    step = torch.optim.Adam(bank.parameters(), lr=0.05)
    for _ in range(150):
        loss = torch.nn.functional.mse_loss(bank(x)[0], target)
        step.zero_grad()
        loss.backward()
        step.step()
    assert loss < 0.01 * target.square().mean()


def test_fresh_filters_keep_the_power_of_noise_and_differ():
    torch.manual_seed(0)
    bank = mnn.FilterBank(16)
    y, _ = bank(torch.randn(4, 4000))
    power = y.square().mean((0, 2))
    assert ((power > 0.5) & (power < 2.0)).all()
    assert len(bank.reflection_weight.unique()) == 32


def test_state_dict_deepcopy_and_pickle():
    bank = mnn.FilterBank(3, order=4, layout="BTC")
    x = torch.randn(2, 20)
    other = mnn.FilterBank(3, order=4, layout="BTC")
    other.load_state_dict(bank.state_dict())
    for twin in (other, copy.deepcopy(bank), pickle.loads(pickle.dumps(bank))):
        torch.testing.assert_close(twin(x)[0], bank(x)[0], rtol=0, atol=0)
        assert repr(twin) == repr(bank)
    assert sorted(bank.state_dict()) == ["feedforward", "reflection_weight"]


def test_changes_of_precision():
    bank = mnn.FilterBank.from_ba(*BANDPASS)
    before = bank.ba()[1]
    np.testing.assert_allclose(bank.double().ba()[1], before, rtol=1e-6)
    assert bank.coefficients()[1].dtype == torch.float64
    half = mnn.FilterBank(2).to(torch.bfloat16)
    assert {part.dtype for part in half.coefficients()} == {torch.float32}
    assert half(torch.randn(2, 10).bfloat16())[0].dtype == torch.bfloat16


@pytest.mark.long
def test_compiles_whole_with_gradients():
    bank = mnn.FilterBank(3, order=3)
    x = torch.randn(2, 20)
    compiled = torch.compile(bank, backend="aot_eager", fullgraph=True, dynamic=True)
    y, state = bank(x)
    y_compiled, state_compiled = compiled(x)
    torch.testing.assert_close(y_compiled, y)
    expected = torch.autograd.grad(y.square().sum(), list(bank.parameters()))
    got = torch.autograd.grad(y_compiled.square().sum(), list(bank.parameters()))
    torch.testing.assert_close(got, expected)
    block = torch.randn(2, 33)
    torch.testing.assert_close(compiled(block, state_compiled)[0], bank(block, state)[0])


def test_repr_names_what_is_unusual():
    assert repr(mnn.FilterBank(3)) == "FilterBank(3, order=2)"
    unusual = mnn.FilterBank(3, order=1, input_order=0, layout="TBC", reverse=True, backend="reference")
    assert repr(unusual) == ("FilterBank(3, order=1, input_order=0, layout='TBC', reverse=True, backend='reference')")


@pytest.mark.parametrize(
    ("b", "a", "error", "says"),
    [
        ([[1.0]], [[1.0, -1.1]], ArgumentError, "unstable in filter 0: poles reach radius 1.1"),
        ([[1.0]], [[1.0, -1.0]], ArgumentError, "unstable"),
        ([[1.0]], [[1.0, 0.5], [1.0, -2.0]], ArgumentError, "unstable in filter 1"),
        ([[1.0]], [[0.0, 1.0]], ArgumentError, "is 0"),
        ([[np.nan]], [[1.0, 0.5]], ArgumentError, "b is not finite in filter 0"),
        (np.ones((2, 1)), np.ones((3, 1)), ShapeError, r"b has shape \(2, 1\) and a has shape \(3, 1\)"),
        (np.ones((1, 1, 1)), [[1.0]], ShapeError, "b of a FilterBank"),
        ([[1j]], [[1.0]], ShapeError, "real"),
        ([[1.0, 0.5], [1.0]], [[1.0]], ShapeError, "b is no array: its rows differ in length"),
        (torch.ones(1, 1, requires_grad=True), [[1.0]], ArgumentError, r"b requires a gradient.*Pass b\.detach\(\)"),
    ],
)
def test_designs_that_cannot_be_held(b, a, error, says):
    with pytest.raises(error, match=says):
        mnn.FilterBank.from_ba(b, a)


def test_sizes_and_designs_of_other_libraries():
    bank = mnn.FilterBank(np.int64(3), order=np.int8(2), input_order=np.int32(1))
    assert [type(size) for size in (bank.channels, bank.order, bank.input_order)] == [int] * 3
    assert bank(torch.randn(2, 10))[0].shape == (2, 3, 10)
    design = torch.tensor([[1.0, -0.5]])
    assert torch.equal(torch.tensor(mnn.FilterBank.from_ba(design, design).ba()[1]).float(), design)


def test_a_design_that_float32_cannot_hold():
    b, a = scipy.signal.gammatone(100, "iir", fs=16000)
    with pytest.raises(ArgumentError, match=r"not when rounded to torch.float32.*float64"):
        mnn.FilterBank.from_ba(b, a, dtype=torch.float32)
    mnn.FilterBank.from_ba(b, a, dtype=torch.float64)


def test_bad_arguments():
    with pytest.raises(ArgumentError, match="channels is a whole number of at least 1, got 0"):
        mnn.FilterBank(0)
    with pytest.raises(ArgumentError, match="order is a whole number"):
        mnn.FilterBank(2, order=-1)
    for size in (2.0, True, "2", None):
        with pytest.raises(ArgumentError, match="channels is a whole number of at least 1"):
            mnn.FilterBank(size)
    for dtype in (torch.complex64, torch.int32, torch.float8_e5m2):
        with pytest.raises(DtypeError, match=rf"weights of a FilterBank are torch\.float16, .* got dtype={dtype}"):
            mnn.FilterBank(2, dtype=dtype)
    with pytest.raises(ArgumentError, match="unknown layout"):
        mnn.FilterBank(2, layout="CBT")
    with pytest.raises(ArgumentError, match="reverse"):
        mnn.FilterBank(2, reverse="yes")
    with pytest.raises(UnknownBackendError, match="reference"):
        mnn.FilterBank(2, backend="referense")
    with pytest.raises(ShapeError, match=r"4 channels takes 1 or 4 input channels.*with 3"):
        mnn.FilterBank(4)(torch.randn(2, 3, 10))
    with pytest.raises(ShapeError, match=r"got a scalar\. For one sample use step"):
        mnn.FilterBank(4)(torch.tensor(1.0))
    with pytest.raises(FamilyError, match=r"takes a torch tensor, got numpy.ndarray"):
        mnn.FilterBank(4)(np.zeros((2, 10)))


def test_a_sample_rate_is_no_order():
    with pytest.raises(TypeError, match="positional"):
        mnn.FilterBank(128, 16000)
    for make in (lambda: mnn.FilterBank(128, order=16000), lambda: mnn.RecurrenceLayer(2, 3, order=16000)):
        with pytest.raises(ArgumentError, match=r"order is at most 256, got 16000.*BandpassBank takes one"):
            make()
    assert mnn.FilterBank(1, order=256)(torch.randn(2, 20))[0].isfinite().all()
    assert mnn.FilterBank(1, order=0, input_order=1000)(torch.randn(2, 20))[0].shape == (2, 1, 20)


@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
def test_one_filter_serves_all_channels(layout):
    bank = mnn.FilterBank(1, layout=layout, dtype=torch.float64)
    order = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}[layout]
    dense = torch.randn(2, 3, 20, dtype=torch.float64)
    x = dense.permute(order)
    y, state = bank(x)
    (b,), (a,) = bank.ba()
    torch.testing.assert_close(y, torch.from_numpy(scipy.signal.lfilter(b, a, dense)).permute(order))
    zeros = bank.init_state(x)
    assert [part.shape for part in zeros] == [part.shape for part in state]
    torch.testing.assert_close(bank(x, zeros)[0], y)
    y.sum().backward()
    assert bank.feedforward.grad.shape == (1, 3)


@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
def test_a_signal_of_one_axis(layout):
    bank = mnn.FilterBank(3, layout=layout, dtype=torch.float64)
    x = torch.randn(20, dtype=torch.float64)
    y, state = bank(x)
    expected, _ = bank(x[:, None] if layout == "TBC" else x[None])
    torch.testing.assert_close(y, expected.squeeze(1 if layout == "TBC" else 0))
    assert y.shape == ((3, 20) if layout == "BCT" else (20, 3))
    torch.testing.assert_close(torch.cat([bank(x[:8])[0], bank(x[8:], bank(x[:8])[1])[0]], y.shape.index(20)), y)
    assert state.outputs.ndim == 2


def test_a_signal_of_one_axis_as_long_as_its_taps():
    bank = mnn.FilterBank(3, dtype=torch.float64)
    x = torch.randn(3, dtype=torch.float64)
    torch.testing.assert_close(bank(x)[0], bank(x[None])[0][0])


def test_fir_designs_with_a_number_below():
    taps = scipy.signal.firwin(9, 0.3)
    bank = mnn.FilterBank.from_ba(taps, 1.0)
    assert (bank.order, bank.input_order) == (0, 8)
    np.testing.assert_allclose(bank.ba()[0], taps[None], rtol=1e-6)


def test_a_wider_computation_does_not_widen_weights():
    b, a = scipy.signal.butter(4, 0.5, "high", fs=500)
    remedy = r"dtype=torch\.float64 together with compute_dtype='float64'"
    with pytest.raises(ArgumentError, match=r"not when rounded to torch\.float32.*" + remedy):
        mnn.FilterBank.from_ba(b, a)
    with pytest.raises(ArgumentError, match=r"weights of torch\.float32 change its response.*" + remedy):
        mnn.FilterBank.from_ba(b, a, compute_dtype="float64")
    bank = mnn.FilterBank.from_ba(b, a, dtype=torch.float64, compute_dtype="float64")
    noise = torch.randn(1, 1, 5000)
    expected = scipy.signal.lfilter(b, a, noise.double().numpy())
    np.testing.assert_allclose(bank(noise)[0].detach(), expected, atol=1e-4)
    mnn.FilterBank.from_ba(*scipy.signal.butter(2, 0.1, "high", fs=16000), compute_dtype="float64")


def test_designs_that_overflow_raise_no_bare_error():
    infinite = r"b divided by a\[:, 0\] is not finite in filter 0"
    with np.errstate(all="raise"), pytest.raises(ArgumentError, match=infinite):
        mnn.FilterBank.from_ba([1e300, 0], [1e-300, 1e-301])
    with np.errstate(all="raise"), pytest.raises(ArgumentError, match="unstable"):
        mnn.FilterBank.from_ba([1.0], [1e-300, 1e-10, 1.0])
    with np.errstate(all="raise"):
        mnn.FilterBank.from_ba([1e-320, 1.0], [1.0, 1e-320, 1e-200])
