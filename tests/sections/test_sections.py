"""Sections with SciPy's memory: by a kernel of one pass and by recurrences, one meaning."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy import signal

from multirec._core.validate import Choices
from multirec._sections import cascade, filtered, has_one_pass
from multirec.errors import ArgumentError, DtypeError, FamilyError, RoundingWarning, ShapeError

RNG = np.random.default_rng(11)
BACKENDS = ["numba", "torch_loop"]
TO_LAYOUT = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}
FROM_LAYOUT = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (1, 2, 0)}


def sections(channels: int = 3, count: int = 4) -> np.ndarray:
    designs = [signal.butter(count, [0.1 + 0.1 * c, 0.2 + 0.1 * c], "band", output="sos") for c in range(channels)]
    return np.stack(designs)


def taps_of(sos: np.ndarray) -> np.ndarray:
    return np.concatenate([sos[..., :3], -sos[..., 4:]], axis=-1)


def scipy_run(sos: np.ndarray, x: np.ndarray, zi: np.ndarray, reverse: bool) -> tuple[np.ndarray, np.ndarray]:
    """Filter x (B, Cx, T) by sos (C, S, 6), with zi (B, C, S, 2)."""
    channels = len(sos)
    x = np.broadcast_to(x, (len(x), channels, x.shape[2]))
    x = x[..., ::-1] if reverse else x
    y, zf = np.empty(x.shape), np.array(zi)
    for c in range(channels if x.size else 0):
        y[:, c], after = signal.sosfilt(sos[c], x[:, c], zi=zi[:, c].swapaxes(0, 1))
        zf[:, c] = after.swapaxes(0, 1)
    return (y[..., ::-1] if reverse else y), zf


def test_the_ways_are_those_that_are_meant() -> None:
    x, taps = np.zeros((1, 1, 100)), taps_of(sections())
    for backend, one_pass in (("numba", True), ("auto", True), ("torch_loop", False)):
        for own in (x, torch.from_numpy(x), jnp.asarray(x, "float32")):
            assert has_one_pass((own, taps, None), Choices(backend=backend)) is one_pass
    assert not has_one_pass((jnp.zeros((1, 1, 100)), taps, None), Choices(backend="jax"))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_values_memory_and_ends(backend: str, layout: Any, channels: int, reverse: bool) -> None:
    sos = sections()
    for length in (0, 1, 2, 7, 70):
        x, zi = RNG.standard_normal((2, channels, length)), RNG.standard_normal((2, 3, 4, 2))
        y, memory, ends = cascade(
            x.transpose(TO_LAYOUT[layout]), taps_of(sos), zi, layout=layout, reverse=reverse, backend=backend
        )
        expected, zf = scipy_run(sos, x, zi, reverse)
        np.testing.assert_allclose(y.transpose(FROM_LAYOUT[layout]), expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(memory, zf, rtol=1e-9, atol=1e-9)
        few = min(length, 2)
        last, own = (part[..., ::-1] if reverse else part for part in (expected, ends[:, :, -1]))
        np.testing.assert_allclose(own[..., 2 - few :], last[..., length - few :], rtol=1e-9, atol=1e-9)
        assert not own[..., : 2 - few].any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_per_example_sections_and_several_batch_axes(backend: str) -> None:
    sos = np.stack([sections(), sections()[::-1]])[:, None]
    x, zi = RNG.standard_normal((2, 2, 1, 30)), RNG.standard_normal((2, 2, 3, 4, 2))
    y, memory, ends = cascade(x, taps_of(sos), zi, backend=backend)
    assert ends.shape == (2, 2, 3, 4, 2)
    for i in range(2):
        expected, zf = scipy_run(sos[i, 0], x[i], zi[i], False)
        np.testing.assert_allclose(y[i], expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(memory[i], zf, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_other_types(backend: str, dtype: str) -> None:
    sos, kind = sections(2, 2), getattr(torch, dtype)
    x = torch.randn(2, 1, 90, dtype=torch.complex64 if "complex" in dtype else torch.float32).to(kind)
    for compute in (None, "float64"):
        y, memory, _ = cascade(x, taps_of(sos).astype("float32"), backend=backend, compute_dtype=compute)
        assert y.dtype == kind
        double = torch.complex128 if "complex" in dtype else torch.float64
        own = cascade(x.to(double), taps_of(sos).astype("float32").astype("float64"), backend="reference")
        precise = {"float16": 2e-3, "bfloat16": 1e-2}.get(dtype, 1e-5)
        torch.testing.assert_close(y.to(double), own.y, rtol=precise, atol=precise)
        assert memory.dtype == (double if compute else {"complex64": kind}.get(dtype, torch.float32))
        torch.testing.assert_close(memory.to(double), own.memory, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("shared", "reverse"), [(False, True), (True, False)])
@pytest.mark.parametrize(
    "backend", [pytest.param(name, marks=pytest.mark.long if name == "torch_loop" else ()) for name in BACKENDS]
)
def test_derivatives_of_any_order(backend: str, shared: bool, reverse: bool) -> None:
    taps = torch.tensor(taps_of(sections(2, 2)), requires_grad=True)
    zi = torch.randn(2, 2, 2, 2, dtype=torch.double, requires_grad=True)
    for length in (1, 4):
        x = torch.randn(2, 1 if shared else 2, length, dtype=torch.double, requires_grad=True)

        def run(*arrays: Any) -> Any:
            return cascade(*arrays, backend=backend, reverse=reverse)

        assert torch.autograd.gradcheck(run, (x, taps, zi))
        assert torch.autograd.gradcheck(lambda taps, x=x: run(x.detach(), taps), (taps,))
        assert torch.autograd.gradcheck(lambda x: run(x, taps.detach()), (x,), check_batched_grad=True)


def test_second_derivatives() -> None:
    taps = torch.tensor(taps_of(sections(2, 2)), requires_grad=True)
    x, zi = (torch.randn(*shape, dtype=torch.double, requires_grad=True) for shape in ((1, 1, 5), (1, 2, 2, 2)))
    assert torch.autograd.gradgradcheck(lambda *arrays: cascade(*arrays, backend="numba"), (x, taps, zi))


def test_tensors_made_of_one_another() -> None:
    """Of a second derivative every part counts once."""
    base = torch.randn(3, dtype=torch.double, requires_grad=True)

    def run(base: torch.Tensor) -> torch.Tensor:
        x = (base * base)[None, None].expand(1, 1, 3)
        taps = torch.stack([base[0], base[1], base[2], base[0] * 0.1, base[1] * 0.1])[None, None]
        return cascade(x, taps, backend="numba").y

    assert torch.autograd.gradgradcheck(run, (base,))


def test_transforms_and_compilers_of_torch() -> None:
    x, taps = torch.randn(4, 2, 1, 20, dtype=torch.double), torch.tensor(taps_of(sections(3, 2)))
    whole = cascade(x.reshape(8, 1, 20), taps).y.reshape(4, 2, 3, 20)
    torch.testing.assert_close(torch.func.vmap(lambda x: cascade(x, taps).y)(x), whole)

    def loss(taps: torch.Tensor) -> torch.Tensor:
        return cascade(x[0], taps).y.square().sum()

    leaf = taps.clone().requires_grad_()
    loss(leaf).backward()
    torch.testing.assert_close(torch.func.grad(loss)(taps), leaf.grad)
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    other = taps.clone().requires_grad_()
    compiled(other).backward()
    torch.testing.assert_close(other.grad, leaf.grad)


def test_transforms_of_jax() -> None:
    with jax.enable_x64(True):
        x, taps = jnp.asarray(RNG.standard_normal((2, 1, 20))), jnp.asarray(taps_of(sections(3, 2)))
        zi = jnp.asarray(RNG.standard_normal((2, 3, 2, 2)))

        def loss(x: Any, taps: Any, zi: Any) -> Any:
            y, memory, ends = cascade(x, taps, zi)
            return (y**2).sum() + (memory * ends).sum()

        tensors = [torch.from_numpy(np.array(part)).requires_grad_() for part in (x, taps, zi)]
        y, memory, ends = cascade(*tensors)
        (y.square().sum() + (memory * ends).sum()).backward()
        for found, tensor in zip(jax.jit(jax.grad(loss, (0, 1, 2)))(x, taps, zi), tensors, strict=True):
            np.testing.assert_allclose(found, tensor.grad, rtol=1e-9, atol=1e-9)


def test_out_and_in_place() -> None:
    taps, x = taps_of(sections()), RNG.standard_normal((2, 3, 50))
    expected = cascade(x, taps).y
    for backend in BACKENDS:
        for own in (x.copy(), np.empty((2, 50, 3)).transpose(0, 2, 1)):
            own[...] = x
            assert cascade(own, taps, backend=backend, out=own).y is own
            np.testing.assert_allclose(own, expected, rtol=1e-9, atol=1e-12)
        tensor = torch.from_numpy(x.copy())
        version = tensor._version
        assert cascade(tensor, taps, backend=backend, out=tensor).y is tensor
        assert tensor._version > version
        torch.testing.assert_close(tensor, torch.from_numpy(expected), rtol=1e-9, atol=1e-12)
    leaf = torch.from_numpy(x).requires_grad_()
    with pytest.raises(ArgumentError, match="y needs memory of its own"):
        cascade(leaf, taps, out=torch.empty(2, 3, 50, dtype=torch.double))


def test_rounding_never_spoils_a_section_in_silence() -> None:
    # 1 Hz at 48 kHz: float32 cannot hold such poles
    taps = taps_of(signal.butter(2, 1, "high", fs=48000, output="sos")[None])
    x = RNG.standard_normal((1, 1, 200)).astype("float32")
    expected = cascade(x.astype("float64"), taps).y
    for own in (x, torch.from_numpy(x)):
        np.testing.assert_allclose(cascade(own, taps).y, expected, rtol=1e-6, atol=1e-6)
    with pytest.warns(RoundingWarning, match="filter 0"):
        cascade(jnp.asarray(x), taps)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_filter_of_any_order(backend: str) -> None:
    for p in (0, 1, 3, 5):
        for q in (0, 1, 4):
            if not p + q:
                continue
            b, a = RNG.standard_normal((3, q + 1)), 0.3 * RNG.standard_normal((3, p))
            for length in (0, 1, 4, 20):
                x, zi = RNG.standard_normal((2, 1, length)), RNG.standard_normal((2, 3, max(p, q)))
                y, memory = filtered(x, b, a if p else None, zi, backend=backend)
                for c in range(3 if length else 0):
                    expected, zf = signal.lfilter(b[c], np.r_[1, -a[c]], x[:, 0], zi=zi[:, c])
                    np.testing.assert_allclose(y[:, c], expected, rtol=1e-9, atol=1e-9)
                    np.testing.assert_allclose(memory[:, c], zf, rtol=1e-9, atol=1e-9)


def test_arrays_that_do_not_fit() -> None:
    x, taps = np.zeros((2, 3, 10)), taps_of(sections())
    with pytest.raises(ShapeError, match="they have 3 channels and x has 4"):
        cascade(np.zeros((2, 4, 10)), taps)
    with pytest.raises(ShapeError, match=r"batch axes \(5,\) are not those of x, \(2,\)"):
        cascade(x, np.zeros((5, 3, 4, 5)))
    with pytest.raises(ShapeError, match=r"memory has shape \(2, 3, 3, 2\), expected .* = \(2, 3, 4, 2\)"):
        cascade(x, taps, np.zeros((2, 3, 3, 2)))
    with pytest.raises(DtypeError, match="memory has dtype float32, expected float64"):
        cascade(x, taps, np.zeros((2, 3, 4, 2), "float32"))
    with pytest.raises(FamilyError):
        cascade(x, taps, torch.zeros(2, 3, 4, 2, dtype=torch.float64))
    with pytest.raises(FamilyError):
        cascade(x, torch.from_numpy(taps))
    with pytest.raises(ShapeError, match="for one channel"):
        cascade(np.zeros(10), taps)
