"""Gradients to second order, vmap, jit and compile, and an a0 of 0 that harms its own filter alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import torch

from multirec import signal

RNG = np.random.default_rng(2)
BANK_B, BANK_A = RNG.standard_normal((2, 3)), np.array([[1.2, -0.5, 0.3], [0.8, 0.2, 0.1]])
BANK_SOS = np.stack([scipy.signal.butter(3, edge, output="sos") for edge in (0.2, 0.4)])
SIGNAL = RNG.standard_normal((2, 1, 8))

OF_SIGNALS: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    "lfilter": (signal.lfilter, (BANK_B, BANK_A, SIGNAL)),
    "lfilter along axis 0": (
        lambda b, a, x: signal.lfilter(b, a, x, axis=0),
        (BANK_B[0], BANK_A[0], SIGNAL[:, 0].T),
    ),
    "lfilter with zi": (
        lambda b, a, x, zi: signal.lfilter(b, a, x, zi=zi),
        (BANK_B, BANK_A, SIGNAL, RNG.standard_normal((2, 2, 2))),
    ),
    "sosfilt": (signal.sosfilt, (BANK_SOS, SIGNAL)),
    "sosfilt with zi": (
        lambda sos, x, zi: signal.sosfilt(sos, x, zi=zi),
        (BANK_SOS, SIGNAL, RNG.standard_normal((2, 2, 2, 2))),
    ),
    "filtfilt": (lambda b, a, x: signal.filtfilt(b, a, x, padlen=2), (BANK_B, BANK_A, SIGNAL)),
    "sosfiltfilt": (lambda sos, x: signal.sosfiltfilt(sos, x, padlen=2), (BANK_SOS, SIGNAL)),
    "sosfiltfilt, constant": (
        lambda sos, x: signal.sosfiltfilt(sos, x, padlen=2, padtype="constant"),
        (BANK_SOS, SIGNAL),
    ),
}
SHORT: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    "lfilter_zi": (signal.lfilter_zi, (BANK_B, BANK_A)),
    "sosfilt_zi": (signal.sosfilt_zi, (BANK_SOS,)),
    "lfiltic": (signal.lfiltic, (BANK_B, BANK_A, RNG.standard_normal((2, 2)), RNG.standard_normal((2, 2)))),
    "decimate": (lambda x: signal.decimate(x, 2, n=2), (RNG.standard_normal((1, 12)),)),
    "decimate, FIR": (lambda x: signal.decimate(x, 2, n=4, ftype="fir"), (RNG.standard_normal((1, 12)),)),
    "deconvolve": (signal.deconvolve, (RNG.standard_normal(7), np.array([1.0, 0.5, 0.2]))),
}
ALL = OF_SIGNALS | SHORT


def quick(*names: str) -> list[Any]:
    """Every function, those besides these marked as long."""
    return [name if name in names else pytest.param(name, marks=pytest.mark.long) for name in ALL]


@pytest.fixture
def in_64_bit():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def parts(found: Any) -> tuple[Any, ...]:
    return tuple(found) if isinstance(found, tuple | list) else (found,)


def close(actual: Any, expected: Any, atol: float = 1e-10) -> None:
    for own, other in zip(parts(actual), parts(expected), strict=True):
        np.testing.assert_allclose(np.asarray(own), np.asarray(other), rtol=0, atol=atol)


@pytest.mark.parametrize(
    "name", quick(*(ALL.keys() - {"lfilter along axis 0", "sosfiltfilt, constant", "decimate, FIR"}))
)
def test_gradients_to_second_order_in_torch(name):
    function, arrays = ALL[name]
    tensors = tuple(torch.tensor(array, requires_grad=True) for array in arrays)
    assert torch.autograd.gradcheck(function, tensors, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, tensors, fast_mode=True)


@pytest.mark.parametrize("name", quick("lfilter"))
def test_gradients_to_second_order_in_jax(name, in_64_bit):
    function, arrays = ALL[name]
    weights = [RNG.standard_normal(part.shape) for part in parts(function(*arrays))]
    direction = [RNG.standard_normal(array.shape) for array in arrays]

    def loss(*given):
        return sum((w * part**2).sum() for w, part in zip(weights, parts(function(*given)), strict=True))

    places = tuple(range(len(arrays)))
    along = jax.jit(
        lambda *given: sum((d * g).sum() for d, g in zip(direction, jax.grad(loss, places)(*given), strict=True))
    )
    second = jax.jit(jax.grad(along, places))
    step = 1e-5
    given = [jnp.asarray(array) for array in arrays]
    ahead, behind = ([array + sign * step * d for array, d in zip(given, direction, strict=True)] for sign in (1, -1))
    first = (loss(*ahead) - loss(*behind)) / (2 * step)
    assert float(along(*given)) == pytest.approx(float(first), rel=1e-6)
    expected = (along(*ahead) - along(*behind)) / (2 * step)
    found = sum((d * part).sum() for d, part in zip(direction, second(*given), strict=True))
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("name", quick("lfilter with zi", "sosfiltfilt", "decimate", "deconvolve", "lfiltic"))
def test_jit_is_the_same(name, in_64_bit):
    function, arrays = ALL[name]
    close(jax.jit(function)(*arrays), function(*arrays))


@pytest.mark.parametrize("name", quick("sosfilt", "sosfilt_zi"))
def test_compiled_code_is_the_same(name):
    function, arrays = ALL[name]
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    torch.compiler.reset()
    found = torch.compile(function, backend="aot_eager", fullgraph=True)(*tensors)
    close([part.detach() for part in parts(found)], function(*arrays))


NUMPYS: dict[str, Callable[[Any], Any]] = {
    "lfilter": lambda x: signal.lfilter(BANK_B, BANK_A, x, zi=np.zeros((2, 2, 2)))[0],
    "lists": lambda x: signal.lfilter([1.0, 0.5], [1.0, -0.5], x, axis=0),
    "sosfilt": lambda x: signal.sosfilt(BANK_SOS, x),
    "filtfilt": lambda x: signal.filtfilt(BANK_B, BANK_A, x, padlen=2),
    "sosfiltfilt": lambda x: signal.sosfiltfilt(BANK_SOS, x, padlen=2),
}


@pytest.mark.parametrize(
    "name",
    [
        "lfilter",
        "lists",
        *(pytest.param(name, marks=pytest.mark.long) for name in ["sosfilt", "filtfilt", "sosfiltfilt"]),
    ],
)
def test_numpys_coefficients_in_compiled_code(name, in_64_bit):
    function, x = NUMPYS[name], torch.tensor(SIGNAL)
    torch.compiler.reset()
    close(torch.compile(function, backend="aot_eager", fullgraph=True)(x), function(SIGNAL))
    close(jax.jit(function)(SIGNAL), function(SIGNAL))


@pytest.mark.parametrize("name", ["lfilter", "sosfilt", "filtfilt", "sosfiltfilt"])
def test_vmap_over_signals_and_coefficients(name, in_64_bit):
    function, (*taps, x) = OF_SIGNALS[name]
    expected = function(*taps, x)
    of_signals = torch.func.vmap(lambda x: function(*map(torch.tensor, taps), x))(torch.tensor(x))
    of_filters = torch.func.vmap(lambda *taps: function(*taps, torch.tensor(x[:, 0])), out_dims=1)(
        *map(torch.tensor, taps)
    )
    close((of_signals, of_filters), (expected, expected))
    if name == "lfilter":
        mapped = jax.jit(jax.vmap(lambda *taps: function(*taps, jnp.asarray(x[:, 0])), out_axes=1))
        close(mapped(*taps), expected)


@pytest.mark.parametrize("axis", [1, 2])
def test_vmap_hands_memories_on(axis):
    x, zi = RNG.standard_normal((2, 3, 8, 5, 2)), RNG.standard_normal((2, 3, 2, 5, 2))
    x, zi = (np.moveaxis(part, 2, axis + 1) for part in (x, zi))
    function = partial(signal.lfilter, BANK_B[0], BANK_A[0], axis=axis)
    found = torch.func.vmap(lambda x, zi: function(x, zi=zi))(torch.tensor(x), torch.tensor(zi))
    close(found, [np.stack(part) for part in zip(*map(lambda x, zi: function(x, zi=zi), x, zi), strict=True)])


def test_forward_mode_in_torch():
    function, arrays = OF_SIGNALS["sosfiltfilt"]
    given = tuple(map(torch.tensor, arrays))
    tangents = tuple(torch.ones_like(array) for array in given)
    _, found = torch.func.jvp(function, given, tangents)
    step = 1e-6
    ahead, behind = (function(*(array + sign * step for array in given)) for sign in (1, -1))
    close(found, (ahead - behind) / (2 * step), 1e-5)


@pytest.mark.parametrize("which", ["lfilter", "sosfilt"])
def test_a0_of_one_filter_harms_no_other(which):
    x = torch.tensor(RNG.standard_normal((2, 8)), requires_grad=True)
    if which == "lfilter":
        taps = [
            torch.tensor(part, requires_grad=True) for part in (BANK_B, BANK_A * [[1], [0]] + [[0, 0, 0], [0, 1, 1]])
        ]
        y, alone = signal.lfilter(*taps, x), signal.lfilter(BANK_B[0], BANK_A[0], x[:1])
    else:
        rows = BANK_SOS.copy()
        rows[1, 0, 3] = 0
        taps = [torch.tensor(rows, requires_grad=True)]
        y, alone = signal.sosfilt(*taps, x), signal.sosfilt(BANK_SOS[0], x[:1])
    assert not y[1].isfinite().all()
    close(y[:1].detach(), alone.detach())
    gradients = torch.autograd.grad((y[0] ** 2).sum(), [x, *taps])
    (expected,) = torch.autograd.grad((alone**2).sum(), [x])
    close(gradients[0][0], expected[0])
    assert all(part[0].isfinite().all() for part in gradients)


def test_a0_of_one_filter_harms_no_other_in_jax(in_64_bit):
    a = jnp.asarray(BANK_A).at[1, 0].set(0)
    x = jnp.asarray(RNG.standard_normal((2, 8)))
    gradients = jax.jit(jax.grad(lambda a, x: (signal.lfilter(BANK_B, a, x)[0] ** 2).sum(), (0, 1)))(a, x)
    assert all(bool(jnp.isfinite(part[0]).all()) for part in gradients)
