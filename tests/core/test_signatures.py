"""What is remembered of calls by their signature: never stale, bounded, for any number of threads."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

import multirec as mr
from multirec._engine import call
from multirec._engine.table import Table
from multirec.backend import BackendInfo

RNG = np.random.default_rng(0)
LIMIT = call._launchers._limit


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    call._launchers.forget()
    yield
    call._launchers.forget()


def filtered(x: Any, a: Any = 0.5, **choices: Any) -> Any:
    """Compute y of one-pole filters by the definition."""
    y, last = np.array(x, float), 0.0
    for t in range(y.shape[-1]):
        last = y[..., t] = y[..., t] + a * last
    return y


def test_thousands_of_shapes_are_bounded_and_right() -> None:
    a = np.full((1, 1), 0.5)
    for length in range(1, 3001):
        x = np.full((1, length), 1.0)
        y, _ = mr.recurrence(x, feedback=a)
        assert y.shape == x.shape
        assert y[0, -1] == pytest.approx(2 - 0.5 ** (length - 1))
    assert len(call._launchers) == LIMIT


def test_sixteen_threads() -> None:
    a = np.array([[0.5], [0.25]])
    gate = threading.Barrier(16)

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        gate.wait()
        for _ in range(300):
            x = rng.standard_normal((1, 2, int(rng.integers(1, 200))))
            y, _ = mr.recurrence(x, feedback=a)
            np.testing.assert_allclose(y, filtered(x, np.array([0.5, 0.25])), atol=1e-12)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert 0 < len(call._launchers) <= LIMIT


def test_what_is_forgotten_while_it_is_worked_out_is_not_kept() -> None:
    table: Table[str] = Table()

    def work_out() -> str:
        table.forget()
        return "of a backend that is gone"

    assert table.find("key", work_out) == "of a backend that is gone"
    assert table.get("key") is None
    assert table.find("key", lambda: "of today") == table.get("key") == "of today"


def test_the_oldest_makes_room() -> None:
    table: Table[int] = Table(limit=2)
    for key in "abc":
        table.find(key, lambda key=key: ord(key))
    assert [table.get(key) for key in "abc"] == [None, ord("b"), ord("c")]


def test_no_array_is_held() -> None:
    def called() -> list[Any]:
        x, a = np.ones((1, 50)), np.full((1, 1), 0.5)
        tensor = torch.ones(1, 50, requires_grad=True)
        mr.recurrence(x, feedback=a)
        mr.recurrence(tensor, feedback=torch.full((1, 1), 0.5))[0].sum().backward()
        return [weakref.ref(x), weakref.ref(a), weakref.ref(tensor)]

    held = called()
    assert len(call._launchers) == 2
    gc.collect()
    assert [ref() for ref in held] == [None] * 3


class TestTensorsThatChange:
    A = torch.full((2, 1), 0.5)

    def check(self, x: torch.Tensor) -> None:
        y, state = mr.recurrence(x, feedback=self.A.to(x.dtype))
        assert y.dtype == x.dtype
        torch.testing.assert_close(y.detach().double(), torch.from_numpy(filtered(x.detach().numpy())))
        assert state.outputs.shape == (*x.shape[:-1], 1)

    def test_resized(self) -> None:
        x = torch.randn(1, 2, 30)
        self.check(x)
        x.resize_(1, 2, 12)
        self.check(x)
        x.set_(torch.randn(3, 2, 7))
        self.check(x)

    def test_moved(self) -> None:
        x = torch.randn(1, 2, 30)
        self.check(x)
        self.check(x.to(torch.float64))
        x.data = torch.randn(4, 2, 5, dtype=torch.float64)
        self.check(x)
        assert mr.recurrence(x.to("meta"), feedback=self.A.double().to("meta"))[0].is_meta

    def test_strides(self) -> None:
        x = torch.randn(1, 2, 30)
        for view in (x, x.flip(-1), x[..., ::2], x.as_strided((1, 2, 15), (60, 30, 2)), x.expand(3, 2, 30)):
            self.check(view)

    def test_one_sample_backwards(self) -> None:
        # an axis of one sample, reversed, has a negative stride in an array that is contiguous
        x, a = torch.ones(2, 1, 3, dtype=torch.float64), torch.full((2, 1, 3, 1), 0.5, dtype=torch.float64)
        a.requires_grad_()
        state = mr.State(None, torch.full((2, 1, 3), 3.0, dtype=torch.float64))
        y, _ = mr.recurrence(x, feedback=a, state=state, layout="BTC", reverse=True, backend="reference")
        y.sum().backward()
        torch.testing.assert_close(a.grad, torch.full_like(a, 3.0))

    def test_gradients_that_come_and_go(self) -> None:
        x = torch.randn(1, 2, 30)
        self.check(x)
        x.requires_grad_()
        y, _ = mr.recurrence(x, feedback=self.A)
        y.sum().backward()
        assert x.grad is not None
        with torch.no_grad():
            assert not mr.recurrence(x, feedback=self.A)[0].requires_grad
        assert not mr.recurrence(x.detach(), feedback=self.A)[0].requires_grad
        assert mr.recurrence(x.detach(), feedback=self.A.clone().requires_grad_())[0].requires_grad

    def test_lazy_bits(self) -> None:
        z = torch.randn(1, 2, 30, dtype=torch.complex64)
        a = self.A.to(torch.complex64)
        for x in (z, z.conj(), z, z.resolve_conj()):
            y, _ = mr.recurrence(x, feedback=a)
            torch.testing.assert_close(y.sum(), mr.recurrence(x.resolve_conj().clone(), feedback=a)[0].sum())
        negative = z.conj().imag
        assert negative.is_neg()
        self.check(negative.contiguous())
        torch.testing.assert_close(
            mr.recurrence(negative, feedback=self.A)[0], mr.recurrence(negative.resolve_neg(), feedback=self.A)[0]
        )

    def test_subclasses(self) -> None:
        class Own(torch.Tensor):
            pass

        plain = torch.randn(1, 2, 30)
        want = mr.recurrence(plain, feedback=self.A)[0]
        got = mr.recurrence(plain.as_subclass(Own), feedback=self.A)[0]
        torch.testing.assert_close(got.as_subclass(torch.Tensor), want)
        got = mr.recurrence(torch.nn.Parameter(plain), feedback=self.A)[0]
        torch.testing.assert_close(got.detach(), want)

    def test_sparse_tensors_are_refused_after_dense_ones(self) -> None:
        dense = torch.ones(1, 2, 30)
        self.check(dense)
        with pytest.raises(mr.errors.DtypeError, match=r"of layout torch\.sparse_coo"):
            mr.recurrence(dense.to_sparse(), feedback=self.A)


class TestArraysThatChange:
    A = np.full((2, 1), 0.5)

    def test_bytes_and_places(self) -> None:
        x = RNG.standard_normal((1, 2, 30))
        raw = np.zeros(x.nbytes + 1, np.uint8)
        odd = raw[1:].view(np.float64).reshape(x.shape)
        odd[...] = x
        for same in (x, x.astype(">f8"), odd, np.asfortranarray(x), x[..., ::-1][..., ::-1], x.copy()):
            np.testing.assert_allclose(mr.recurrence(same, feedback=self.A)[0], filtered(x))

    def test_subclasses(self) -> None:
        x = RNG.standard_normal((1, 2, 30))
        mr.recurrence(x, feedback=self.A)

        class Own(np.ndarray):
            pass

        np.testing.assert_allclose(mr.recurrence(x.view(Own), feedback=self.A)[0], filtered(x))
        for wrong in (np.ma.masked_array(x), x.tolist(), None, "x", 3.0):
            with pytest.raises(mr.errors.FamilyError):
                mr.recurrence(wrong, feedback=self.A)

    def test_choices_that_are_equal_and_not_the_same(self) -> None:
        x = np.ones((1, 2, 30))
        mr.recurrence(x, feedback=self.A, reverse=True)
        with pytest.raises(mr.errors.ArgumentError, match="reverse is True or False, got 1"):
            mr.recurrence(x, feedback=self.A, reverse=1)  # type: ignore[arg-type]

    def test_coefficients_that_are_spoiled_between_calls(self) -> None:
        x, a = np.ones((1, 1, 30), "float32"), np.array([[0.5]])
        assert mr.recurrence(x, feedback=a)[1].outputs.dtype == np.float32
        a[...] = 1 - 1e-9
        assert mr.recurrence(x, feedback=a)[1].outputs.dtype == np.float64
        a[...] = 0.5
        assert mr.recurrence(x, feedback=a)[1].outputs.dtype == np.float32


def test_a_backend_that_goes_and_comes_back_as_another() -> None:
    x, a = np.ones((1, 2, 30), "float32"), np.full((2, 1), 0.5, "float32")

    def info(kernel: str) -> BackendInfo:
        return BackendInfo(name="made_here", summary="made here", kernel=kernel, family="numpy")

    mr.register_backend(info("multirec.reference:kernel"))
    first, _ = mr.recurrence(x, feedback=a, backend="made_here")
    mr.unregister_backend("made_here")
    with pytest.raises(mr.errors.UnknownBackendError):
        mr.recurrence(x, feedback=a, backend="made_here")
    mr.register_backend(info("multirec_nowhere:kernel"))
    with pytest.raises(mr.errors.BackendBrokenError):
        mr.recurrence(x, feedback=a, backend="made_here")
    mr.unregister_backend("made_here")
    np.testing.assert_array_equal(first, mr.recurrence(x, feedback=a)[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
def test_a_forked_child() -> None:
    x, a = np.ones((1, 2, 30)), np.full((2, 1), 0.5)
    want, _ = mr.recurrence(x, feedback=a)
    child = os.fork()
    if not child:
        try:
            same = np.array_equal(mr.recurrence(x, feedback=a)[0], want)
            new = np.array_equal(mr.recurrence(x[..., :11], feedback=a)[0], want[..., :11])
            os._exit(0 if same and new else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    ("shape", "layout"), [((8, 32), "BCT"), ((32, 8), "BTC"), ((2, 3, 8, 32), "BCT"), ((32, 2, 8), "TBC")]
)
def test_errors_have_the_shape_of_the_caller(shape: tuple[int, ...], layout: Any) -> None:
    info = BackendInfo(
        name="doubles", summary="made here", kernel="multirec.reference:kernel", family="numpy", dtypes=("float64",)
    )
    mr.register_backend(info)
    try:
        with pytest.raises(mr.errors.UnsupportedError) as caught:
            mr.recurrence(np.ones(shape, "float32"), feedback=np.ones((8, 1)), layout=layout, backend="doubles")
    finally:
        mr.unregister_backend("doubles")
    assert f"for x of shape {shape}" in str(caught.value)


class TestOneStateForAll:
    @pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
    @pytest.mark.parametrize("backend", ["reference", "numba", "torch_loop", "unfold_scan", "jax"])
    def test_values(self, backend: str, layout: Any) -> None:
        shapes = {"BCT": (4, 3, 20), "BTC": (4, 20, 3), "TBC": (20, 4, 3)}
        ones = {"BCT": (1, 3, 2), "BTC": (1, 2, 3), "TBC": (2, 1, 3)}
        x, past = RNG.standard_normal(shapes[layout]), RNG.standard_normal(ones[layout])
        a = np.array([[0.5, 0.1]] * 3)
        axis = 1 if layout == "TBC" else 0
        choices = {"feedback": a, "layout": layout, "backend": backend}
        want = mr.recurrence(x, state=(None, np.repeat(past, 4, axis)), **choices)
        got = mr.recurrence(x, state=(None, past), **choices)
        np.testing.assert_allclose(got[0], want[0], rtol=1e-12)
        np.testing.assert_allclose(got[1].outputs, want[1].outputs, rtol=1e-12)

    @pytest.mark.parametrize("batch", [(1, 1), (1, 3), (2, 1)])
    @pytest.mark.parametrize("compiled", [False, True])
    def test_a_learnt_one_has_the_sum_of_gradients(self, batch: tuple[int, int], compiled: bool) -> None:
        x = torch.randn(2, 3, 2, 11, dtype=torch.float64)
        h = torch.randn(*batch, 2, 1, dtype=torch.float64, requires_grad=True)
        a = torch.full((2, 1), 0.9, dtype=torch.float64)

        def call(h: torch.Tensor) -> torch.Tensor:
            return mr.recurrence(x, feedback=a, state=(None, h))[0].square().sum()

        own = torch.compile(call, backend="aot_eager", fullgraph=True) if compiled else call
        (got,) = torch.autograd.grad(own(h), h)
        (want,) = torch.autograd.grad(call(h.expand(2, 3, 2, 1)), h)
        torch.testing.assert_close(got, want)
        assert compiled or torch.autograd.gradgradcheck(call, h)

    def test_other_sizes_are_errors(self) -> None:
        x, a = np.ones((4, 3, 20)), np.full((3, 1), 0.5)
        for wrong in ((2, 3, 1), (1, 1, 1), (1, 3, 2), (3, 1)):
            with pytest.raises(mr.errors.ShapeError, match=r"expected \(4, 3, 1\)"):
                mr.recurrence(x, feedback=a, state=(None, np.ones(wrong)))
