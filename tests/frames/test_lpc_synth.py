"""`nn.LPCSynth`: what its frames mean, and that it is a recurrence with them."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import multirec as mr
from multirec import nn as mnn
from multirec.errors import ArgumentError, FamilyError, ShapeError


def stepped_up(k: Any) -> np.ndarray:
    """Return a[1..p] of reflection coefficients (p,), by the definition."""
    a = np.ones(1)
    for own in k:
        a = np.append(a, 0.0) + own * np.append(a, 0.0)[::-1]
    return a[1:]


def frames_of(*shape: int) -> torch.Tensor:
    return torch.rand(shape, dtype=torch.float64) * 1.6 - 0.8


@pytest.mark.parametrize("order", [1, 2, 5, 40])
def test_coefficients(order: int) -> None:
    k = frames_of(2, 3, order)
    a = torch.tensor(np.apply_along_axis(stepped_up, -1, k.numpy()))
    for kind, frames in (("reflection", k), ("log_area", 2 * torch.atanh(k)), ("lpc", a)):
        synth = mnn.LPCSynth(order, 8, coefficients=kind)
        torch.testing.assert_close(synth.feedback(frames), -a)
        assert synth.feedback(frames.float()).dtype == torch.float32


def test_gradients_of_reflection_coefficients() -> None:
    synth, x, gain = mnn.LPCSynth(3, 4), torch.randn(1, 9, dtype=torch.float64), frames_of(1, 4)
    k, gain = (frames_of(1, 4, 3).requires_grad_(), gain.requires_grad_())
    assert torch.autograd.gradcheck(lambda k, gain: synth(x, k, gain=gain)[0], (k, gain), fast_mode=True)


@pytest.mark.long
def test_second_derivatives_of_reflection_coefficients() -> None:
    synth, x, gain = mnn.LPCSynth(3, 4), torch.randn(1, 9, dtype=torch.float64), frames_of(1, 4).requires_grad_()
    k = frames_of(1, 4, 3).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda k, gain: synth(x, k, gain=gain)[0], (k, gain), fast_mode=True)


def test_any_number_is_a_log_area_ratio() -> None:
    frames = torch.randn(1, 20, 6) * 1e3
    frames.requires_grad_()
    feedback = mnn.LPCSynth(6, 8, coefficients="log_area").feedback(frames)
    assert feedback.isfinite().all()
    (grad,) = torch.autograd.grad(feedback.sum(), frames)
    assert grad.isfinite().all()


@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
def test_axes(layout: Any) -> None:
    synth = mnn.LPCSynth(2, 4, layout=layout)
    axes = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}[layout]
    x, k, gain = torch.randn(2, 3, 10), frames_of(2, 3, 3, 2).float(), frames_of(2, 3, 3).float()
    y, state = synth(x.permute(axes), k.permute(*axes, 3), gain=gain.permute(axes))
    expected, _ = mr.framed_recurrence(x, feedforward=gain[..., None], feedback=synth.feedback(k), hop=4)
    torch.testing.assert_close(y, expected.permute(axes))
    assert state.outputs.shape == synth.init_state(x.permute(axes)).outputs.shape
    own = [part[:, 1] if layout != "TBC" else part[:, 1].swapaxes(0, 1) for part in (x, k, gain)]
    y, state = synth(own[0], own[1], gain=own[2])
    torch.testing.assert_close(y if layout != "TBC" else y.T, expected[:, 1])
    assert state.outputs.shape == synth.init_state(own[0]).outputs.shape
    alone, state = synth(x[0, 1], k[0, 1], gain=gain[0, 1])
    torch.testing.assert_close(alone, expected[0, 1])
    again, _ = synth(x[0, 1], k[0, 1], synth.init_state(x[0, 1]), gain=gain[0, 1])
    assert torch.equal(again, alone)


def test_one_excitation_and_many_channels() -> None:
    synth, x, k = mnn.LPCSynth(2, 4), torch.randn(2, 1, 10), frames_of(1, 3, 3, 2).float()
    y, _ = synth(x, k)
    assert y.shape == (2, 3, 10)
    torch.testing.assert_close(y[:, 1], synth(x[:, 0], k[:, 1])[0])


@pytest.mark.parametrize("kind", ["reflection", "log_area"])
def test_subframes(kind: Any) -> None:
    synth, x = mnn.LPCSynth(3, 8, coefficients=kind, subframes=4), torch.randn(2, 30, dtype=torch.float64)
    k, gain = frames_of(2, 5, 3), frames_of(2, 5)
    places = torch.arange(20) / 4
    first, rest = places.long(), (places % 1)[:, None]
    after = (first + 1).clamp(max=4)
    fine = k[:, first] + rest * (k[:, after] - k[:, first])
    fine_gain = gain[:, first] + rest[:, 0] * (gain[:, after] - gain[:, first])
    plain = mnn.LPCSynth(3, 2, coefficients=kind)
    expected, _ = plain(x, fine[:, :16], gain=fine_gain[:, :16])
    y, _ = synth(x, k, gain=gain)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(synth(x, k[:, :4])[0][:, :24], synth(x, k)[0][:, :24])
    start, state = synth(x[:, :13], k[:, :3], gain=gain[:, :3])
    end, _ = synth(x[:, 13:], k[:, 1:], state, gain=gain[:, 1:], offset=5)
    torch.testing.assert_close(torch.cat([start, end], -1), y)


def radius(a: np.ndarray) -> float:
    return float(np.abs(np.roots(np.append(1.0, a))).max())


def test_subframes_are_nearer_to_filters_that_are_stable() -> None:
    low, high = -np.poly([0.9] * 3)[1:], -np.poly([-0.9] * 3)[1:]
    assert radius(-(low + high) / 2) > 1.5
    synth = mnn.LPCSynth(3, 64, coefficients="lpc")
    x = torch.zeros(1, 640, dtype=torch.float64)
    x[:, 0] = 1
    frames = torch.tensor(np.stack([-low, -high] * 5)[None])
    assert synth(x, frames)[0].abs().max() > 1e6
    k = mr.nn._weights.stable.reflection_of(torch.tensor(np.stack([low, high])).T).T.repeat(5, 1)[None]
    torch.testing.assert_close(-mnn.LPCSynth(3, 64).feedback(k), frames)
    assert mnn.LPCSynth(3, 64, subframes=16)(x, k)[0].abs().max() < 1e3


def test_it_is_a_module() -> None:
    synth = mnn.LPCSynth(4, 8, coefficients="log_area", interpolation="hold", backend="numba")
    assert repr(synth) == "LPCSynth(4, hop=8, coefficients='log_area', interpolation='hold', backend='numba')"
    x, k = torch.randn(2, 20), torch.randn(2, synth.frames_needed(20), 4)
    y, state = synth(x, k)
    for other in (copy.deepcopy(synth), pickle.loads(pickle.dumps(synth))):
        assert torch.equal(other(x, k)[0], y)
    rest, _ = synth(x, k, state.detach())
    assert not torch.equal(rest, y)
    half, state = synth(x.bfloat16(), k.bfloat16())
    assert (half.dtype, state.outputs.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(half.float(), y, rtol=0.1, atol=0.1)


X, K = torch.zeros(2, 100), torch.zeros(2, 10, 4)


@pytest.mark.parametrize(
    ("given", "kwargs", "error", "words"),
    [
        ({}, {"frames": K[:, :, :3]}, ShapeError, "order 4 takes frames with 4 numbers"),
        ({}, {"frames": K[0]}, ShapeError, "frames has shape .* rank 3"),
        ({}, {"frames": K[:, :8]}, ShapeError, "8 frames: 100 samples with a hop of 10 take 10"),
        ({"subframes": 5}, {"frames": K[:, :8]}, ShapeError, "8 frames: 100 samples with a hop of 10 take 10"),
        ({"subframes": 5}, {"frames": K, "gain": K[..., 0][:, :7]}, ShapeError, "gain has shape .* 7 frames"),
        ({}, {"frames": K, "gain": K}, ShapeError, "gain has shape .* rank 2"),
        ({}, {"frames": K.numpy()}, FamilyError, "takes a torch tensor"),
        ({}, {"x": torch.tensor(1.0), "frames": K}, ShapeError, "got a scalar"),
        ({}, {"frames": K, "state": mr.State(None, torch.zeros(2, 1, 3))}, ShapeError, "state.outputs has shape"),
        ({"order": 0}, {}, ArgumentError, "order is a whole number of at least 1"),
        ({"order": 1000}, {}, ArgumentError, "at most 256"),
        ({"hop": 0}, {}, ArgumentError, "hop"),
        ({"coefficients": "lsf"}, {}, ArgumentError, "'reflection', 'log_area', 'lpc', got 'lsf'"),
        ({"interpolation": "cubic"}, {}, ArgumentError, "'linear' or 'hold'"),
        ({"subframes": 3}, {}, ArgumentError, "subframes divides hop=10, got 3"),
        ({"subframes": 5, "coefficients": "lpc"}, {}, ArgumentError, "it would change nothing"),
        ({"subframes": 5, "interpolation": "hold"}, {}, ArgumentError, "it would change nothing"),
        ({"layout": "CBT"}, {}, ArgumentError, "unknown layout"),
        ({"backend": "nubma"}, {}, ValueError, "Did you mean 'numba'"),
    ],
)
def test_bad_input(given: Any, kwargs: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        mnn.LPCSynth(**({"order": 4, "hop": 10} | given))(**({"x": X} | kwargs))
