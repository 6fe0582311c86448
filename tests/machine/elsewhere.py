"""Runs public operations in an interpreter that has what another system has, as far as Python shows it.

``python elsewhere.py win32|darwin [command line of multirec]``
"""

import builtins
import contextlib
import ctypes
import io
import multiprocessing.connection
import multiprocessing.popen_spawn_posix
import multiprocessing.resource_tracker
import os
import signal
import socket  # noqa: F401
import subprocess  # noqa: F401
import sys
import sysconfig
import tempfile  # noqa: F401

import click  # noqa: F401
import libraries
import llvmlite.binding  # noqa: F401
import numpy as np
import rich.progress
import rich.text  # noqa: F401

# what Windows lacks, but for what the standard library of this system itself needs to start and end processes
WITHOUT = {
    os: "fork forkpty register_at_fork sched_getaffinity sched_setaffinity sysconf getloadavg set_blocking killpg "
    "getuid geteuid setsid umask nice wait",
    signal: "SIGALRM SIGHUP SIGUSR1 SIGQUIT setitimer siginterrupt",
}
MODULES = "fcntl resource pwd grp termios tty pty posix_ipc readline"


def pretend_windows():
    for module, names in WITHOUT.items():
        for name in names.split():
            with contextlib.suppress(AttributeError):
                delattr(module, name)
    sys.modules.update(dict.fromkeys(MODULES.split()))
    multiprocessing.get_all_start_methods = lambda: ["spawn"]
    kernel = libraries.kernel32([1] * 4 + [0] * 2, total=2**34, available=2**33)
    ctypes.WinDLL = lambda name: kernel
    library = ctypes.CDLL

    def load(name, *rest, **named):
        if name is None:
            raise TypeError("bad argument type for built-in operation")
        return library(name, *rest, **named)

    ctypes.CDLL = load


def pretend_macos():
    for name in ("sched_getaffinity", "sched_setaffinity"):
        delattr(os, name)
    machine = libraries.libsystem(fast=4, free=2**33 // os.sysconf("SC_PAGE_SIZE"))
    library = ctypes.CDLL
    ctypes.CDLL = lambda name, *rest, **named: machine if name is None else library(name, *rest, **named)


def pretend(system):
    """Change this interpreter; what the standard library did when it was imported stays."""
    # it reads a file that is named after the system
    sysconfig.get_config_vars()
    (pretend_windows if system == "win32" else pretend_macos)()
    real = io.open

    def without_proc(path, *rest, **named):
        if str(path).startswith(("/proc", "/sys")):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return real(path, *rest, **named)

    io.open = builtins.open = without_proc
    sys.platform = system


def operations():
    """Call what users call: forward and gradients, on several threads, in memory that is used again."""
    import multirec as mr

    assert mr.num_threads() == 4
    # an eighth of what is available
    assert mr.memory.limit() == 2**30
    rng = np.random.default_rng(0)
    x, b, a = rng.standard_normal((4, 16, 20000)).astype("float32"), rng.uniform(-1, 1, (16, 3)), [[0.5, -0.2]] * 16
    found = {}
    for backend in ("reference", "numba"):
        y, _ = mr.recurrence(x[..., :2000], feedforward=b, feedback=np.array(a), backend=backend)
        gates = rng.uniform(0, 1, (2, 300, 16)).astype("float32") if not found else found["reference"][1]
        h, _ = mr.scan(gates, x[:2, 0, :4800].reshape(2, 300, 16), backend=backend)
        found[backend] = y, gates, h
    for index in (0, 2):
        np.testing.assert_allclose(found["numba"][index], found["reference"][index], rtol=1e-4, atol=1e-4)
    y, _ = mr.recurrence(x, feedforward=b, feedback=np.array(a), backend="numba")
    assert y.nbytes > 2**22
    del y
    assert mr.memory.retained() > 2**22
    mr.memory.clear()
    assert mr.memory.retained() == 0


if __name__ == "__main__":
    pretend(sys.argv[1])
    if sys.argv[2:]:
        from multirec.cli import main

        main(sys.argv[2:])
    operations()
