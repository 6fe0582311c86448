"""Time along an axis of `jax.shard_map` equals one device: values, states and gradients, however it is cut."""

import re
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
from distributed.in_pieces import TIME
from hypothesis import given, settings
from jax.sharding import AxisType

import multirec as mr
from multirec._core.axes import explicit
from multirec.distributed import recurrence, scan
from multirec.testing import assert_close
from multirec.testing.libraries import JaxLibrary, options
from multirec.testing.problems import Case
from multirec.testing.strategies import cases

EPS = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 4e-6, "complex64": 4e-6}


@pytest.fixture(autouse=True)
def _quick():
    jax.config.update("jax_disable_most_optimizations", True)
    with jax.enable_x64(True):
        yield
    jax.config.update("jax_disable_most_optimizations", False)


def mesh_of(count=2, kind=AxisType.Auto):
    return jax.make_mesh((count,), ("time",), axis_types=(kind,), devices=jax.devices()[:count])


def along(rank, axis):
    return jax.P(*["time" if n == axis % rank else None for n in range(rank)])


class Sharded(JaxLibrary):
    """Each device of a mesh has a block."""

    def __init__(self, count=2, **choices):
        super().__init__()
        self.mesh, self.choices = mesh_of(count), choices

    def call(self, case, backend, operands):
        x, axis = operands[0], TIME[case.layout]
        given = options(case, operands)
        state = given.pop("state")
        cut = {"x": along(x.ndim, axis)}
        for name in ("feedforward", "feedback"):
            given[name] = taps = explicit(given[name], x, case.layout)
            varies = taps is not None and taps.ndim > x.ndim
            place = axis - (case.layout != "TBC")
            cut[name] = along(taps.ndim, place) if varies and taps.shape[place] > 1 else jax.P()
        names = [name for name in ("feedforward", "feedback", "resets") if given.get(name) is not None]
        resets = given.get("resets")
        if resets is not None:
            cut["resets"] = along(resets.ndim, 0 if case.layout == "TBC" else -1)
        static = {name: part for name, part in given.items() if name not in names and part is not None}

        def own(x, state, *parts):
            return recurrence(
                x, state=state, **dict(zip(names, parts, strict=True)), **static, backend=backend, axis_name="time"
            )

        specs = cut["x"], jax.P(), *(cut[name] for name in names)
        whole = jax.shard_map(own, mesh=self.mesh, in_specs=specs, out_specs=(cut["x"], jax.P()), **self.choices)
        return whole(x, state, *(given[name] for name in names))


def equals_one_device(case, backend, sharded):
    expected, got = JaxLibrary().run(case, backend), sharded.run(case, backend)
    eps = EPS.get(case.dtype, 1e-13)
    assert got.values.keys() == expected.values.keys()
    for name, values in expected.values.items():
        assert_close(name, got.values[name], values, eps * (1 + 10 * np.abs(values).max(initial=0)))


CASES = [
    pytest.param("jax", Case(length=12, order=2, input_order=1), marks=pytest.mark.long),
    ("numba", Case(length=4, order=3, input_order=3, layout="TBC", reverse=True, shared=True, batch=(2, 1))),
    ("numba", Case(length=12, order=1, feedforward="none", feedback="time_varying", layout="BTC", marks="resets")),
]
MORE = [
    Case(length=12, order=8, input_order=4, layout="BTC"),
    Case(length=4, order=3, feedback="time_varying", input_order=4, reverse=True),
    Case(length=12, order=2, feedforward="time_varying", feedback="per_example", layout="BTC", ones=("channels",)),
    Case(length=12, order=2, feedforward="per_example", feedback="time_varying", batch=(2, 2), ones=("batch",)),
    Case(length=12, order=2, feedback="time_varying", ones=("time",), state="none", through="y"),
    Case(length=12, order=2, input_order=3, marks="resets", reverse=True, layout="TBC"),
    Case(length=8, dtype="complex128", order=1, feedforward="none", feedback="time_varying", state="outputs"),
    Case(length=8, feedback_dtype="complex128", order=2, shared=True),
    Case(length=8, feedforward_dtype="complex128", input_order=0),
    Case(length=8, dtype="float16", order=2, input_order=1, feedback_dtype="float32"),
    Case(length=8, dtype="bfloat16", order=1, compute_dtype="float64"),
    Case(length=8, feedback="none", input_order=4, state="inputs", through="state"),
    Case(length=8, batch=(), frozen=("feedforward", "feedback")),
    Case(length=8, frozen=("x", "state"), shared=True),
]


@pytest.mark.parametrize(("backend", "case"), CASES)
def test_two_devices_equal_one(backend, case):
    equals_one_device(case, backend, Sharded())


def test_a_device_may_have_as_many_samples_as_coefficients():
    taps, cut = np.ones((2, 3, 2)), jax.P(None, None, "time")

    def own(x):
        return recurrence(x, feedback=taps, axis_name="time")[0]

    apart = jax.shard_map(own, mesh=mesh_of(), in_specs=cut, out_specs=cut)
    assert jax.eval_shape(apart, np.ones((2, 3, 4))).shape == (2, 3, 4)


@pytest.mark.long
@pytest.mark.parametrize("check_vma", [True, False])
@pytest.mark.parametrize("backend", ["jax", "numba"])
@pytest.mark.parametrize("case", MORE)
def test_two_devices_equal_one_whatever_the_kind(case, backend, check_vma):
    equals_one_device(case, backend, Sharded(check_vma=check_vma))


@pytest.mark.long
@settings(max_examples=10)
@given(cases(order=3))
def test_two_devices_equal_one_whatever_is_asked(case):
    if case.marks in ("none", "resets"):
        equals_one_device(replace(case, length=2 * max(case.length // 2, 1)), "numba", Sharded())


def without_axis(x, taps, state):
    return mr.recurrence(x, **taps, state=state)


def along_axis(x, taps, state, check_vma=True, count=2):
    cut, whole = jax.P(None, None, "time"), jax.P()
    of = jax.shard_map(
        lambda x, taps, state: recurrence(x, **taps, state=state, axis_name="time"),
        mesh=mesh_of(count),
        in_specs=(cut, whole, whole),
        out_specs=(cut, whole),
        check_vma=check_vma,
    )
    return of(x, taps, state)


def operands(batch=2, length=8):
    generator = np.random.default_rng(0)
    x, inputs, outputs = (generator.standard_normal((batch, 3, count)) for count in (length, 1, 2))
    taps = {"feedforward": generator.standard_normal((3, 2)), "feedback": generator.uniform(-0.4, 0.4, (3, 2))}
    return jax.tree.map(jax.numpy.asarray, (x, taps, mr.State(inputs, outputs)))


def loss(function):
    return lambda *arrays: sum(jax.numpy.sin(part).sum() for part in jax.tree.leaves(function(*arrays)))


def assert_same(got, expected):
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12), got, expected)


def messages(function, *arrays):
    text = jax.jit(function).lower(*arrays).compile().as_text()
    kinds = "all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute"
    return re.findall(rf"= (\S+) ({kinds})(?:-start)?\(", text)


def test_one_message_forward_whose_size_is_that_of_states():
    ((kind, name),) = messages(along_axis, *operands(length=40))
    # of two devices: inputs and outputs of 2 · 3 rows, and 2 · (1 + 2) of each channel
    assert (name, kind.partition("{")[0]) == ("all-gather", "f64[2,36]")


def test_gradients_of_signals_take_one_message_back():
    x, taps, state = operands()
    found = messages(jax.grad(loss(along_axis)), x, taps, state)
    assert [name for _, name in found if name == "all-gather"] == ["all-gather"]
    # the two parts of a state
    assert len([name for _, name in found if name != "all-gather"]) <= 2


@pytest.mark.long
def test_second_derivatives_and_tangents():
    x, taps, state = operands(length=4)

    def of(function):
        def value(taps):
            return (jax.grad(loss(function), 1)(x, taps, state)["feedback"] ** 2).sum()

        return jax.jit(lambda taps: (jax.grad(value)(taps), jax.jvp(value, (taps,), (taps,))))(taps)

    assert_same(of(along_axis), of(without_axis))


@pytest.mark.long
@pytest.mark.parametrize("check_vma", [True, False])
def test_vmap_around_and_inside(check_vma):
    x, taps, state = operands(batch=6)
    split = jax.tree.map(lambda part: part.reshape(3, 2, *part.shape[1:]), (x, state))

    def mapped(function):
        return jax.jit(jax.vmap(jax.grad(loss(function), (0, 1, 2)), (0, None, 0)))

    got = mapped(lambda *arrays: along_axis(*arrays, check_vma))(split[0], taps, split[1])
    assert_same(got, mapped(without_axis)(split[0], taps, split[1]))


@pytest.mark.long
def test_the_axis_of_a_vmap():
    x, taps, state = operands()
    blocks = np.stack(np.split(x, 4, -1))
    of = jax.vmap(lambda x: recurrence(x, **taps, state=state, axis_name="time"), axis_name="time", out_axes=(0, None))
    y, after = jax.jit(of)(blocks)
    assert_same((np.concatenate(list(y), -1), after), without_axis(x, taps, state))


def test_a_scan():
    generator = np.random.default_rng(0)
    gates, values = generator.uniform(0, 1, (2, 6, 3)), generator.standard_normal((2, 6, 3))
    cut = jax.P(None, "time")
    of = jax.shard_map(
        lambda gates, values: scan(gates, values, axis_name="time"),
        mesh=mesh_of(),
        in_specs=(cut, cut),
        out_specs=(cut, jax.P()),
    )
    assert_same(jax.jit(of)(gates, values), mr.scan(jax.numpy.asarray(gates), jax.numpy.asarray(values)))


def test_an_axis_that_is_none():
    x, taps, _ = operands()
    for axis, what in (("time", "no axis of a mesh"), (0, "a string"), (("time",), "a string")):
        with pytest.raises(mr.errors.ArgumentError, match=what):
            recurrence(x, **taps, axis_name=axis)
    with pytest.raises(mr.errors.ArgumentError, match="axis_name is missing"):
        recurrence(x, **taps)
    with pytest.raises(mr.errors.ArgumentError, match="mesh is given"):
        recurrence(x, **taps, mesh=mesh_of())
    with pytest.raises(mr.errors.ArgumentError, match="leave out mesh"):
        recurrence(x, **taps, mesh=mesh_of(), axis_name="time")
    with pytest.raises(mr.errors.ArgumentError, match="sum_gradients is False"):
        recurrence(x, **taps, axis_name="time", sum_gradients=False)
    with pytest.raises(mr.errors.FamilyError, match="summarize, compose and replay"):
        recurrence(np.asarray(x), **taps, axis_name="time")


def test_a_tensor_has_no_axis_of_that_name():
    torch = pytest.importorskip("torch")
    with pytest.raises(mr.errors.ArgumentError, match="Pass mesh"):
        recurrence(torch.ones(2, 3, 4), feedback=torch.ones(3, 1), axis_name="time")


def test_a_state_that_is_cut():
    x, taps, state = operands()
    of = jax.shard_map(
        lambda x, outputs: recurrence(x, **taps, state=(None, outputs), axis_name="time")[0],
        mesh=mesh_of(),
        in_specs=(jax.P(None, None, "time"), jax.P("time")),
        out_specs=jax.P(None, None, "time"),
    )
    with pytest.raises(mr.errors.ArgumentError, match="Leave 'time' out of its in_specs"):
        of(x, state.outputs)
