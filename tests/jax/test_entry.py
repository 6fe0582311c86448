"""What can go wrong between XLA and Python: signals, a full stack, other versions, and no llvmlite."""

from __future__ import annotations

import ctypes
import gc
import operator
import re
import signal
import subprocess
import sys
import threading

import jax.numpy as jnp
import pytest

import multirec as mr
from multirec._core.arrays import severed
from multirec._jax import xla_frame
from multirec._jax.entry import entry
from multirec._registry.registry import registry


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


STOPPED = "multirec: KeyboardInterrupt, or what else Python printed as an ignored exception, stopped the call"


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


def forget():
    """Have every plan made anew."""
    for watcher in registry.watchers:
        watcher()


def test_a_jax_that_calls_in_another_way(monkeypatch):
    reason = "XLA calls foreign functions by version 9.9, which multirec does not know"
    monkeypatch.setitem(severed, ("jax", "numpy"), reason)
    forget()
    x, a = jnp.ones((4, 1, 20000)), jnp.full((3, 1), 0.5)
    try:
        explanation = mr.explain(x, feedback=a)
        assert explanation.chosen == "jax"
        assert "version 9.9" in explanation.candidates["reference"].reason
        with pytest.raises(mr.errors.UnsupportedError, match=r"'reference' does not support.*version 9\.9.*: .*jax"):
            mr.recurrence(x, feedback=a, backend="reference")
    finally:
        monkeypatch.undo()
        forget()


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


@pytest.mark.long
def test_without_llvmlite():
    done = subprocess.run([sys.executable, "-c", _WITHOUT_LLVMLITE], capture_output=True, text=True)
    reason, shape = done.stdout.splitlines()
    assert re.match(r"arrays of JAX without llvmlite.*pip install llvmlite", reason)
    assert shape == "(1, 4, 64)"
    assert "UnsupportedError: backend 'reference' does not support arrays of JAX without llvmlite" in done.stderr
    assert "Backends that do: jax" in done.stderr


ENDS = """
import jax, jax.numpy as jnp, numpy as np
import multirec as mr

def run(x):
    for _ in range(8):
        x = 0.1 * mr.recurrence(x, feedback=np.array([[1.5, -0.7]], "float32"), backend="numba")[0]
    return (x * x).sum()

y = jax.jit(jax.grad(run))(jnp.ones((8, 64, 16000), "float32"))
{then}
"""


@pytest.mark.parametrize("then", ["pass", "del y"], ids=["held", "dropped"])
def test_the_interpreter_ends_while_a_program_runs(then):
    found = subprocess.run([sys.executable, "-c", ENDS.format(then=then)], capture_output=True, text=True, timeout=120)
    assert (found.returncode, found.stderr) == (0, "")
