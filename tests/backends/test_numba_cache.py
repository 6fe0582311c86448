"""Compiled kernels on disk: whatever happens to the folder costs time and nothing else."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

pytest.importorskip("llvmlite")

from multirec_backends.numba._run import compile as _compile

FILTER = """
import numpy as np
import multirec as mr
x = np.random.default_rng(0).standard_normal((2, 5, LENGTH)).astype("float32")
y, _ = mr.recurrence(x, feedback=np.full((5, 1), 0.5), backend="numba")
np.testing.assert_allclose(y, mr.recurrence(x, feedback=np.full((5, 1), 0.5), backend="reference")[0], atol=1e-5)
"""
LENGTHS = itertools.count(301)


def start(folder, **environment):
    command = [sys.executable, "-W", "error", "-c", f"LENGTH = 300{FILTER}"]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder), **environment}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert not output


@pytest.fixture
def filtered(monkeypatch, capfd):
    """Return a function that filters in this process, as one that has no kernel yet; nothing is said of the folder."""

    def run(folder, **environment):
        monkeypatch.setattr(_compile, "_ready", {})
        for name, value in {"NUMBA_CACHE_DIR": str(folder), **environment}.items():
            monkeypatch.setenv(name, value)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # plans are kept for each length, and kernels with them
            exec(FILTER, {"LENGTH": next(LENGTHS)})
        assert len(_compile._ready) == 1
        assert not any(capfd.readouterr())

    return run


def kept(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cached")
    finish(start(folder))
    return folder


def test_second_process_finds_the_kernel(cached):
    (file,) = kept(cached)
    assert file.suffix == ".o"
    before = file.stat()
    finish(start(cached))
    assert kept(cached) == [file]
    assert file.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:20],
        lambda content: content[:-1],
        lambda content: content[:1000] + bytes([content[1000] ^ 1]) + content[1001:],
        lambda content: bytes(len(content)),
    ],
    ids=["empty", "no checksum", "truncated", "one bit", "zeros"],
)
def test_damaged_file_is_made_again(cached, tmp_path, filtered, damage):
    (file,) = kept(cached)
    (tmp_path / "multirec").mkdir()
    copy = tmp_path / "multirec" / file.name
    copy.write_bytes(damage(file.read_bytes()))
    filtered(tmp_path)
    assert kept(tmp_path) == [copy]
    assert len(copy.read_bytes()) == len(file.read_bytes())


def test_folder_in_place_of_the_file(cached, tmp_path, filtered):
    (file,) = kept(cached)
    (tmp_path / "multirec" / file.name).mkdir(parents=True)
    filtered(tmp_path)
    assert kept(tmp_path) == []


@pytest.mark.parametrize("kind", ["cannot be made", "is a file", "read-only", "no home"])
def test_folder_that_cannot_be_used(tmp_path, filtered, kind):
    folder, environment = tmp_path / "cache", {}
    if kind == "cannot be made":
        folder = Path("/proc/self/cache")  # not even for root
    elif kind == "is a file":
        folder.write_text("not a folder")
    elif kind == "read-only":
        (folder / "multirec").mkdir(parents=True)
        (folder / "multirec").chmod(0o500)
    else:
        folder, environment = "", {"HOME": "/proc/self/home", "XDG_CACHE_HOME": ""}
    filtered(folder, **environment)


def test_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def refuse(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    _compile._write(tmp_path / "kernel.o", b"code")
    assert kept(tmp_path) == []


def test_interrupt_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        _compile._write(tmp_path / "kernel.o", b"code")
    assert kept(tmp_path) == []


def test_two_processes_write_at_once(tmp_path):
    for process in [start(tmp_path) for _ in range(2)]:
        finish(process)
    (file,) = kept(tmp_path)
    finish(start(tmp_path))
    assert kept(tmp_path) == [file]


def test_source_without_files_is_compiled_without_a_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(_compile, "__file__", str(tmp_path / "archive.zip" / "_compile.py"))
    assert _compile._fingerprint.__wrapped__() is None
