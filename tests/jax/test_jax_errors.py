"""What JAX users may get wrong: each says what it was, and what to do."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import multirec as mr
from multirec._core import arrays
from multirec._registry.discovery import _older
from multirec._registry.probe import status_of
from multirec._registry.registry import registry
from multirec.errors import (
    ArgumentError,
    BackendMissingError,
    DtypeError,
    FamilyError,
    RoundingWarning,
    ShapeError,
    UnsupportedError,
)

X, A = jnp.ones((1, 1, 8)), jnp.full((2, 1), 0.5)


def test_torch_parameters():
    torch = pytest.importorskip("torch")
    parameter = torch.nn.Parameter(torch.ones(2, 1))
    with pytest.raises(FamilyError, match="x is a jax array and feedback is a torch array"):
        mr.recurrence(X, feedback=parameter)
    with pytest.raises(FamilyError, match="x is a torch array and feedback is a jax array"):
        mr.recurrence(torch.ones(1, 1, 8), feedback=A)


def test_jax_coefficients_of_a_numpy_signal():
    with pytest.raises(FamilyError, match="numpy array and feedback is a jax array"):
        mr.recurrence(np.ones((1, 1, 8)), feedback=A)


@pytest.mark.parametrize("backend", ["torch_loop", "unfold_scan"])
def test_tracers_and_a_backend_that_cannot_trace(backend):
    pytest.importorskip("torch")

    def y(x, a):
        return mr.recurrence(x, feedback=a, backend=backend)[0]

    for transformed in (jax.jit(y), jax.grad(lambda x, a: y(x, a).sum()), jax.vmap(y, (0, None))):
        with pytest.raises(FamilyError, match=f"x is traced by JAX.*{backend}.*backend='jax'"):
            transformed(X[None] if transformed.__name__ == "y" else X, A)
    with pytest.raises(FamilyError, match="feedback is traced by JAX"):
        jax.jit(lambda a: mr.RecurrenceBank(feedback=a, backend=backend)(X))(A)


def test_integers():
    with pytest.raises(DtypeError, match=r"x has dtype int32.*astype"):
        jax.jit(lambda x: mr.recurrence(x, feedback=A))(X.astype(int))
    with pytest.raises(DtypeError, match="feedback has dtype int32"):
        jax.grad(lambda a: mr.recurrence(X, feedback=a)[0].sum(), allow_int=True)(jnp.ones((2, 1), int))


def test_float0():
    with pytest.raises(DtypeError, match="feedback has dtype void"):
        mr.recurrence(X, feedback=np.zeros((2, 1), jax.dtypes.float0))
    with pytest.raises(DtypeError, match="x has dtype void"):
        mr.recurrence(np.zeros((1, 1, 8), jax.dtypes.float0), feedback=np.ones((2, 1)))


def test_doubles_while_jax_has_none():
    with jax.enable_x64(True):
        x = jnp.ones((1, 1, 8))
    with jax.enable_x64(False), pytest.raises(DtypeError, match=r"makes y float64.*jax_enable_x64.*float32"):
        mr.recurrence(x, feedback=np.ones((2, 1)))


@pytest.mark.parametrize(("choice", "said"), [("layout", "unknown"), ("reverse", "True or False"), ("backend", "name")])
def test_choices_that_are_traced(choice, said):
    with pytest.raises(ArgumentError, match=rf"{said}.*Tracer.*traced by JAX: .* static_argnames of jax\.jit"):
        jax.jit(lambda x, value: mr.recurrence(x, feedback=A, **{choice: value}))(X, True)


def test_shapes_under_jit():
    with pytest.raises(ShapeError, match="channels do not match"):
        jax.jit(lambda x: mr.recurrence(x, feedback=jnp.ones((3, 1))))(jnp.ones((1, 2, 8)))


def test_a_state_of_another_type():
    with pytest.raises(DtypeError, match=r"state.outputs has dtype float16, expected float32"):
        mr.recurrence(X, feedback=A, state=(None, jnp.zeros((1, 2, 1), "float16")))
    with pytest.raises(FamilyError, match=r"state.outputs is a numpy array"):
        mr.recurrence(X, feedback=A, state=(None, np.zeros((1, 2, 1), "float32")))


def test_devices(monkeypatch):

    monkeypatch.setattr(arrays, "_jax_device", lambda array: "cuda:1" if array is A else "cuda:0")
    with pytest.raises(mr.errors.DeviceError, match="x is on cuda:0 and feedback is on cuda:1"):
        mr.recurrence(X, feedback=A)


@pytest.mark.parametrize("backend", ["jax", "reference", "torch_loop"])
def test_devices_of_one_kind(backend):
    if backend == "torch_loop":
        pytest.importorskip("torch")
    first, second = jax.devices()
    x, a = jax.device_put(X, second), jax.device_put(A, first)
    with pytest.raises(mr.errors.DeviceError, match=r"x is on cpu:1 and feedback is on cpu:0\. Move one of them"):
        mr.recurrence(x, feedback=a, backend=backend)
    state = mr.State(None, jax.device_put(jnp.zeros((1, 2, 1)), first))
    with pytest.raises(mr.errors.DeviceError, match=r"x is on cpu:1 and state\.outputs is on cpu:0"):
        mr.recurrence(x, feedback=A, state=state, backend=backend)
    # what was put nowhere goes where x is, and so does the result
    y, state = mr.recurrence(x, feedback=A, backend=backend)
    assert {y.device, state.outputs.device} == {second}


@pytest.mark.parametrize("backend", ["auto", "jax", "reference"])
@pytest.mark.parametrize(("symbol", "shape"), [("b", "b, 1, 64"), ("t", "2, 1, t")])
def test_sizes_that_are_symbols(backend, symbol, shape):
    x = jax.ShapeDtypeStruct(jax.export.symbolic_shape(shape), "float32")
    filtered = jax.jit(lambda x: mr.recurrence(x, feedback=A, backend=backend)[0])
    with pytest.raises(UnsupportedError, match=f"size {symbol} is a symbol.*export it for each size"):
        jax.export.export(filtered)(x)


@pytest.mark.parametrize("backend", ["jax", "reference"])
def test_an_array_that_was_given_away(backend):
    x = X + 1
    x.delete()
    with pytest.raises(RuntimeError, match="deleted"):
        mr.recurrence(x, feedback=A, backend=backend)


def test_sharded_arrays_and_a_backend_of_one_device():
    mesh = jax.make_mesh((2,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    x = jax.device_put(jnp.ones((2, 1, 40000)), jax.NamedSharding(mesh, jax.P("d")))
    pytest.importorskip("torch")
    with pytest.raises(FamilyError, match="x is sharded over 2 devices"):
        mr.recurrence(x, feedback=A, backend="unfold_scan")
    assert len(mr.recurrence(x, feedback=A)[0].devices()) == 2


def test_an_axis_that_shard_map_leaves_to_xla_and_a_backend_of_one_device():
    kinds = (jax.sharding.AxisType.Auto,) * 2
    mesh = jax.make_mesh((1, 2), ("own", "rest"), axis_types=kinds)

    def filtered(backend):
        def of(x):
            return mr.recurrence(x, feedback=A, backend=backend)[0]

        return jax.jit(jax.shard_map(of, mesh=mesh, in_specs=jax.P(), out_specs=jax.P(), axis_names={"own"}))

    whole = "JAX compiles this program for 2 devices, dividing it itself.*'reference'.*backend='jax'.*shard_map"
    with pytest.raises(FamilyError, match=whole):
        filtered("reference")(X)
    np.testing.assert_allclose(filtered("auto")(X), mr.recurrence(X, feedback=A, backend="jax")[0], rtol=1e-6)


def test_a_program_for_several_platforms_and_a_backend_of_the_cpu():
    def exported(backend):
        function = jax.jit(lambda x: mr.recurrence(x, feedback=A, backend=backend)[0])
        return jax.export.export(function, platforms=("cpu", "cuda"))(X)

    assert exported("auto").platforms == ("cpu", "cuda")
    with pytest.raises(FamilyError, match=r"for cpu and cuda, and backend 'reference'.*compile it for cpu alone\.$"):
        exported("reference")


def test_an_exported_program_needs_multirec_only_if_it_is_asked_for_a_numpy_backend():
    x = jnp.ones((1, 2, 200))

    def function(backend):
        return jax.jit(lambda x: mr.recurrence(x, feedback=A, backend=backend)[0])

    y = function("auto")(x)
    np.testing.assert_allclose(jax.export.export(function("auto"))(x).call(x), y, rtol=1e-5)
    jax.export.export(jax.jit(jax.grad(lambda x: function("auto")(x).sum())))(x)
    with pytest.raises(ValueError, match="no compatibility guarantees"):
        jax.export.export(function("reference"))(x)
    allowed = jax.export.DisabledSafetyCheck.custom_call("multirec_recurrence")
    jax.export.export(function("reference"), disabled_checks=[allowed])(x)


@pytest.mark.parametrize("name", ["jax", "jaxlib"])
def test_jax_is_missing(name, monkeypatch):
    monkeypatch.setattr("multirec._registry.discovery._is_installed", lambda module: module != name)
    status = status_of("jax")
    assert (status.status, status.reason) == ("missing", f"module {name!r} is not installed")
    assert "pip install 'multirec-bank[jax]'" in status.fix


@pytest.mark.parametrize(("version", "is_old"), [("0.4.30", True), ("0.9.9", True), ("0.10.0", False), ("1.0", False)])
def test_jax_is_too_old(version, is_old, monkeypatch):
    _older.cache_clear()
    monkeypatch.setattr("importlib.metadata.version", lambda name: version)
    try:
        status = status_of("jax")
        if not is_old:
            assert status.status == "ready"
            return
        assert (status.status, status.reason) == ("missing", f"jax {version} is too old, it needs 0.10 or newer")
        assert "pip install 'multirec-bank[jax]'" in status.fix
        with pytest.raises(BackendMissingError, match=r"too old.*pip install 'multirec-bank\[jax\]'"):
            registry.info("jax")
    finally:
        _older.cache_clear()


def test_a_design_that_float32_spoils():
    signal = pytest.importorskip("scipy.signal")
    b, a = signal.butter(4, 0.5, "high", fs=500)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 1, 500)), jnp.float32)
    bank = mr.RecurrenceBank.from_ba(b, a)
    with pytest.warns(RoundingWarning, match="filter 0 is no longer stable"):
        bank(x)
    with pytest.warns(RoundingWarning, match="jax_enable_x64"):
        jax.jit(lambda x: mr.recurrence(x, feedback=-a[None, 1:]))(x)
    assert "Pass compute_dtype" in mr.explain(x, feedback=-a[None, 1:]).notes[0]
    expected = signal.lfilter(b, a, np.asarray(x, float))
    with jax.enable_x64(True):
        for function in (bank, jax.jit(bank), jax.jit(lambda x: jax.tree.map(lambda leaf: leaf, bank)(x))):
            y, state = function(x)
            assert (y.dtype, state.outputs.dtype) == (jnp.float32, jnp.float64)
            np.testing.assert_allclose(y, expected, atol=1e-6 * np.abs(expected).max())
