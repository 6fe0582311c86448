"""`out=`: y in memory that the caller has."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import multirec as mr
from multirec.errors import ArgumentError, DeviceError, DtypeError, FamilyError, MultirecError, ShapeError

RNG = np.random.default_rng(0)
SHAPES = {"BCT": (2, 5, 70), "BTC": (2, 70, 5), "TBC": (70, 2, 5)}
A, B = 0.3 * RNG.standard_normal((5, 2)), RNG.standard_normal((5, 3))
# jax compiles for each layout
BACKENDS = ["reference", "torch_loop", "unfold_scan", "numba", pytest.param("jax", marks=pytest.mark.long)]


def taps(dtype: str) -> dict[str, np.ndarray]:
    return {"feedback": A.astype(dtype), "feedforward": B.astype(dtype)}


def noise(layout: str, dtype: str = "float32") -> np.ndarray:
    return RNG.standard_normal(SHAPES[layout]).astype(dtype)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("layout", SHAPES)
@pytest.mark.parametrize("backend", BACKENDS)
class TestWritten:
    def test_in_new_memory(self, backend: str, layout: str, reverse: bool) -> None:
        x, choices = noise(layout), {"layout": layout, "backend": backend, "reverse": reverse}
        _, state = mr.recurrence(x, **taps("float32"), **choices)
        want = mr.recurrence(x, **taps("float32"), state=state, **choices)
        out = np.full_like(x, np.nan)
        got = mr.recurrence(x, **taps("float32"), state=state, **choices, out=out)
        assert got[0] is out
        for one, other in zip((got[0], *got[1]), (want[0], *want[1]), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_over_x(self, backend: str, layout: str, reverse: bool) -> None:
        x, choices = noise(layout), {"layout": layout, "backend": backend, "reverse": reverse}
        want = mr.recurrence(x, **taps("float32"), **choices)
        got = mr.recurrence(x, **taps("float32"), **choices, out=x)
        assert got[0] is x
        for one, other in zip((got[0], *got[1]), (want[0], *want[1]), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_with_gaps(self, backend: str, layout: str, reverse: bool) -> None:
        x, choices = noise(layout), {"layout": layout, "backend": backend, "reverse": reverse}
        memory = np.full((*x.shape[:-1], 2 * x.shape[-1]), 7, "float32")
        mr.recurrence(x, **taps("float32"), **choices, out=memory[..., ::2])
        np.testing.assert_array_equal(memory[..., ::2], mr.recurrence(x, **taps("float32"), **choices)[0])
        assert np.all(memory[..., 1::2] == 7)

    def test_tensors(self, backend: str, layout: str, reverse: bool) -> None:
        x, choices = torch.from_numpy(noise(layout)), {"layout": layout, "backend": backend, "reverse": reverse}
        want = mr.recurrence(x, **taps("float32"), **choices)[0]
        assert mr.recurrence(x, **taps("float32"), **choices, out=x)[0] is x
        torch.testing.assert_close(x, want, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("length", [1, 3, 300, 20_000, 50_000])
def test_every_size_over_x(length: int, dtype: str) -> None:
    x = RNG.standard_normal((1, 2, length)).astype(dtype)
    a = np.array([[1.6, -0.81], [0.5, 0.2]], "float32" if dtype == "float16" else dtype)
    want, state = mr.recurrence(x, feedback=a)
    got, after = mr.recurrence(x, feedback=a, out=x)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(after.outputs, state.outputs)


@pytest.mark.parametrize("offset", [0, 4, 8, 20])
def test_large_outputs_anywhere_in_memory(offset: int) -> None:
    shape = 4, 32, 80_000
    x = RNG.standard_normal(shape).astype("float32")
    memory = np.zeros(x.nbytes + 64, np.uint8)
    out = np.ndarray(shape, "float32", memory, offset)
    a = np.full((32, 1), 0.5, "float32")
    mr.recurrence(x, feedback=a, out=out)
    np.testing.assert_array_equal(out, mr.recurrence(x, feedback=a)[0])
    assert not memory[:offset].any()
    assert not memory[offset + x.nbytes :].any()


def test_batch_axes_and_half_types() -> None:
    x = torch.randn(2, 3, 4, 50).to(torch.bfloat16)
    a = torch.full((4, 1), 0.5)
    want, state = mr.recurrence(x, feedback=a)
    out = torch.empty_like(x)
    _, after = mr.recurrence(x, feedback=a, out=out)
    assert torch.equal(out, want)
    assert torch.equal(after.outputs, state.outputs)
    # batch axes that do not collapse
    turned = torch.empty(3, 2, 4, 50, dtype=x.dtype).transpose(0, 1)
    mr.recurrence(x, feedback=a, out=turned)
    assert torch.equal(turned, want)


def test_one_dimension_less() -> None:
    x = RNG.standard_normal((4, 30))
    a = np.full((4, 1), 0.5)
    want = mr.recurrence(x, feedback=a)[0]
    assert mr.recurrence(x, feedback=a, out=x)[0] is x
    np.testing.assert_array_equal(x, want)


X32 = np.ones((1, 5, 70), "float32")
WIDE = np.ones((1, 5, 140), "float32")
LOCKED = np.ones((1, 5, 70), "float32")
LOCKED.flags.writeable = False


@pytest.mark.parametrize(
    ("x", "out", "error", "match"),
    [
        (X32, np.ones((1, 5, 71), "float32"), ShapeError, r"out has shape \(1, 5, 71\), expected \(1, 5, 70\)"),
        (X32, np.ones((1, 70, 5), "float32"), ShapeError, r"out has shape \(1, 70, 5\), expected \(1, 5, 70\)"),
        (X32, np.ones((1, 5, 70)), DtypeError, "out has dtype float64, expected float32"),
        (X32, torch.ones(1, 5, 70), FamilyError, "out is a torch array, expected numpy"),
        (X32, [1.0], FamilyError, "out is a builtins.list"),
        (X32, LOCKED, ArgumentError, "out is read-only"),
        (X32, np.ones((1, 5, 70), ">f4"), ArgumentError, "out has its bytes in another order"),
        (X32, np.broadcast_to(np.float32(1), (1, 5, 70)), ArgumentError, "read-only"),
        (WIDE[..., :70], WIDE[..., 1:71], ArgumentError, "out shares memory with x: x itself may be written to"),
        (X32[:, :1], np.ones((1, 5, 70), "float32"), None, ""),
        (torch.ones(1, 5, 70), torch.ones(1, 5, 70, requires_grad=True), ArgumentError, "a gradient"),
        (torch.ones(1, 5, 70), torch.ones(1, 1, 70).expand(1, 5, 70), ArgumentError, "several elements in one place"),
        (torch.ones(1, 5, 70), torch.ones(1, 5, 70, device="meta"), DeviceError, "x is on cpu and out is on meta"),
        (torch.ones(1, 5, 70, requires_grad=True), torch.ones(1, 5, 70), ArgumentError, "a gradient"),
        (jnp.ones((1, 5, 70)), np.ones((1, 5, 70), "float32"), ArgumentError, "never written to"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value[:20],
)
def test_what_cannot_be_written_to(x: Any, out: Any, error: type[MultirecError] | None, match: str) -> None:
    if error is None:
        assert mr.recurrence(x, feedback=A.astype("float32"), out=out)[0] is out
        return
    with pytest.raises(error, match=match):
        mr.recurrence(x, feedback=A.astype("float32"), out=out)


def test_x_that_serves_several_channels_is_not_written_to() -> None:
    memory = np.ones((1, 5, 70), "float32")
    with pytest.raises(ArgumentError, match=r"out shares memory with x: .*several channels"):
        mr.recurrence(memory[:, :1], feedback=A.astype("float32"), out=memory)


def test_what_is_read_besides_x_is_not_written_to() -> None:
    x = np.ones((1, 5, 2), "float32")
    out = np.ones((1, 5, 2), "float32")
    for name, arguments in (
        ("feedback", {"feedback": out[0]}),
        ("feedforward", {"feedback": A.astype("float32"), "feedforward": out[0]}),
        ("state.outputs", {"feedback": A.astype("float32"), "state": mr.State(None, out)}),
    ):
        with pytest.raises(ArgumentError, match=f"out shares memory with {name}: y would be written over it"):
            mr.recurrence(x, **arguments, out=out)


def test_interleaved_memory_is_not_shared() -> None:
    memory = np.ones((1, 10, 70), "float32")
    x, out = memory[:, ::2], memory[:, 1::2]
    want = mr.recurrence(x.copy(), feedback=A.astype("float32"))[0]
    np.testing.assert_array_equal(mr.recurrence(x, feedback=A.astype("float32"), out=out)[0], want)


def test_an_axis_of_one_element_has_no_stride() -> None:
    x = RNG.standard_normal((5, 70)).astype("float32")
    want = mr.recurrence(x[None].copy(), **taps("float32"))[0]
    np.testing.assert_array_equal(mr.recurrence(x[None], **taps("float32"), out=x.reshape(1, 5, 70))[0], want)


@pytest.mark.parametrize("shape", [(0, 5, 70), (2, 5, 0), (0, 5, 0)])
def test_nothing_is_written_to_nothing(shape: tuple[int, ...]) -> None:
    x, a = np.empty(shape, "float32"), A.astype("float32")
    for out in (x, np.empty(shape, "float32")):
        assert mr.recurrence(x, feedback=a, out=out)[0] is out
    tensor = torch.empty(shape)
    assert mr.recurrence(torch.from_numpy(x), feedback=torch.from_numpy(a), out=tensor)[0] is tensor


def test_a_backward_pass_sees_what_is_written_over() -> None:
    leaf = torch.ones(1, 5, 70, requires_grad=True)
    x = 2 * leaf
    loss = (x * x).sum()
    with torch.no_grad():
        mr.recurrence(x, feedback=torch.from_numpy(A.astype("float32")), out=x)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_no_gradient_is_wanted() -> None:
    x, a = torch.ones(1, 5, 70, requires_grad=True), torch.from_numpy(A.astype("float32"))
    out = torch.empty(1, 5, 70)
    with torch.no_grad():
        assert mr.recurrence(x, feedback=a, out=out)[0] is out
    compiled = torch.compile(lambda x: mr.recurrence(x, feedback=a, out=out)[0], backend="eager", fullgraph=True)
    with pytest.raises(Exception, match=r"out is given inside torch\.compile"):
        compiled(torch.ones(1, 5, 70))
    with pytest.raises(ArgumentError, match="transform"):
        torch.func.vmap(lambda x: mr.recurrence(x, feedback=a, out=out)[0])(torch.ones(3, 1, 5, 70))


def test_autograd_sees_what_is_written() -> None:
    weight, signal = torch.ones(1, 5, 70, requires_grad=True), torch.ones(1, 5, 70)
    product = weight * signal
    with torch.no_grad():
        mr.recurrence(signal, feedback=torch.from_numpy(A.astype("float32")), out=signal)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.sum().backward()


@pytest.mark.parametrize("layout", SHAPES)
def test_banks_and_steps(layout: str) -> None:
    bank = mr.RecurrenceBank(**taps("float32"), layout=layout)
    x = noise(layout)
    want, state = bank(x)
    out = np.empty_like(x)
    assert bank(x, out=out)[0] is out
    np.testing.assert_array_equal(out, want)
    sample = RNG.standard_normal((2, 5)).astype("float32")
    y, after = bank.step(sample, state)
    y_out, after_out = bank.step(sample, state, out=sample)
    assert y_out is sample
    np.testing.assert_array_equal(sample, y)
    np.testing.assert_array_equal(after_out.outputs, after.outputs)


@pytest.mark.parametrize("channels", [1, 5])
def test_cascades_run_in_place(channels: int) -> None:
    sos = np.array([[1, 0.5, 0, 1, -0.5, 0.1], [1, 1, 0.2, 1, 0.3, 0]]) * np.ones((5, 1, 1))
    cascade = mr.RecurrenceBank.from_sos(sos)
    x = RNG.standard_normal((2, channels, 40))
    want, state = cascade(x)
    out = x if channels == 5 else np.empty((2, 5, 40))
    got, after = cascade(x, out=out)
    assert got is out
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(after[1].outputs, state[1].outputs)
    y, _ = cascade.step(np.ones((2, channels)), after)
    out = np.empty((2, 5))
    assert cascade.step(np.ones((2, channels)), after, out=out)[0] is out
    np.testing.assert_array_equal(out, y)


def test_a_cascade_widens_before_it_runs_in_place() -> None:
    one = mr.RecurrenceBank.from_sos([[1, 0.5, 0, 1, -0.5, 0.1]]).sections[0]
    five = mr.RecurrenceBank(feedback=A, feedforward=B)
    cascade = mr.RecurrenceCascade([one, five])
    x = RNG.standard_normal((2, 1, 40))
    out = np.empty((2, 5, 40))
    np.testing.assert_array_equal(cascade(x, out=out)[0], cascade(x)[0])
    with pytest.raises(ShapeError, match=r"out has shape \(2, 4, 40\), expected \(2, 5, 40\)"):
        cascade(x, out=np.empty((2, 4, 40)))
    with pytest.raises(FamilyError, match=r"out is a builtins\.list"):
        cascade.sections[0](x, out=[1.0])


@pytest.mark.parametrize("out", [[1.0], 1.0, np.empty(2)], ids=["list", "number", "vector"])
def test_an_out_of_a_cascade_that_is_no_signal(out: object) -> None:
    cascade = mr.RecurrenceBank.from_sos([[1, 0, 0, 1, -0.5, 0], [1, 1, 0, 1, 0, 0]])
    with pytest.raises(mr.MultirecError, match="out "):
        cascade(np.ones((2, 1, 5)), out=out)
