"""RecurrenceCascade in one pass: what it gives is what its sections give one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import signal

import multirec as mr
from multirec._filters.one_pass import in_one_pass
from multirec.errors import ArgumentError, DtypeError, FamilyError, ShapeError

RNG = np.random.default_rng(2)
AXES = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}


def sections(channels: int = 3, count: int = 3) -> np.ndarray:
    designs = [signal.butter(count, [0.1 + 0.1 * c, 0.2 + 0.1 * c], "band", output="sos") for c in range(channels)]
    return np.stack(designs)


def one_by_one(cascade: mr.RecurrenceCascade, x: Any, state: Any = None) -> tuple[Any, Any]:
    """Run the sections as a user would who has banks alone."""
    after = []
    for bank, own in zip(cascade.sections, (None,) * len(cascade.sections) if state is None else state, strict=True):
        x, own = bank(x, own)
        after.append(own)
    return x, tuple(after)


def compare(found: Any, expected: Any) -> None:
    for got, own in zip(found, expected, strict=True):
        for part, other in zip(got, own, strict=True):
            assert part.shape == other.shape
            np.testing.assert_allclose(np.asarray(part), np.asarray(other), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
def test_values_and_states_of_any_block(layout: Any, channels: int, reverse: bool) -> None:
    cascade = mr.RecurrenceBank.from_sos(sections(count=6), layout=layout, reverse=reverse)
    state = expected_state = None
    for length in (5, 1, 0, 1, 1, 2, 30):
        x = RNG.standard_normal((2, channels, length)).transpose(AXES[layout])
        assert in_one_pass(cascade.sections, x, (mr.State(),) * 6, None) is not None
        y, state = cascade(x, state)
        expected, expected_state = one_by_one(cascade, x, expected_state)
        np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-10)
        compare(state, expected_state)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_of_few_sections_run_one_by_one_with_states_of_the_same_types(dtype: str) -> None:
    cascade = mr.RecurrenceBank.from_sos(sections())
    x = RNG.standard_normal((2, 3, 9)).astype(dtype)
    assert in_one_pass(cascade.sections, x[..., :1], (mr.State(),) * 3, None) is None
    whole, last = cascade(x)
    head, state = cascade(x[..., :4])
    middle, state = cascade.step(x[..., 4], state)
    tail, state = cascade(x[..., 5:], state)
    joined = np.concatenate([head, middle[..., None], tail], axis=-1)
    np.testing.assert_allclose(joined, whole, rtol=1e-5, atol=1e-5)
    assert [part.dtype for own in state for part in own] == [part.dtype for own in last for part in own]


def test_a_kept_state_keeps_no_signal() -> None:
    x = RNG.standard_normal((1, 1, 100_000))
    _, state = mr.RecurrenceBank.from_sos(sections())(x)
    for part in (part for own in state for part in own):
        base = part
        while base.base is not None:
            base = base.base
        assert base.nbytes < 10_000


def test_states_that_serve_all_examples_or_are_half_missing() -> None:
    cascade = mr.RecurrenceBank.from_sos(sections())
    x = RNG.standard_normal((4, 3, 20))
    _, state = cascade(x[:1])
    partial = (mr.State(None, state[0].outputs), *state[1:])
    y, after = cascade(x, partial)
    zeros = mr.State(np.zeros((1, 3, 2)), state[0].outputs)
    expected, expected_after = one_by_one(cascade, x, (zeros, *state[1:]))
    np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-10)
    compare(after, expected_after)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_narrow_signals_go_on_without_a_loss(dtype: str) -> None:
    cascade = mr.RecurrenceBank.from_sos(sections())
    x = torch.randn(2, 1, 400).to(getattr(torch, dtype))
    whole, _ = cascade(x)
    head, state = cascade(x[..., :150])
    tail, state = cascade(x[..., 150:], state)
    torch.testing.assert_close(torch.cat([head, tail], -1), whole, rtol=1e-2 if "16" in dtype else 1e-5, atol=1e-5)
    assert state[0].inputs.dtype == x.dtype
    assert state[1].inputs.dtype == torch.float32
    # a bank alone takes such a state, and so does a cascade that runs one by one
    other = mr.RecurrenceBank.from_sos(sections(), backend="torch_loop")
    torch.testing.assert_close(other(x, state)[0], cascade(x, state)[0], rtol=0.1, atol=0.02)


def test_a_design_that_float32_spoils_is_computed_in_float64() -> None:
    sos = np.concatenate([sections(1, 2), signal.butter(2, 1, "high", fs=48000, output="sos")[None]], axis=1)
    cascade = mr.RecurrenceBank.from_sos(sos)
    x = RNG.standard_normal((1, 1, 300)).astype("float32")
    y, state = cascade(x)
    np.testing.assert_allclose(y, cascade(x.astype("float64"))[0], rtol=1e-6, atol=1e-6)
    assert [part.dtype for own in state for part in own][:2] == [np.float32, np.float64]


@pytest.mark.parametrize("live", ["leaf", "parameter", "rows"])
def test_gradients(live: str) -> None:
    sos = torch.tensor(sections(2), requires_grad=live != "parameter")
    if live == "parameter":
        sos = torch.nn.Parameter(sos)
    cascade = mr.RecurrenceBank.from_sos(sos)
    if live == "rows":
        cascade = mr.RecurrenceCascade(
            [mr.RecurrenceBank(feedforward=row[:, :3], feedback=-row[:, 4:]) for row in sos.unbind(1)]
        )
    x = torch.randn(2, 1, 30, dtype=torch.double, requires_grad=True)
    assert in_one_pass(cascade.sections, x, (mr.State(),) * 3, None) is not None

    def gradients(run: Any) -> list[torch.Tensor]:
        _, state = run(x[..., :10], None)
        y, state = run(x[..., 10:], state)
        loss = y.square().sum() + sum((part * part).sum() for own in state for part in own)
        return list(torch.autograd.grad(loss, (x, sos)))

    found = gradients(cascade)
    expected = gradients(lambda x, state: one_by_one(cascade, x, state))
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-9, atol=1e-9)


def test_states_that_do_not_fit_are_errors_of_their_section() -> None:
    cascade = mr.RecurrenceBank.from_sos(sections())
    x = np.zeros((2, 3, 10))
    _, state = cascade(x)
    with pytest.raises(ShapeError, match=r"state.outputs has shape \(2, 2, 2\), expected \(2, 3, 2\)"):
        cascade(x, (state[0], mr.State(None, np.zeros((2, 2, 2))), state[2]))
    with pytest.raises(ShapeError, match=r"state.inputs has shape \(2, 3, 2\), expected \(2, 1, 2\)"):
        cascade(x[:, :1], state)


def test_states_of_other_types_are_errors_in_one_pass_too() -> None:
    cascade = mr.RecurrenceBank.from_sos(sections())
    x = np.zeros((2, 3, 10), "float32")
    _, state = cascade(x)
    for dtype in ("int32", "float16", "complex64"):
        with pytest.raises(DtypeError, match=rf"state.outputs has dtype {dtype}, expected float32"):
            cascade(x, (mr.State(None, state[0].outputs.astype(dtype)), *state[1:]))
        with pytest.raises(DtypeError, match=rf"state.inputs has dtype {dtype}, expected float32"):
            cascade(x, (*state[:2], mr.State(state[2].inputs.astype(dtype), None)))
    with pytest.raises(FamilyError, match=r"state.inputs is a builtins.list"):
        cascade(x, (mr.State(state[0].inputs.tolist(), None), *state[1:]))
    for wrong in ((*state[0], None), "ab c", 3):
        with pytest.raises(ArgumentError, match=r"state is a multirec.State\(inputs, outputs\) or None, got"):
            cascade(x, (wrong, *state[1:]))
    plain = tuple(tuple(own) for own in state)
    np.testing.assert_array_equal(cascade(x, plain)[0], cascade(x, state)[0])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 2, 20])
def test_a_state_is_of_the_x_that_out_is_written_over(length: int, reverse: bool) -> None:
    cascade = mr.RecurrenceBank.from_sos(sections(), reverse=reverse)
    _, state = cascade(RNG.standard_normal((2, 3, 9)))
    x = RNG.standard_normal((2, 3, length))
    y, expected = cascade(x, state)
    for own in (x.copy(), torch.from_numpy(x.copy())):
        kind = type(own) if isinstance(own, np.ndarray) else torch.from_numpy
        before = tuple(mr.State(*(part if kind is np.ndarray else kind(part) for part in each)) for each in state)
        found, after = cascade(own, before, out=own)
        np.testing.assert_array_equal(np.asarray(found), y)
        compare(after, expected)


def test_out_may_not_be_a_part_of_a_state() -> None:
    cascade = mr.RecurrenceBank.from_sos(sections())
    x, memory = RNG.standard_normal((2, 3, 10)), np.zeros((2, 3, 12))
    with pytest.raises(ArgumentError, match=r"out shares memory with state.outputs"):
        cascade(x, (mr.State(None, memory[..., 1:3]), mr.State(), mr.State()), out=memory[..., 2:])


def test_a_compiler_runs_sections_of_numpy() -> None:
    cascade = mr.RecurrenceBank.from_sos(sections(3, 2))
    x = torch.randn(2, 1, 30)
    _, state = cascade(x)
    compiled = torch.compile(cascade.__call__, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, state)[0], cascade(x, state)[0], rtol=1e-5, atol=1e-5)


def test_a_section_of_one_filter_before_several_keeps_its_state() -> None:
    one, several = (mr.RecurrenceBank.from_sos(sections(channels, 1)).sections[0] for channels in (1, 3))
    cascade = mr.RecurrenceCascade([one, several, one])
    x = RNG.standard_normal((2, 1, 20))
    y, state = cascade(x)
    expected, expected_state = one_by_one(cascade, x)
    np.testing.assert_array_equal(y, expected)
    compare(state, expected_state)
    x = RNG.standard_normal((2, 3, 20))
    assert in_one_pass(cascade.sections, x, (mr.State(),) * 3, None) is not None


def test_banks_that_are_not_alike_run_one_by_one() -> None:
    b, a = signal.butter(3, 0.2)
    banks = [mr.RecurrenceBank.from_ba(b, a), mr.RecurrenceBank.from_sos(sections(1)).sections[0]]
    cascade = mr.RecurrenceCascade(banks)
    x = RNG.standard_normal((1, 1, 40))
    assert in_one_pass(cascade.sections, x, (mr.State(),) * 2, None) is None
    np.testing.assert_array_equal(cascade(x)[0], one_by_one(cascade, x)[0])


def test_float32_stays_accurate_where_a_polynomial_is_not() -> None:
    edges = 200 * 2 ** (np.arange(12) / 2)
    sos = np.stack([signal.butter(10, [low, 1.4 * low], "band", fs=16000, output="sos") for low in edges if low < 5000])
    x = RNG.standard_normal((1, 1, 4000))
    expected = np.stack([signal.sosfilt(own, x[:, 0]) for own in sos], axis=1)
    peaks = np.abs(expected).max(axis=(0, 2))
    y, _ = mr.RecurrenceBank.from_sos(sos, compute_dtype="float32")(x.astype("float32"))
    assert (np.abs(y - expected).max(axis=(0, 2)) / peaks).max() < 1e-4
    low = np.stack([signal.butter(10, [low, 1.4 * low], "band", fs=16000, output="sos") for low in (20, 50, 100)])
    expected = np.stack([signal.sosfilt(own, x[:, 0].astype("float32").astype("float64")) for own in low], axis=1)
    y, _ = mr.RecurrenceBank.from_sos(low, compute_dtype="float64")(x.astype("float32"))
    peaks = np.abs(expected).max(axis=(0, 2))
    assert (np.abs(y - expected).max(axis=(0, 2)) / peaks).max() < 1e-6
