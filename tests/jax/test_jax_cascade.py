"""Second-order sections of JAX arrays in one pass: what recurrences give one by one, under every transformation."""

from __future__ import annotations

import re
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from multirec_backends.numba._kernel import kernel as numba
from scipy import signal

import multirec as mr
from multirec._core.validate import Choices
from multirec._sections import cascade, composed, has_one_pass
from multirec._sections.launch import call_of
from multirec.backend import BackendInfo
from multirec.errors import ArgumentError, DeviceError, DtypeError, UnsupportedError
from multirec.signal import sosfilt

pytestmark = pytest.mark.skipif(mr.backends()["numba"].status != "ready", reason="numba is not here")

AXES = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}
CALLS: list[str] = []
# JAX's quick way has an error of its own
ERRORS = (jax.errors.JaxRuntimeError, ValueError)


def noted(name):
    """Return numba's function of a name, which notes that it is called."""

    def call(self, *arguments):
        CALLS.append(name)
        return getattr(numba, name)(*arguments)

    return call


class Counted:
    """The kernel of numba, whose calls are noted."""

    forward, vjp, cascade, cascade_vjp = map(noted, ("forward", "vjp", "cascade", "cascade_vjp"))
    cascades = staticmethod(numba.cascades)


KERNEL = Counted()


@pytest.fixture
def counted():
    info = BackendInfo(name="counted", summary="a test", kernel=f"{__name__}:KERNEL", family="numpy", wide=True)
    mr.register_backend(info)
    CALLS.clear()
    yield info.name
    mr.unregister_backend(info.name)


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


def sections(count=2):
    designs = [signal.butter(count, [0.1 + 0.1 * c, 0.2 + 0.1 * c], "band", output="sos") for c in range(3)]
    sos = np.stack(designs)
    return np.concatenate([sos[..., :3], -sos[..., 4:]], axis=-1)


def operands(dtype="float64", length=9, x_channels=1, examples=(), count=2, seed=0):
    """Return x, taps and memory: batch 2, 3 channels."""
    generator = np.random.default_rng(seed)

    def draw(*shape):
        values = generator.standard_normal(shape)
        return values + 1j * generator.standard_normal(shape) if "complex" in dtype else values

    taps = sections(count) * (1 + 0.02 * draw(*examples, 3, 1, 5))
    return tuple(jnp.asarray(part, dtype) for part in (draw(2, x_channels, length), taps, draw(2, 3, count, 2)))


def one_by_one(x, taps, memory=None, **choices):
    """Run sections by recurrences, as JAX differentiates them."""
    choices = Choices(**{"backend": "numba", **choices})
    return composed.sections(x, taps, memory, call_of((x, taps, memory), choices), choices)


def in_one_pass(x, taps, memory=None, **choices):
    choices = {"backend": "numba", **choices}
    assert has_one_pass((x, taps, memory), Choices(**choices))
    return tuple(cascade(x, taps, memory, **choices))


def loss(function, **choices):
    def value(*arrays):
        return sum(jnp.sum(jnp.sin(part).real) for part in function(*arrays, **choices))

    return value


def assert_same(got, want, tolerance=1e-9):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), got, want)


@pytest.mark.parametrize(("layout", "reverse", "x_channels"), [*product(AXES, [False, True], [1, 3])])
def test_the_numbers_are_those_of_numpy_arrays(layout, reverse, x_channels, double):
    for length in (1, 40):
        x, taps, memory = operands(length=length, x_channels=x_channels)
        x = x.transpose(AXES[layout])
        choices = {"layout": layout, "reverse": reverse}
        got = jax.jit(lambda *arrays, choices=choices: in_one_pass(*arrays, **choices))(x, taps, memory)
        want = cascade(*map(np.asarray, (x, taps, memory)), backend="numba", **choices)
        for part, other in zip(got, want, strict=True):
            np.testing.assert_array_equal(part, other)


def test_the_numbers_are_those_of_scipy(double):
    sos = signal.butter(4, [0.1, 0.3], "band", output="sos")
    taps = np.concatenate([sos[:, :3], -sos[:, 4:]], -1)[None]
    x, zi = np.random.default_rng(0).standard_normal(200), signal.sosfilt_zi(sos)
    y, memory, _ = in_one_pass(jnp.asarray(x)[None, None], taps, jnp.asarray(zi)[None, None])
    want, zf = signal.sosfilt(sos, x, zi=zi)
    assert_same((y[0, 0], memory[0, 0]), (want, zf))
    y, zf = sosfilt(jnp.asarray(sos), jnp.asarray(x), zi=jnp.asarray(zi))
    assert_same((y, zf), signal.sosfilt(sos, x, zi=zi))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
@pytest.mark.parametrize("compute_dtype", [None, "float64"])
def test_other_types(dtype, compute_dtype):
    torch = pytest.importorskip("torch")
    x, taps, _ = operands("complex64" if "complex" in dtype else "float32", length=70)
    with jax.enable_x64(compute_dtype is not None):
        y, memory, ends = jax.jit(lambda x: in_one_pass(x, taps.real, compute_dtype=compute_dtype))(x.astype(dtype))
    tensor = torch.from_numpy(np.array(x)).to(getattr(torch, dtype))
    want = cascade(tensor, np.asarray(taps.real), compute_dtype=compute_dtype, backend="numba")
    assert [str(part.dtype) for part in (y, memory, ends)] == [str(part.dtype)[6:] for part in want]
    wide = "complex64" if "complex" in dtype else "float32"
    np.testing.assert_array_equal(y.astype(wide), want.y.to(getattr(torch, wide)).numpy())
    np.testing.assert_array_equal(memory, want.memory.numpy())


CASES = {
    "shared": ({}, {}),
    "own": ({"x_channels": 3}, {"reverse": True}),
    "examples": ({"examples": (2,)}, {}),
    "one_channel": ({"x_channels": 3, "dtype": "complex128", "count": 1}, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_derivatives_are_those_of_recurrences(case, double):
    given, choices = CASES[case]
    arrays, moves = operands(**given), operands(**given, seed=1)
    if case == "one_channel":
        arrays, moves = ((x, taps[:1], memory) for x, taps, memory in (arrays, moves))
    every = (0, 1, 2)

    def both(function):
        value = loss(function, **choices)
        return jax.jit(lambda: (jax.grad(value, every)(*arrays), jax.jvp(value, arrays, moves)))()

    assert_same(both(in_one_pass), both(one_by_one))


def test_real_sections_of_complex_signals_and_complex_ones_of_real(double):
    x, taps, memory = operands("complex128", count=1)
    for own in ((x, taps.real, memory), (x.real, taps, memory)):
        found = jax.jit(jax.grad(loss(in_one_pass), (0, 1, 2)))(*own)
        assert [part.dtype for part in found] == [part.dtype for part in own]
        assert_same(found, jax.jit(jax.grad(loss(one_by_one), (0, 1, 2)))(*own))


@pytest.mark.parametrize("layout", ["BTC", "TBC"])
def test_gradients_in_other_layouts(layout, double):
    x, taps, _ = operands(length=40)
    x = x.transpose(AXES[layout])
    got, want = (
        jax.jit(jax.grad(loss(function, layout=layout), (0, 1)))(x, taps) for function in (in_one_pass, one_by_one)
    )
    assert_same(got, want)


def test_gradients_of_narrow_signals():
    x, taps, memory = operands("float32", count=1)
    for dtype in ("bfloat16", "float16"):
        own = x.astype(dtype), taps, memory
        found = jax.jit(jax.grad(loss(in_one_pass), (0, 1, 2)))(*own)
        assert [part.dtype for part in found] == [part.dtype for part in own]
        assert_same(found, jax.jit(jax.grad(loss(one_by_one), (0, 1, 2)))(*own), 0.05)


def test_several_batch_axes_of_which_sections_have_some(double):
    x, taps, _ = operands()
    x, taps = jnp.stack([x, -x, 2 * x]), jnp.stack([taps, 0.5 * taps])[None]
    for given in (taps, taps[:, :1], jnp.concatenate([taps] * 3)):
        got = jax.jit(lambda x, taps: in_one_pass(x, taps))(x, given)
        whole = jnp.broadcast_to(given, (3, 2, *given.shape[2:])).reshape(6, 3, 2, 5)
        y, *few = one_by_one(x.reshape(6, 1, -1), whole)
        assert_same(got, tuple(part.reshape(3, 2, *part.shape[1:]) for part in (y, *few)))


def test_second_derivatives(double):
    check_grads(jax.jit(in_one_pass), operands(length=3, count=1), order=2, modes=("fwd", "rev"), eps=2e-5)


def test_hessian(double):
    x, taps, memory = operands(length=4, count=1)
    got, want = (
        jax.jit(jax.hessian(lambda taps, function=function: loss(function)(x, taps, memory)))(taps)
        for function in (in_one_pass, one_by_one)
    )
    assert_same(got, want)


@pytest.mark.parametrize("wanted", [(0,), (1,), (0, 1, 2)])
def test_vmap_and_gradients_of_it(wanted, double, counted):
    many = [jnp.stack([part, 0.5 * part, -part], 1) for part in operands()]
    axes = [1 if index in wanted else None for index in range(3)]
    arrays = [part if axis == 1 else part[:, 0] for part, axis in zip(many, axes, strict=True)]

    def derivatives(function, **choices):
        value = loss(function, **choices)
        inner = jax.vmap(jax.grad(value, (0, 1, 2)), axes)
        outer = jax.grad(lambda *given: jax.vmap(value, axes)(*given).sum(), (0, 1, 2))
        return jax.block_until_ready(jax.jit(lambda *given: (inner(*given), outer(*given)))(*arrays))

    got = derivatives(in_one_pass, backend=counted)
    # calls of the same arrays XLA makes once
    assert set(CALLS) == {"cascade", "cascade_vjp"}
    assert len(CALLS) <= 4
    assert_same(got, derivatives(one_by_one))


def test_a_gradient_calls_the_kernel_once_each_way(counted):
    x, taps, memory = operands("float32")
    gradient = jax.jit(jax.value_and_grad(loss(cascade, backend=counted), (0, 1, 2)))
    jax.block_until_ready(gradient(x, taps, memory))
    assert CALLS == ["cascade", "cascade_vjp"]
    CALLS.clear()
    jax.block_until_ready(cascade(x, taps, backend=counted).y)
    assert CALLS == ["cascade"]
    CALLS.clear()
    with jax.disable_jit():
        jax.block_until_ready(jax.grad(loss(cascade, backend=counted), (0, 1, 2))(x, taps, memory))
    assert CALLS == ["cascade", "cascade_vjp"]


def test_auto_is_one_call_where_there_is_enough_to_compute():
    taps = sections().astype("float32")

    def calls(x):
        return jax.jit(lambda x: cascade(x, taps).y).lower(x).as_text().count("custom_call @multirec_recurrence")

    assert calls(jnp.ones((2, 1, 64))) == 1
    assert calls(jnp.ones((2, 1, 4))) == 0
    assert calls(jnp.ones((2, 1, 64), "float32")) == 1


def test_blocks_in_a_scan(double):
    x, taps, memory = operands(length=24, count=1)

    @jax.jit
    def blocks(x, taps, memory):
        def step(memory, block):
            y, memory, _ = in_one_pass(block, taps, memory)
            return memory, y

        memory, y = jax.lax.scan(step, memory, jnp.moveaxis(x.reshape(2, 1, 4, 6), 2, 0))
        return jnp.moveaxis(y, 0, 2).reshape(2, 3, 24), memory

    def value(function):
        return lambda *arrays: sum(jnp.sum(part**2) for part in function(*arrays)[:2])

    assert_same(blocks(x, taps, memory), one_by_one(x, taps, memory)[:2])
    got, want = (jax.jit(jax.grad(value(function), (0, 1, 2)))(x, taps, memory) for function in (blocks, one_by_one))
    assert_same(got, want)


def test_linear_transpose(double):
    x, taps, memory = operands("complex128")
    zeros = jnp.zeros_like(x), jnp.zeros_like(memory)

    def of(x, memory):
        return in_one_pass(x, taps, memory)[0]

    y, pull = jax.vjp(of, *zeros)
    got = jax.jit(jax.linear_transpose(of, *zeros))(y + 1)
    assert_same(got, pull(y + 1))
    assert_same(jax.linear_transpose(jax.linear_transpose(of, *zeros), y)(got)[0], jax.jvp(of, zeros, got)[1])
    with pytest.raises(UnsupportedError, match=r"sections along their coefficients.*not linear.*jax\.vjp"):
        jax.linear_transpose(lambda taps: in_one_pass(x, taps)[0], taps)(y)


def test_programs_of_several_devices_and_exported_ones(double):
    x, taps, _ = operands(length=100, count=1)
    mesh = jax.make_mesh((2,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    cut = jax.device_put(x, jax.NamedSharding(mesh, jax.P("d")))

    def gradient(x, backend="auto"):
        return jax.jit(jax.grad(lambda x: jnp.sum(cascade(x, taps, backend=backend).y ** 2)))(x)

    want = gradient(x)
    assert_same(jax.device_get(gradient(cut)), want, 1e-6)
    assert_same(jax.device_get(gradient(cut, "numba")), want)
    specs = jax.P("d"), jax.P()
    mapped = jax.shard_map(lambda x, taps: in_one_pass(x, taps)[0], mesh=mesh, in_specs=specs, out_specs=jax.P("d"))
    found = jax.jit(jax.grad(lambda x: jnp.sum(mapped(x, taps) ** 2)))(cut)
    assert_same(jax.device_get(found), want)
    exported = jax.export.export(jax.jit(gradient))(x)
    assert_same(exported.call(x), want, 1e-6)


def test_arrays_that_do_not_fit():
    x, taps, memory = operands("float32")
    with pytest.raises(ArgumentError, match=r"an array of JAX.*never written to"):
        cascade(x, taps, out=x)
    with pytest.raises(DtypeError, match=r"compute_dtype is float64.*jax_enable_x64"):
        cascade(x, taps, backend="numba", compute_dtype="float64")
    far = jax.device_put(memory, jax.devices()[1])
    with pytest.raises(DeviceError, match=r"x is on .*cpu.*0.* and memory is on .*cpu.*1"):
        cascade(jax.device_put(x, jax.devices()[0]), taps, far, backend="numba")
    symbol = jax.ShapeDtypeStruct(jax.export.symbolic_shape("2, 1, t"), "float32")
    exported = jax.export.export(jax.jit(lambda x: cascade(x, taps).y))
    with pytest.raises(UnsupportedError, match="size t is a symbol"):
        exported(symbol)


def test_an_error_of_the_kernel_comes_out(counted, monkeypatch):
    x, taps, _ = operands("float32")
    run = jax.jit(lambda x: cascade(x, taps, backend=counted).y)
    want = run(x)

    def fail(*_):
        raise MemoryError("of 9 GiB")

    with monkeypatch.context() as patched:
        patched.setattr(Counted, "cascade", fail)
        with pytest.raises(ERRORS, match=re.escape("multirec: MemoryError: of 9 GiB")):
            jax.block_until_ready(run(x))
    np.testing.assert_array_equal(run(x), want)
    forward_only = type("ForwardOnly", (), {"forward": Counted.forward})()
    mr.unregister_backend(counted)
    monkeypatch.setitem(globals(), "KERNEL", forward_only)
    mr.register_backend(
        BackendInfo(name=counted, summary="a test", kernel=f"{__name__}:KERNEL", family="numpy", wide=True)
    )
    np.testing.assert_allclose(cascade(x, taps, backend=counted).y, want, rtol=1e-5, atol=1e-5)
    with pytest.raises(ERRORS, match=r"UnsupportedError: .*Compile the program again"):
        jax.block_until_ready(run(x))


SOS = np.concatenate([sections()[..., :3], np.ones((3, 2, 1)), -sections()[..., 3:]], -1)


def states_one_by_one(bank, x, state=None):
    after = []
    for own, before in zip(bank.sections, state or (None,) * len(bank.sections), strict=True):
        x, own_after = own(x, before)
        after.append(own_after)
    return x, tuple(after)


@pytest.mark.parametrize(
    ("source", "layout", "reverse", "channels"), [("numpy", "BCT", False, 1), ("jax", "TBC", True, 3)]
)
def test_a_bank_of_sections(source, layout, reverse, channels, double, counted):
    sos = SOS if source == "numpy" else jnp.asarray(SOS)
    bank = mr.RecurrenceBank.from_sos(sos, layout=layout, reverse=reverse, backend=counted)
    state = want_state = None
    for length in (5, 1, 0, 30):
        x = jnp.asarray(np.random.default_rng(length).standard_normal((2, channels, length))).transpose(AXES[layout])
        want, want_state = jax.block_until_ready(states_one_by_one(bank, x, want_state))
        CALLS.clear()
        y, state = jax.block_until_ready(jax.jit(lambda bank, x, state: bank(x, state))(bank, x, state))
        assert len(CALLS) == bool(length)
        assert_same((y, state), (want, want_state))
        jax.tree.map(lambda got, like: assert_same(got.dtype == like.dtype, True), state, want_state)
        np.testing.assert_array_equal(bank(x, state)[0], jax.jit(lambda x, state: bank(x, state))(x, state)[0])


@pytest.mark.parametrize(("dtype", "backend"), [("float16", "auto"), ("bfloat16", "numba"), ("float32", "auto")])
def test_scans_carry_the_state_of_a_bank(dtype, backend):
    bank = mr.RecurrenceBank.from_sos(SOS.astype("float32"), backend=backend)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 1, 5 * 70)), dtype)
    taps = [{"feedforward": own.feedforward, "feedback": own.feedback} for own in bank.sections]
    first = mr.zero_state(x, **taps[0])
    start = first, *(mr.zero_state(jnp.zeros((2, 3, 1), dtype), **own) for own in taps[1:])

    @jax.jit
    def blocks(start, x):
        state, y = jax.lax.scan(lambda state, block: bank(block, state)[::-1], start, jnp.stack(jnp.split(x, 5, -1)))
        y = jnp.concatenate([*y], -1)
        state, late = jax.lax.scan(lambda state, x: bank.step(x, state)[::-1], state, jnp.moveaxis(x[..., :3], -1, 0))
        return jnp.concatenate([y, jnp.moveaxis(late, 0, -1)], -1)

    whole, _ = bank(jnp.concatenate([x, x[..., :3]], -1))
    wide = np.asarray(whole, "float32")
    np.testing.assert_allclose(np.asarray(blocks(start, x), "float32"), wide, atol=0.05 if "16" in dtype else 1e-5)


def test_gradients_of_a_bank_of_sections(double, counted):
    bank = mr.RecurrenceBank.from_sos(jnp.asarray(SOS), backend=counted)
    x, *_ = operands(length=20)

    def value(run):
        def own(bank, x):
            _, state = run(bank, x[..., :10], None)
            y, state = run(bank, x[..., 10:], state)
            return sum(jnp.sum(part**2) for part in jax.tree.leaves((y, state)))

        return own

    want = jax.block_until_ready(jax.jit(jax.grad(value(states_one_by_one), (0, 1)))(bank, x))
    CALLS.clear()
    got = jax.block_until_ready(jax.jit(jax.grad(value(lambda bank, x, state: bank(x, state)), (0, 1)))(bank, x))
    assert sorted(CALLS) == ["cascade"] * 2 + ["cascade_vjp"] * 2
    assert_same(jax.tree.leaves(got), jax.tree.leaves(want))


def test_a_state_on_another_device():
    bank = mr.RecurrenceBank.from_sos(SOS.astype("float32"), backend="numba")
    x = jax.device_put(jnp.ones((2, 1, 30)), jax.devices()[0])
    _, state = bank(x)
    with pytest.raises(DeviceError, match=r"x is on .*cpu.*0.* and state\[0\].inputs is on .*cpu.*1"):
        bank(x, jax.device_put(state, jax.devices()[1]))
