"""NumPy backends called by compiled programs: the same numbers, errors, threads, caches, and when `auto` calls."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import threading
from itertools import product
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import multirec as mr
from multirec.adjoint import vjp
from multirec.backend import BackendInfo
from multirec.reference import kernel as reference

needs_numba = pytest.mark.skipif(mr.backends()["numba"].status != "ready", reason="numba is not here")


class Forward:
    """A kernel of somebody's, of new arrays, without a gradient of its own."""

    def forward(self, problem, operands, allocate):
        return reference.forward(problem, operands, allocate)


FORWARD = Forward()


@pytest.fixture
def forward_only():
    info = BackendInfo(name="forward_only", summary="a test", kernel=f"{__name__}:FORWARD", family="numpy")
    mr.register_backend(info)
    yield info.name
    mr.unregister_backend(info.name)


def problem(dtype="float32", layout="BCT", length=200):
    """Return x, feedforward, feedback and the gradient of y as NumPy arrays: batch 3, 4 channels, one shared input."""
    generator = np.random.default_rng(0)

    def draw(*shape):
        values = generator.standard_normal(shape)
        return values + 1j * generator.standard_normal(shape) if "complex" in dtype else values

    axes = {"BCT": (0, 1, 2), "BTC": (0, 2, 1), "TBC": (2, 0, 1)}[layout]
    x, grad_y = (draw(3, channels, length).transpose(axes).astype(jnp.dtype(dtype)) for channels in (1, 4))
    taps = np.result_type(np.float32 if "16" in dtype else dtype, np.float32)
    return x, draw(4, 2).astype(taps), (0.3 * draw(4, 2)).astype(taps), grad_y


CALLS = list(product(("float32", "float64", "complex64", "float16", "bfloat16"), ("BCT", "BTC", "TBC"), (False, True)))


# a program is compiled for each, and type, layout and direction are looked at one by one: every type is quick once
@needs_numba
@pytest.mark.parametrize(
    ("dtype", "layout", "reverse"),
    [pytest.param(*call, marks=() if i in (0, 9, 16, 19, 28) else pytest.mark.long) for i, call in enumerate(CALLS)],
)
def test_the_numbers_are_those_of_numpy_arrays(dtype, layout, reverse):
    given = problem(dtype, layout)
    choices = {"layout": layout, "reverse": reverse, "backend": "numba"}
    with jax.enable_x64(dtype == "float64"):

        def filtered(x, b, a):
            return mr.recurrence(x, feedforward=b, feedback=a, **choices)

        x, b, a, grad_y = map(jnp.asarray, given)
        y, state = jax.jit(filtered)(x, b, a)
        _, pull = jax.vjp(lambda *operands: filtered(*operands)[0], x, b, a)
        found = [grad.conj() for grad in jax.jit(pull)(grad_y.conj())]
    x, b, a, grad_y = given
    want, after = mr.recurrence(x, feedforward=b, feedback=a, **choices)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(state.outputs, after.outputs)
    for got, wanted in zip(found, vjp(grad_y, x, feedforward=b, feedback=a, **choices), strict=False):
        np.testing.assert_array_equal(got, np.asarray(wanted).astype(got.dtype))


@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
def test_programs_move_no_axes(layout, batch):
    """XLA lends the caller's memory, in whatever layout: nothing is transposed, so nothing is copied."""
    shape = {"BCT": (*batch, 5, 70), "BTC": (*batch, 70, 5), "TBC": (70, *batch, 5)}[layout]
    x, gates = jnp.ones(shape), jnp.ones((*shape, 1))

    def filtered(x, gates):
        return mr.recurrence(x, feedback=gates, layout=layout, backend="reference")[0]

    def gradients(x, gates):
        y, pull = jax.vjp(filtered, x, gates)
        return y, pull(jnp.sin(y))

    jax.config.update("jax_disable_most_optimizations", False)
    program = jax.jit(gradients).lower(x, gates).compile().as_text()
    assert program.count('custom_call_target="multirec_recurrence"') == 2
    assert " transpose(" not in program
    if len(batch) == 1:
        assert " copy(" not in program


def test_vmap_folds_in_the_layout():
    x, gates = jnp.ones((3, 4, 70, 5)), jnp.ones((3, 4, 70, 5, 2))

    def filtered(x, gates):
        return mr.recurrence(x, feedback=gates, layout="BTC", backend="reference")[0]

    jax.config.update("jax_disable_most_optimizations", False)
    program = jax.jit(jax.vmap(filtered)).lower(x, gates).compile().as_text()
    assert " transpose(" not in program
    assert " copy(" not in program


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_a_backend_that_gives_only_forward(forward_only, dtype):
    x, b, a, grad_y = map(jnp.asarray, problem(dtype))

    def gradients(backend):
        _, pull = jax.vjp(lambda x, b, a: mr.recurrence(x, feedforward=b, feedback=a, backend=backend)[0], x, b, a)
        return pull(grad_y)

    for got, want in zip(gradients(forward_only), gradients("jax"), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(0, 1, 5), (2, 1, 0), (0, 3, 0)])
def test_nothing_to_compute(shape):
    x, a = jnp.ones(shape), jnp.ones((3, 2))
    y, state = jax.jit(lambda x: mr.recurrence(x, feedback=a, backend="reference"))(x)
    assert y.shape == (shape[0], 3, shape[2])
    assert not state.outputs.any()
    grad = jax.grad(lambda a: mr.recurrence(x, feedback=a, backend="reference")[0].sum())(a)
    np.testing.assert_array_equal(grad, jnp.zeros((3, 2)))


@pytest.mark.parametrize(
    ("cause", "code"), [(MemoryError("of 9 GiB"), "RESOURCE_EXHAUSTED"), (KeyboardInterrupt("now"), "INTERNAL")]
)
def test_errors_come_out_and_the_next_call_works(forward_only, monkeypatch, cause, code):
    x, _, a, _ = map(jnp.asarray, problem())
    filtered = jax.jit(lambda x: mr.recurrence(x, feedback=a, backend=forward_only)[0])

    def fail(*_):
        raise cause

    with monkeypatch.context() as patched:
        patched.setattr(Forward, "forward", fail)
        text = f"{code}: multirec: {type(cause).__name__}: {cause}"
        with pytest.raises(jax.errors.JaxRuntimeError, match=re.escape(text)):
            jax.block_until_ready(filtered(x))
    np.testing.assert_array_equal(filtered(x), mr.recurrence(x, feedback=a, backend="reference")[0])


def test_an_error_waits_for_threads_that_still_write(forward_only, monkeypatch):
    x, _, a, _ = map(jnp.asarray, problem())
    written, go_on = threading.Event(), threading.Event()

    def fail(self, problem, operands, allocate):
        y = allocate(problem.channels, problem.y_dtype)

        def write(y):
            go_on.wait()
            y[...] = 1
            written.set()

        threading.Thread(target=write, args=(y,)).start()
        threading.Timer(0.05, go_on.set).start()
        raise KeyboardInterrupt

    monkeypatch.setattr(Forward, "forward", fail)
    with pytest.raises(jax.errors.JaxRuntimeError, match="KeyboardInterrupt"):
        jax.block_until_ready(mr.recurrence(x, feedback=a, backend=forward_only)[0])
    assert written.is_set()


@needs_numba
def test_many_threads_at_once():
    x, b, a, _ = map(jnp.asarray, problem(length=20000))
    filtered = jax.jit(lambda x: mr.recurrence(x, feedforward=b, feedback=a, backend="numba")[0])
    want, wrong = np.asarray(filtered(x)), []

    def work():
        wrong.extend(k for k in range(20) if not np.array_equal(filtered(x), want))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@needs_numba
def test_a_large_output_is_in_huge_pages():
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not setting.exists() or "[never]" in setting.read_text():
        pytest.skip("the system has no transparent huge pages")
    a = jnp.full((128, 1), 0.5)
    filtered = jax.jit(lambda x: mr.recurrence(x, feedback=a, backend="numba")[0])
    x = jnp.ones((1, 1, 1 << 17))
    filtered(x).block_until_ready()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    y = filtered(x).block_until_ready()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults < y.nbytes / resource.getpagesize() / 4


_PROGRAM = """
import sys
import jax, jax.numpy as jnp, numpy as np, multirec as mr
jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name))
x, a = jnp.ones((2, 1, 300)), jnp.full((3, 1), 0.5)
y = jax.jit(lambda x: mr.recurrence(x, feedback=a, backend="reference")[0])(x)
np.testing.assert_array_equal(y, mr.recurrence(np.asarray(x), feedback=np.asarray(a), backend="reference")[0])
print(hits.count("/jax/compilation_cache/cache_hits"))
"""


@pytest.mark.long
def test_a_program_that_another_process_compiled(tmp_path):
    command = [sys.executable, "-c", _PROGRAM, str(tmp_path)]
    hits = [int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(2)]
    assert hits[0] == 0
    assert hits[1] > 0


@pytest.mark.parametrize("family", ["numpy", "jax"])
def test_a_backend_that_is_registered_anew(family):
    x, a = jnp.ones((1, 1, 4)), jnp.full((2, 1), 0.5)

    class Constant:
        def __init__(self, value):
            self.value = value

        def forward(self, problem, operands, allocate):
            library = jnp if family == "jax" else np
            return library.full((problem.batch, problem.channels, problem.length), self.value, problem.y_dtype)

    def filtered(x):
        return mr.recurrence(x, feedback=a, backend="anew")[0]

    for value in (1.0, 2.0):
        globals()["ANEW"] = Constant(value)
        mr.register_backend(BackendInfo(name="anew", summary="a test", kernel=f"{__name__}:ANEW", family=family))
        compiled = jax.jit(lambda x: filtered(x))
        try:
            assert set(np.ravel(filtered(x))) == {value}
            assert set(np.ravel(compiled(x))) == {value}
            assert set(np.ravel(jax.vjp(filtered, x)[0])) == {value}
            with jax.disable_jit():
                assert set(np.ravel(filtered(x))) == {value}
        finally:
            mr.unregister_backend("anew")
        with pytest.raises(mr.errors.UnknownBackendError):
            filtered(x)
    if family == "numpy":
        # JAX's quick way has an error of its own
        with pytest.raises((jax.errors.JaxRuntimeError, ValueError), match="UnknownBackendError"):
            jax.block_until_ready(compiled(x))


@needs_numba
def test_auto_calls_numba_where_there_is_enough_to_compute():
    a = jnp.full((4, 2), 0.1)

    def compiled(x):
        return jax.jit(lambda x: mr.recurrence(x, feedback=a)[0]).lower(x).as_text()

    few = jnp.ones((1, 1, 4))
    assert "multirec_recurrence" not in compiled(few)
    assert mr.explain(few, feedback=a).chosen == "jax"
    for many in (jnp.ones((1, 1, 5)), jnp.ones((2048, 1, 4))):
        assert "multirec_recurrence" in compiled(many)
        assert mr.explain(many, feedback=a).chosen == "numba"
    # what `vmap` folds counts together
    mapped = jax.jit(jax.vmap(lambda x: mr.recurrence(x, feedback=a)[0])).lower(jnp.stack([few] * 2048))
    assert "multirec_recurrence" in mapped.as_text()


def test_auto_where_xla_divides_the_program():
    mesh = jax.make_mesh((2,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    whole = jnp.asarray(np.random.default_rng(0).standard_normal((8, 1, 5000)), "float32")
    x = jax.device_put(whole, jax.NamedSharding(mesh, jax.P("d")))
    a = jnp.full((4, 1), 0.5)
    filtered = jax.jit(lambda x: mr.recurrence(x, feedback=a)[0])
    # each device calls the host for its own rows
    assert "multirec_recurrence" in filtered.lower(x).compile().as_text()
    assert len(filtered(x).devices()) == 2
    np.testing.assert_allclose(filtered(x), filtered(whole), rtol=1e-5, atol=1e-5)
