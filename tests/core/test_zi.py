"""States from SciPy's zi and back: a stream begun in SciPy goes on here, and the other way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import signal

import multirec as mr
from multirec.errors import ArgumentError, DtypeError, FamilyError, ShapeError

RNG = np.random.default_rng(5)
AXES = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}


def filters(kind: str) -> tuple[np.ndarray, np.ndarray]:
    if kind == "fir":
        return RNG.standard_normal((3, 4)), np.ones((3, 1))
    if kind == "more zeros":
        return RNG.standard_normal((3, 4)), np.array([[1.0, -0.5]] * 3)
    if kind == "all-pole":
        return np.ones((3, 1)), np.array([[1.0, -0.5, 0.2, -0.1]] * 3)
    pairs = [signal.butter(3, 0.1 + 0.2 * index) for index in range(3)]
    return np.stack([b for b, _ in pairs]), np.stack([a for _, a in pairs])


def scipy_run(b: Any, a: Any, x: np.ndarray, zi: np.ndarray, reverse: bool) -> tuple[np.ndarray, np.ndarray]:
    """Filter x (B, C, T) channel by channel, with zi (B, C, n)."""
    x = x[..., ::-1] if reverse else x
    found = [signal.lfilter(b[c], a[c], x[:, c], zi=zi[:, c]) for c in range(x.shape[1])]
    y, zf = (np.stack(parts, axis=1) for parts in zip(*found, strict=True))
    return (y[..., ::-1] if reverse else y), zf


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
@pytest.mark.parametrize("kind", ["butter", "fir", "more zeros", "all-pole"])
def test_a_stream_goes_on_here_and_back(kind: str, layout: Any, reverse: bool) -> None:
    b, a = filters(kind)
    bank = mr.RecurrenceBank.from_ba(b, a, layout=layout, reverse=reverse)
    blocks = RNG.standard_normal((3, 2, 3, 9))
    start = RNG.standard_normal((2, 3, max(b.shape[1], a.shape[1]) - 1))
    _, zi = scipy_run(b, a, blocks[0], start, reverse)
    state = bank.state_from_zi(zi.transpose(AXES[layout]))
    y, state = bank(blocks[1].transpose(AXES[layout]), state)
    expected, zi = scipy_run(b, a, blocks[1], zi, reverse)
    np.testing.assert_allclose(y, expected.transpose(AXES[layout]), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(bank.zi_from_state(state), zi.transpose(AXES[layout]), rtol=1e-9, atol=1e-9)


def test_outputs_alone_serve_a_shared_x() -> None:
    b, a = (part[:2] for part in filters("butter"))
    bank = mr.RecurrenceBank.from_ba(b, a)
    zi = np.stack([signal.lfilter_zi(b[c], a[c]) for c in range(2)])[None]
    state = bank.state_from_zi(zi)
    assert state.inputs is None
    y, _ = bank(np.ones((1, 1, 50)), state)
    # a step that has gone on for ever
    np.testing.assert_allclose(y, np.broadcast_to((b.sum(1) / a.sum(1))[:, None], (1, 2, 50)), rtol=1e-8)


def test_it_is_differentiable_and_keeps_the_library() -> None:
    bank = mr.RecurrenceBank.from_ba([1.0, 0.5], [1.0, -0.5])
    zi = torch.ones(2, 1, 1, dtype=torch.float64, requires_grad=True)
    state = bank.state_from_zi(zi)
    bank(torch.zeros(2, 1, 4, dtype=torch.float64), state)[0].sum().backward()
    np.testing.assert_allclose(zi.grad.numpy(), np.full((2, 1, 1), 1.875))
    back = bank.zi_from_state(bank(torch.ones(2, 1, 4))[1])
    assert back.dtype == torch.float32


def test_where_no_history_exists() -> None:
    b, a = np.array([[1.0, 0.5, 0.0], [1.0, 0.5, 0.25]]), np.array([[1.0, -0.5, 0.0], [1.0, -0.5, 0.1]])
    bank = mr.RecurrenceBank.from_ba(b, a)
    with pytest.raises(ArgumentError, match="no past samples leave this zi in filter 0"):
        bank.state_from_zi(np.ones((1, 2, 2)))
    state = bank.state_from_zi(np.array([[[2.0, 0.0], [1.0, 1.0]]]))
    np.testing.assert_allclose(bank.zi_from_state(state), [[[2.0, 0.0], [1.0, 1.0]]], atol=1e-12)
    with pytest.raises(ShapeError, match=r"zi has shape \(1, 2, 3\)"):
        bank.state_from_zi(np.ones((1, 2, 3)))
    with pytest.raises(ArgumentError, match="zeros of any shape"):
        bank.zi_from_state(mr.State())


def test_what_is_not_finite_goes_on_in_its_channel() -> None:
    bank = mr.RecurrenceBank.from_ba(np.ones((3, 2)), np.array([[1.0, -0.5], [1.0, -0.25], [1.0, 0.5]]))
    zi = np.ones((2, 3, 1))
    zi[0, 1], zi[1, 2] = np.nan, np.inf
    y, _ = bank(np.zeros((2, 3, 4)), bank.state_from_zi(zi))
    np.testing.assert_array_equal(np.isfinite(y).all(-1), np.isfinite(zi).all(-1))


def test_zi_that_does_not_fit() -> None:
    bank = mr.RecurrenceBank.from_ba(np.ones((3, 2)), np.full((3, 2), 0.5))
    with pytest.raises(ShapeError, match=r"zi has shape \(2, 1\), .*2 channels, and the bank has filters \(3,\)"):
        bank.state_from_zi(np.ones((2, 1)))
    with pytest.raises(DtypeError, match=r"zi has dtype int64; .* Pass zi.astype\('float32'\)"):
        bank.state_from_zi(np.ones((3, 1), "int64"))
    cascade = mr.RecurrenceBank.from_sos(signal.butter(4, 0.2, output="sos"))
    for own in (bank, cascade):
        with pytest.raises(FamilyError, match=r"zi is a builtins.list"):
            own.state_from_zi([[1.0]])
    with pytest.raises(ShapeError, match=r"zi has shape \(\)"):
        cascade.state_from_zi(np.array(1.0))


@pytest.mark.parametrize("backend", ["numba", "torch_loop"])
def test_cascades_go_on_as_well(backend: str) -> None:
    sos = np.stack([signal.butter(5, [0.1 * c + 0.1, 0.1 * c + 0.2], "band", output="sos") for c in range(2)])
    cascade = mr.RecurrenceBank.from_sos(sos, backend=backend)
    x = RNG.standard_normal((2, 2, 40))
    start = RNG.standard_normal((2, 5, 2, 2))
    y, zf = np.empty_like(x), np.empty_like(start)
    for c in range(2):
        y[:, c], zf[c] = signal.sosfilt(sos[c], x[:, c], zi=start[c])
    zi, after = (np.moveaxis(part, 0, 2) for part in (start, zf))
    state = cascade.state_from_zi(zi)
    found, state = cascade(x, state)
    np.testing.assert_allclose(found, y, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(cascade.zi_from_state(state), after, rtol=1e-9, atol=1e-9)
    with pytest.raises(ShapeError, match="it is \\(sections, …\\) with 5 sections"):
        cascade.state_from_zi(zi[:4])


def test_first_order_sections_have_a_history() -> None:
    sos = signal.butter(3, 0.2, output="sos")
    cascade = mr.RecurrenceBank.from_sos(sos)
    zi = signal.sosfilt_zi(sos)[:, None]
    y, _ = cascade(np.ones((1, 30)), cascade.state_from_zi(zi))
    np.testing.assert_allclose(y, np.ones((1, 30)), rtol=1e-9)


def test_a_section_at_rest_among_others() -> None:
    cascade = mr.RecurrenceBank.from_sos(signal.butter(4, 0.2, output="sos"))
    _, state = cascade(RNG.standard_normal((1, 20)))
    zi = cascade.zi_from_state((mr.State(), state[1]))
    np.testing.assert_array_equal(zi[0], np.zeros((1, 2)))
    np.testing.assert_array_equal(zi[1], cascade.zi_from_state(state)[1])
    with pytest.raises(ArgumentError, match="zeros of any shape"):
        cascade.zi_from_state((mr.State(), mr.State()))
