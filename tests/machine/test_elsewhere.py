"""The library in an interpreter that lacks what Windows or macOS lack."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("llvmlite")

PROGRAM = Path(__file__).with_name("elsewhere.py")
SETTINGS = "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "OMP_NUM_THREADS"
CACHES = {"win32": "local/multirec/numba", "darwin": "Library/Caches/multirec/numba"}


def run(system, folder, *words, **environment):
    own = {"HOME": str(folder), "LOCALAPPDATA": str(folder / "local"), **environment}
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    command = [sys.executable, "-W", "error", str(PROGRAM), system, *words]
    found = subprocess.run(command, env=kept | own, cwd=folder, capture_output=True, timeout=300, check=False)
    assert found.returncode == 0, found.stderr.decode()
    return found.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="pretends to be another system on this one")
@pytest.mark.parametrize("system", CACHES)
def test_operations(tmp_path, system):
    run(system, tmp_path)
    assert list((tmp_path / CACHES[system]).glob("*.o"))


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="pretends to be another system on this one")
@pytest.mark.parametrize("system", CACHES)
def test_commands(tmp_path, system):
    small = shlex.split("-B 1 -C 2 -T 64 --mode forward --quick --time 40s -b reference -b numba")
    # what a pipe has on Windows
    run(system, tmp_path, "bench", *small, "-o", "out.json", PYTHONIOENCODING="cp1252")
    document = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert {cell["status"] for cell in document["cells"]} == {"ok"}
    assert b"reference" in run(system, tmp_path, "bench", "show", "out.json", PYTHONIOENCODING="cp1252")
    assert b"checks passed" in run(system, tmp_path, "check", "reference", "--quick", PYTHONIOENCODING="cp1252")
