"""What the process asks of the machine: on this one, and on others by the documentation of their libraries."""

import ctypes
import os
from pathlib import Path

import libraries
import pytest

from multirec import memory
from multirec._machine import available, darwin, groups, libc, processors, windows
from multirec._machine.cache import cache_folder


@pytest.fixture
def on_windows(monkeypatch):
    monkeypatch.setattr("sys.platform", "win32")
    return lambda *args, **kw: monkeypatch.setattr(
        ctypes, "WinDLL", lambda name: libraries.kernel32(*args, **kw), raising=False
    )


@pytest.fixture
def on_macos(monkeypatch):
    def boot(**machine):
        library = libraries.libsystem(**machine)
        monkeypatch.setattr(darwin, "CDLL", lambda name: library)
        return library

    monkeypatch.setattr("sys.platform", "darwin")
    return boot


@pytest.mark.parametrize(
    ("classes", "own", "count"),
    [
        pytest.param([0] * 8, None, 8, id="one kind"),
        pytest.param([1] * 4 + [0] * 8, None, 4, id="two kinds"),
        pytest.param([1] * 4 + [0] * 8, 0b110000110000, 4, id="some of the slow"),
        pytest.param([1] * 4 + [0] * 8, 0b110000000011, 2, id="some of both"),
        pytest.param([0] * 8, 0, os.cpu_count(), id="a process in several groups, before Windows 11"),
    ],
)
def test_processors_of_windows(on_windows, classes, own, count):
    on_windows(classes, own)
    assert processors.usable_processors() == count


def test_memory_of_windows(on_windows):
    on_windows([0], total=32, available=20)
    assert (available.physical_bytes(), available.available_bytes()) == (32, 20)
    on_windows([0], total=32, available=20, with_file=12)
    assert windows.memory() == (32, 12)
    libc.give_back()


@pytest.mark.parametrize(("fast", "count"), [(4, 4), (None, os.cpu_count())])
def test_processors_of_macos(on_macos, fast, count):
    on_macos(fast=fast)
    assert processors.usable_processors() == count


def test_memory_of_macos(on_macos):
    library = on_macos(free=1000, inactive=500)
    assert available.available_bytes() == 1500 * os.sysconf("SC_PAGE_SIZE")
    memory.clear()
    assert library.relieved == [(None, 0)]


def linux(monkeypatch, folder, processors_allowed=8):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(processors_allowed)), raising=False)
    monkeypatch.setattr(processors, "_FAST", folder / "fast")
    monkeypatch.setattr(groups, "_OWN", folder / "own")
    monkeypatch.setattr(groups, "_ROOT", folder)


@pytest.mark.parametrize(("fast", "count"), [("0-3", 4), ("0-1,4-5,20", 4), ("7", 1), ("16-19", 8), (None, 8)])
def test_fast_processors_of_linux(monkeypatch, tmp_path, fast, count):
    linux(monkeypatch, tmp_path)
    if fast:
        (tmp_path / "fast").write_text(f"{fast}\n")
    assert processors.usable_processors() == count


@pytest.mark.parametrize(
    ("own", "files", "count"),
    [
        ("0::/inner\n", {"cpu.max": "max 100000\n", "inner/cpu.max": "150000 100000\n"}, 2),
        ("0::/inner\n", {"cpu.max": "100000 100000\n", "inner/cpu.max": "max 100000\n"}, 1),
        ("0::/inner\n", {"inner/cpu.max": "5000 100000\n"}, 1),
        ("0::/the/hosts\n", {"cpu.max": "300000 100000\n"}, 3),
        ("4:cpu,cpuacct:/inner\n0::/\n", {"cpu/inner/cpu.cfs_quota_us": "250000\n"}, 3),
        ("4:cpu,cpuacct:/inner\n", {"cpu/inner/cpu.cfs_quota_us": "-1\n"}, 8),
        ("4:cpuset:/inner\n", {"cpu/inner/cpu.cfs_quota_us": "100000\n"}, 8),
    ],
)
def test_quotas_of_containers(monkeypatch, tmp_path, own, files, count):
    linux(monkeypatch, tmp_path)
    (tmp_path / "own").write_text(own)
    for name, text in {"cpu/inner/cpu.cfs_period_us": "100000\n", **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert processors.usable_processors() == count


HOME = Path("home")


@pytest.mark.parametrize(
    ("platform", "environment", "folder"),
    [
        ("linux", {}, HOME / ".cache" / "multirec" / "numba"),
        ("darwin", {}, HOME / "Library" / "Caches" / "multirec" / "numba"),
        ("win32", {}, HOME / ".cache" / "multirec" / "numba"),
        ("win32", {"LOCALAPPDATA": "local"}, Path("local", "multirec", "numba")),
        ("linux", {"LOCALAPPDATA": "local"}, HOME / ".cache" / "multirec" / "numba"),
        ("win32", {"LOCALAPPDATA": "local", "XDG_CACHE_HOME": "xdg"}, Path("xdg", "multirec", "numba")),
        ("darwin", {"NUMBA_CACHE_DIR": "own", "XDG_CACHE_HOME": "xdg"}, Path("own", "multirec")),
    ],
)
def test_cache_folder(monkeypatch, platform, environment, folder):
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(Path, "home", lambda: HOME)
    assert cache_folder("NUMBA_CACHE_DIR", "numba") == folder
