"""The numba backend in hard circumstances. Each scenario of the folder `survive` has a process of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("llvmlite")

FOLDER = Path(__file__).with_name("survive")
SCENARIOS = {
    "forks": (
        "bare_fork",
        "fork_while_another_thread_filters",
        "fork_while_another_thread_compiles",
        "fork_while_another_thread_loads_the_backend",
        "workers",
        "ignorant_platform",
    ),
    "threads": ("first_call_from_sixteen", "no_more_threads", "end_while_filtering"),
    "memory": ("numpy_without_memory", "numpy_leaks_nothing", "new_shapes_leak_nothing"),
    "interrupts": ("in_a_long_call", "at_any_moment", "among_forks", "while_compiling"),
}
WITH_TORCH = {
    "forks": ("fork_with_torch", "data_loader"),
    "threads": ("sixteen", "one_torch_thread"),
    "memory": (
        "torch_without_memory",
        "torch_leaks_nothing",
        "step_with_gradients_of_coefficients",
        "step_without_gradients_of_coefficients",
        "graph_without_y",
    ),
}
QUICK = {
    *("bare_fork", "fork_while_another_thread_filters", "workers", "first_call_from_sixteen", "end_while_filtering"),
    *("numpy_leaks_nothing", "in_a_long_call", "among_forks", "fork_with_torch"),
}
"""One or two of each group; the others are slower checks."""
EMPTY_CACHE = ("fork_while_another_thread_compiles", "while_compiling")


def named(groups):
    return [
        pytest.param(file, name, marks=() if name in QUICK else pytest.mark.long)
        for file, names in groups.items()
        for name in names
    ]


def survive(file, name, **environment):
    """Run a scenario; several threads, however few processors there are."""
    command = [sys.executable, str(FOLDER / f"{file}.py"), name]
    environment = {**os.environ, "OMP_NUM_THREADS": "", **environment}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, f"{result.returncode}\n{result.stdout}{result.stderr}"
    # what a hook or a thread raises does not reach the exit status; an interrupt may hit a hook of the standard library
    assert "Traceback" not in result.stderr or file == "interrupts", result.stderr


@pytest.mark.parametrize(("file", "name"), named(SCENARIOS))
def test_survives(tmp_path, file, name):
    survive(file, name, **({"NUMBA_CACHE_DIR": str(tmp_path)} if name in EMPTY_CACHE else {}))


@pytest.mark.parametrize(("file", "name"), named(WITH_TORCH))
def test_survives_with_torch(file, name):
    pytest.importorskip("torch")
    survive(file, name)


def test_survives_joblib():
    # asked for without importing it here
    assert importlib.util.find_spec("joblib"), "joblib is in the extra 'dev'"
    survive("threads", "with_joblib")
