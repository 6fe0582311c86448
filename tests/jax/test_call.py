"""NumPy backends called by compiled programs: the same numbers, and what a foreign function can do wrong."""

from __future__ import annotations

import ctypes
import gc
import operator
import re
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import multirec as mr
from multirec._core.arrays import severed
from multirec._engine.plan import forget_plans
from multirec._jax import xla_frame
from multirec._jax.entry import entry
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


@needs_numba
@pytest.mark.parametrize("layout", ["BCT", "BTC", "TBC"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "float16", "bfloat16"])
@pytest.mark.parametrize("reverse", [False, True])
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


def test_a_program_that_another_process_compiled(tmp_path):
    command = [sys.executable, "-c", _PROGRAM, str(tmp_path)]
    hits = [int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(2)]
    assert hits[0] == 0
    assert hits[1] > 0


@pytest.fixture
def pretended(monkeypatch):
    """Return XLA's way into a handler that does nothing, a frame for it, and the errors that are made."""
    made = []

    @ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
    def create(at):
        made.append(xla_frame._NewError.from_address(at).message.decode())
        return 7

    # ctypes prints what it ignores
    monkeypatch.setattr(sys, "unraisablehook", lambda ignored: made.append(ignored.exc_type))
    api = xla_frame._Api(error_create=ctypes.cast(create, ctypes.c_void_p))
    frame = xla_frame.Frame(api=ctypes.pointer(api))
    function = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(entry(lambda at: 0))
    return function, ctypes.addressof(frame), made, (frame, create)


STOPPED = "multirec: Python was stopped, by what it printed as an ignored exception"


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals reach the main thread")
def test_ctrl_c_as_xla_calls(pretended):
    function, frame, made, _ = pretended
    press = ctypes.PyDLL(None)["raise"]
    # both are C, and `map` lets no line of Python come between them
    steps = (press, function, function), (int(signal.SIGINT), frame, frame)
    assert list(map(operator.call, *steps)) == [0, 7, None]
    assert made == [KeyboardInterrupt, STOPPED]


_DEEP = """
import jax, jax.numpy as jnp, multirec as mr
x, a = jnp.ones((1, 4, 64)), jnp.full((4, 2), 0.1)
filtered = jax.jit(lambda x: mr.recurrence(x, feedback=a, backend="reference")[0])
want, errors = filtered(x), []

def descend():
    try:
        filtered(x).block_until_ready()
    except Exception as error:
        errors.append(str(error))
    descend()

try:
    descend()
except RecursionError:
    pass
assert errors
assert jnp.array_equal(filtered(x), want)
"""


def test_a_call_for_which_the_stack_is_too_short():
    done = subprocess.run([sys.executable, "-c", _DEEP], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_code_that_xla_calls_stays_when_everything_else_is_collected():
    # XLA's threads may call as the interpreter ends
    at = entry(lambda at: 0)
    gc.collect()
    frame = xla_frame.Frame()
    assert ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(at)(ctypes.addressof(frame)) is None


_EXPLAIN = """
import sys
sys.modules["llvmlite"] = None
from multirec.cli import cli
cli(["explain", "--family", "jax"])
"""


def test_the_command_says_so_too():
    done = subprocess.run([sys.executable, "-c", _EXPLAIN], capture_output=True, text=True)
    assert re.search(r"reference +no +arrays of JAX without llvmlite", done.stdout), done.stdout + done.stderr


_WITHOUT_LLVMLITE = """
import sys
sys.modules["llvmlite"] = None
import jax, jax.numpy as jnp, multirec as mr
x, a = jnp.ones((1, 4, 64)), jnp.full((4, 2), 0.1)
print(mr.explain(x, feedback=a).candidates["reference"].reason)
print(jax.jit(lambda x: mr.recurrence(x, feedback=a)[0])(x).shape)
mr.recurrence(x, feedback=a, backend="reference")
"""


def test_without_llvmlite():
    done = subprocess.run([sys.executable, "-c", _WITHOUT_LLVMLITE], capture_output=True, text=True)
    reason, shape = done.stdout.splitlines()
    assert re.match(r"arrays of JAX without llvmlite.*pip install llvmlite", reason)
    assert shape == "(1, 4, 64)"
    assert "UnsupportedError: backend 'reference' does not support arrays of JAX without llvmlite" in done.stderr
    assert "Backends that do: jax" in done.stderr


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


def asked(major=0, minor=3, size=None):
    """Return the frame in which XLA of a version asks for ours, and what it gets for an answer."""
    metadata = xla_frame._Metadata()
    extension = xla_frame._Extension(0, 1, None, ctypes.pointer(metadata))
    api = xla_frame._Api()
    api.api_version.major_version, api.api_version.minor_version = major, minor
    frame = xla_frame.Frame(ctypes.sizeof(xla_frame.Frame), ctypes.addressof(extension), ctypes.pointer(api))
    for name in ("arguments", "results", "attributes"):
        part = getattr(frame, name)
        part.struct_size = size or ctypes.sizeof(part)
    return frame, metadata.api_version, (extension, api)


def test_versions_of_the_interface():
    frame, version, _alive = asked(minor=9)
    assert xla_frame.answer(frame) is None
    assert (version.major_version, version.minor_version) == (0, 9)
    for known in (asked(major=1), asked(size=64)):
        assert re.match(r"XLA calls foreign functions by version \d.3", xla_frame.answer(known[0]))


def test_a_jax_that_calls_in_another_way(monkeypatch):
    reason = "XLA calls foreign functions by version 9.9, which multirec does not know"
    monkeypatch.setitem(severed, ("jax", "numpy"), reason)
    forget_plans()
    x, a = jnp.ones((4, 1, 20000)), jnp.full((3, 1), 0.5)
    try:
        explanation = mr.explain(x, feedback=a)
        assert explanation.chosen == "jax"
        assert "version 9.9" in explanation.candidates["reference"].reason
        with pytest.raises(mr.errors.UnsupportedError, match=r"'reference' does not support.*version 9\.9.*: .*jax"):
            mr.recurrence(x, feedback=a, backend="reference")
    finally:
        monkeypatch.undo()
        forget_plans()


@needs_numba
def test_auto_calls_numba_where_there_is_enough_to_compute():
    a = jnp.full((4, 2), 0.1)

    def compiled(x):
        return jax.jit(lambda x: mr.recurrence(x, feedback=a)[0]).lower(x).as_text()

    few = jnp.ones((1, 1, 63))
    assert "multirec_recurrence" not in compiled(few)
    assert mr.explain(few, feedback=a).chosen == "jax"
    for many in (jnp.ones((1, 1, 64)), jnp.ones((131, 1, 63))):
        assert "multirec_recurrence" in compiled(many)
        assert mr.explain(many, feedback=a).chosen == "numba"
    # what `vmap` folds counts together
    mapped = jax.jit(jax.vmap(lambda x: mr.recurrence(x, feedback=a)[0])).lower(jnp.stack([few] * 131))
    assert "multirec_recurrence" in mapped.as_text()


def test_auto_where_xla_divides_the_program():
    mesh = jax.make_mesh((2,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    whole = jnp.asarray(np.random.default_rng(0).standard_normal((8, 1, 5000)), "float32")
    x = jax.device_put(whole, jax.NamedSharding(mesh, jax.P("d")))
    a = jnp.full((4, 1), 0.5)
    filtered = jax.jit(lambda x: mr.recurrence(x, feedback=a)[0])
    assert "multirec_recurrence" not in filtered.lower(x).as_text()
    assert len(filtered(x).devices()) == 2
    np.testing.assert_allclose(filtered(x), filtered(whole), rtol=1e-5, atol=1e-5)
