"""RecurrenceBank: SciPy's conventions, cascades, steps, attributes, pickles."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from scipy import signal

import multirec as mr

RNG = np.random.default_rng(0)


def designs(count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    pairs = [signal.butter(2, 0.1 + 0.2 * index) for index in range(count)]
    return np.stack([b for b, _ in pairs]), np.stack([a for _, a in pairs])


def test_from_ba_equals_scipy() -> None:
    b, a = designs()
    x = RNG.standard_normal((2, 1, 50))
    y, _ = mr.RecurrenceBank.from_ba(3 * b, 3 * a)(x)
    expected = np.stack([signal.lfilter(b[c], a[c], x[:, 0]) for c in range(3)], axis=1)
    np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-13)


def test_from_ba_takes_integers_and_lists() -> None:
    bank = mr.RecurrenceBank.from_ba([2, 0, 4], [2, -1])
    np.testing.assert_array_equal(bank.feedforward, [[1.0, 0.0, 2.0]])
    np.testing.assert_array_equal(bank.feedback, [[0.5]])


def test_from_ba_without_recursion_is_fir() -> None:
    bank = mr.RecurrenceBank.from_ba([1, 1], [2])
    assert bank.feedback is None
    y, state = bank(np.ones((1, 3)))
    np.testing.assert_array_equal(y, [[0.5, 1.0, 1.0]])
    assert state.outputs.shape == (1, 0)


LIBRARIES = [np.asarray, list, torch.tensor, lambda taps: torch.nn.Parameter(torch.tensor(taps))]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("number", [1, 2.0, np.float64(2), np.float32(2), np.int64(2)])
def test_from_ba_takes_numbers_as_one_tap(library: object, number: object) -> None:
    taps = signal.firwin(9, 0.3)
    fir = mr.RecurrenceBank.from_ba(library(taps), number)
    assert (fir.order, fir.feedback) == (0, None)
    np.testing.assert_allclose(fir.ba()[0], taps[None] / float(number))
    all_pole = mr.RecurrenceBank.from_ba(number, library(np.array([2.0, -1.0])))
    np.testing.assert_array_equal(all_pole.ba()[0], [[float(number) / 2]])
    np.testing.assert_array_equal(all_pole.ba()[1], [[1.0, -0.5]])


def test_from_ba_trains_a_number() -> None:
    gain = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    bank = mr.RecurrenceBank.from_ba(torch.ones(1, 3, dtype=torch.float64), gain)
    for _ in range(2):
        bank(torch.ones(1, 1, 9, dtype=torch.float64))[0].sum().backward()
    assert gain.grad < 0
    with torch.no_grad():
        gain.mul_(2)
    assert bank.feedforward[0, 0] == 0.25


def test_from_ba_of_no_numbers() -> None:
    with pytest.raises(mr.errors.ArgumentError, match=r"a\[\.\.\., 0\] is 0"):
        mr.RecurrenceBank.from_ba([1.0, 2.0], 0.0)
    with pytest.raises(mr.errors.DtypeError, match="bool"):
        mr.RecurrenceBank.from_ba([1.0, 2.0], True)
    with pytest.raises(mr.errors.FamilyError, match="a is a numpy array"):
        mr.RecurrenceBank.from_ba(torch.ones(2), np.array(2.0))


@pytest.mark.parametrize("library", [np.asarray, torch.tensor])
def test_ba_goes_back_to_scipy(library: object) -> None:
    b, a = designs()
    bank = mr.RecurrenceBank.from_ba(library(b), library(a))
    for found, given in zip(bank.ba(), (b, a), strict=True):
        np.testing.assert_array_equal(found, given)
    again = mr.RecurrenceBank.from_ba(*bank.ba())
    np.testing.assert_array_equal(again.feedback, -a[:, 1:])
    shared = mr.RecurrenceBank(feedback=-a[:, 1:]).ba()
    np.testing.assert_array_equal(shared[0], np.ones((3, 1)))
    np.testing.assert_array_equal(shared[1], a)
    one, two = mr.RecurrenceBank(feedforward=b[:1], feedback=np.full((2, 3, 1), 0.5j)).ba()
    assert (one.shape, two.shape, two.dtype) == ((2, 3, 3), (2, 3, 2), np.complex128)
    fir = mr.RecurrenceBank(feedforward=b.astype(np.float16)).ba()
    assert (fir[0].dtype, fir[1].shape) == (np.float64, (3, 1))


def test_sos_goes_back_to_scipy() -> None:
    sos = np.stack([signal.butter(4, 0.1 + 0.2 * index, output="sos") for index in range(3)])
    np.testing.assert_array_equal(mr.RecurrenceBank.from_sos(sos).sos(), sos)
    np.testing.assert_array_equal(mr.RecurrenceBank.from_sos(sos[0]).sos(), sos[:1])
    mixed = mr.RecurrenceCascade([mr.RecurrenceBank.from_sos(part).sections[0] for part in (sos, sos[0])])
    assert mixed.sos().shape == (3, 2, 6)
    third = mr.RecurrenceCascade([mr.RecurrenceBank(feedback=np.full((1, 3), 0.1))])
    with pytest.raises(mr.errors.ShapeError, match=r"section 0 .* a of shape \(1, 4\)"):
        third.sos()


@pytest.mark.parametrize("library", [np.array, torch.tensor])
def test_values_that_change_in_place_are_judged_anew(library: object) -> None:
    held, spoiled = [[0.5]], [[1 - 1e-8]]
    double = (np if library is np.array else torch).float64
    taps = library(held, dtype=double)
    bank = mr.RecurrenceBank(feedback=taps)
    x = np.ones((1, 1, 4), np.float32) if library is np.array else torch.ones(1, 1, 4)
    for values, expected in ((held, "float32"), (spoiled, "float64"), (held, "float32")):
        taps[...] = library(values, dtype=double)
        for y, state in (bank(x), bank.step(x[..., 0])):
            assert str(y.dtype).endswith("float32")
            assert str(state.outputs.dtype).endswith(expected)


def test_a_design_that_changes_in_place_is_the_one_of_now() -> None:
    b, a = np.array([[1.0, 0.5]]), np.array([[0.5, -0.25]])
    bank, x = mr.RecurrenceBank(feedforward=b, feedback=a), RNG.standard_normal((2, 1, 9)).astype(np.float32)

    def as_called() -> None:
        expected, _ = mr.recurrence(x, feedforward=b, feedback=a, compute_dtype="float32")
        np.testing.assert_array_equal(bank(x)[0], expected)

    as_called()
    a[0, 0] = 0.25
    as_called()
    b *= 2
    as_called()
    a.shape = 2, 1
    as_called()
    twin = pickle.loads(pickle.dumps(bank))
    np.testing.assert_array_equal(twin(x)[0], bank(x)[0])


def test_from_sos_equals_scipy_and_continues() -> None:
    sos = np.stack([signal.butter(4, 0.1 + 0.2 * index, output="sos") for index in range(3)])
    x = RNG.standard_normal((2, 1, 40))
    cascade = mr.RecurrenceBank.from_sos(sos)
    y, _ = cascade(x)
    expected = np.stack([signal.sosfilt(sos[c], x[:, 0]) for c in range(3)], axis=1)
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-12)
    head, state = cascade(x[..., :17])
    tail, state = cascade(x[..., 17:], state)
    np.testing.assert_allclose(np.concatenate([head, tail], axis=-1), y, rtol=1e-13, atol=1e-14)
    assert len(state) == 2
    assert (cascade.order, cascade.channels) == (4, 3)


def test_from_sos_keeps_gradients() -> None:
    sos = torch.tensor(signal.butter(4, 0.2, output="sos")[None], requires_grad=True)
    mr.RecurrenceBank.from_sos(sos)(torch.randn(1, 1, 20, dtype=torch.float64))[0].sum().backward()
    assert sos.grad.abs().min() > 0


@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
@pytest.mark.parametrize("reverse", [False, True])
def test_step_equals_block(layout: str, reverse: bool) -> None:
    b, a = designs()
    bank = mr.RecurrenceBank.from_ba(b, a, layout=layout, reverse=reverse)
    axis = {"BCT": 2, "BTC": 1, "TBC": 0}[layout]
    shape = {"BCT": (2, 1, 6), "BTC": (2, 6, 1), "TBC": (6, 2, 1)}[layout]
    x = RNG.standard_normal(shape)
    y, last = bank(x)
    state = None
    times = reversed(range(6)) if reverse else range(6)
    for t in times:
        y_t, state = bank.step(np.take(x, t, axis=axis), state)
        np.testing.assert_array_equal(y_t, np.take(y, t, axis=axis))
    np.testing.assert_array_equal(state.outputs, last.outputs)
    np.testing.assert_array_equal(state.inputs, last.inputs)


def test_attributes() -> None:
    b, a = designs()
    bank = mr.RecurrenceBank.from_ba(b, a, layout="TBC", reverse=True, backend="reference")
    assert (bank.order, bank.channels, bank.layout, bank.reverse, bank.backend) == (2, 3, "TBC", True, "reference")
    assert "backend='reference'" in repr(bank)


def test_parameters_are_kept_and_trained() -> None:
    parameter = torch.nn.Parameter(torch.full((2, 1), 0.5))
    bank = mr.RecurrenceBank(feedback=parameter)
    assert bank.feedback is parameter
    bank(torch.ones(1, 1, 4))[0].sum().backward()
    assert parameter.grad.shape == (2, 1)


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_pickle_and_deepcopy_keep_the_name_asked_for(backend: str) -> None:
    b, a = designs()
    bank = mr.RecurrenceBank.from_ba(b, a, backend=backend)
    x = RNG.standard_normal((1, 1, 9))
    expected, _ = bank(x)
    for other in (pickle.loads(pickle.dumps(bank)), copy.deepcopy(bank)):
        assert other.backend == backend
        np.testing.assert_array_equal(other(x)[0], expected)


def test_detach_cuts_the_graph() -> None:
    parameter = torch.nn.Parameter(torch.full((1, 1), 0.5))
    bank = mr.RecurrenceBank(feedback=parameter)
    _, state = bank(torch.ones(1, 1, 4))
    assert state.outputs.requires_grad
    assert not state.detach().outputs.requires_grad
    assert mr.State().detach() == mr.State(None, None)


def test_a_kept_state_does_not_keep_y_alive() -> None:
    y, state = mr.recurrence(np.ones((1, 1, 1000)), feedback=np.array([[0.5]]))
    assert not np.shares_memory(y, state.outputs)
    assert state.outputs.base is None or state.outputs.base.size <= 1


def ba(**options: object) -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(torch.tensor(part, **options) for part in signal.butter(2, 0.2))


@pytest.mark.parametrize("rows", [False, True])
def test_from_ba_normalises_at_each_call(rows: bool) -> None:
    b, a = (torch.nn.Parameter((2 * part)[None] if rows else 2 * part) for part in ba())
    x = torch.randn(1, 1, 30, dtype=torch.float64)
    bank = mr.RecurrenceBank.from_ba(b, a)
    assert (bank.order, bank.channels) == (2, 1)
    optimiser = torch.optim.SGD([b, a], lr=1e-3)
    losses = []
    for _ in range(3):
        optimiser.zero_grad()
        loss = bank(x)[0].square().sum()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] > losses[1] > losses[2]
    expected = signal.lfilter(b.detach().numpy().ravel(), a.detach().numpy().ravel(), x.numpy())
    np.testing.assert_allclose(bank(x)[0].detach(), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 6), (3, 2, 6)])
def test_from_sos_trains_a_parameter(shape: tuple[int, ...]) -> None:
    sos = torch.nn.Parameter(torch.tensor(signal.butter(4, 0.2, output="sos")).expand(shape).clone())
    cascade = mr.RecurrenceBank.from_sos(sos)
    x = torch.randn(2, 1, 30, dtype=torch.float64)
    before = cascade(x)[0].detach()
    for _ in range(2):
        cascade(x)[0].square().mean().backward()
        with torch.no_grad():
            sos -= 0.01 * sos.grad
    after = cascade(x)[0].detach()
    assert not torch.equal(before, after)
    torch.testing.assert_close(after, mr.RecurrenceBank.from_sos(sos.detach())(x)[0])


def test_a_module_may_move_the_parameter_of_a_bank() -> None:
    b, a = ba()
    module = torch.nn.ParameterList([b, a])
    bank = mr.RecurrenceBank.from_ba(*module)
    module.to(torch.float32)
    assert bank(torch.randn(1, 1, 9))[0].dtype == torch.float32
    assert bank.feedback.dtype == torch.float32
    copied = copy.deepcopy(bank)
    torch.testing.assert_close(copied.feedback, bank.feedback)


def test_gradients_of_a_live_bank_are_those_of_its_formula() -> None:
    b, a = ba(requires_grad=True)
    x = torch.randn(1, 1, 12, dtype=torch.float64)
    bank = mr.RecurrenceBank.from_ba(b, a)
    assert torch.autograd.gradcheck(lambda b, a: mr.RecurrenceBank.from_ba(b, a)(x)[0], (b, a))
    found = torch.autograd.grad(bank(x)[0].sum(), (b, a))
    scaled = (b / a[0])[None], (-a[1:] / a[0])[None]
    expected = torch.autograd.grad(mr.recurrence(x, feedforward=scaled[0], feedback=scaled[1])[0].sum(), (b, a))
    torch.testing.assert_close(found, expected)


def test_a_numpy_design_is_prepared_once() -> None:
    b, a = designs()
    bank = mr.RecurrenceBank.from_ba(b, a)
    assert bank.feedback is bank.feedback


@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("library", [np.asarray, torch.tensor])
def test_a_bank_filters_blocks_of_the_shape_of_its_taps(layout: str, batch: tuple[int, ...], library: object) -> None:
    feedback = np.full((*batch, 3, 3), 0.1) + 0.1 * np.eye(3)
    x = RNG.standard_normal((*batch, 3, 9))
    to = {"BCT": lambda v: v, "BTC": lambda v: np.moveaxis(v, -1, -2), "TBC": lambda v: np.moveaxis(v, -1, 0)}[layout]
    bank = mr.RecurrenceBank(feedforward=library(feedback), feedback=library(feedback), layout=layout)
    whole, _ = bank(library(to(x)))
    parts, state = [], None
    for start in (0, 3, 6):
        y, state = bank(library(to(x[..., start : start + 3])), state)
        parts.append(y)
    axis = {"BCT": -1, "BTC": -2, "TBC": 0}[layout]
    np.testing.assert_allclose(np.concatenate([np.asarray(part) for part in parts], axis), whole, rtol=1e-13)


@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
@pytest.mark.parametrize("examples", [1, 2])
def test_a_bank_filters_blocks_as_long_as_its_taps(layout: str, examples: int) -> None:
    feedback = np.full((examples, 2, 3), 0.1)
    x = np.moveaxis(RNG.standard_normal((2, 1, 3)), (0, 1, 2), tuple(map(layout.index, "BCT")))
    y, _ = mr.RecurrenceBank(feedback=feedback, layout=layout)(x)
    expected, _ = mr.recurrence(x, feedback=feedback[0], layout=layout)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
@pytest.mark.parametrize("kind", ["bank", "cascade"])
def test_errors_of_step_have_the_shapes_of_samples(kind: str, layout: Any) -> None:
    sos = np.array([[1, 0.5, 0, 1, -0.5, 0.1]]) * np.ones((8, 1, 1))
    filters = mr.RecurrenceBank.from_sos(sos, layout=layout)
    filters = filters if kind == "cascade" else filters.sections[0]
    with pytest.raises(mr.errors.ShapeError, match=r"^step takes x of shape \(2, 7\) as a block of one sample"):
        filters.step(np.ones((2, 7)))
    with pytest.raises(mr.errors.ShapeError, match=r"x of shape \(2, 8\) and out of shape \(2, 7\) as a block"):
        filters.step(np.ones((2, 8)), out=np.ones((2, 7)))
    with pytest.raises(mr.errors.ShapeError, match="step takes out of shape"):
        filters.step(np.ones((2, 8)), out=np.ones(()))


def test_a_cascade_of_nothing() -> None:
    with pytest.raises(mr.errors.ArgumentError, match="at least one section"):
        mr.RecurrenceCascade([])
