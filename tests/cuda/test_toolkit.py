"""Finding the NVRTC that fits torch's CUDA among folders, without importing anything; and what real ones compile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from multirec_backends.cupy._launch import toolkit
from multirec_backends.cupy._launch.toolkit import find, torch_cuda

HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the names of libraries are those of Linux")


class Site:
    """A folder of packages in which torch and NVIDIA's wheels seem to be installed."""

    def __init__(self, path, monkeypatch):
        self.path = path
        path.mkdir()
        monkeypatch.syspath_prepend(path)

    def torch(self, cuda="13.0", hip=None):
        folder = self.path / "torch"
        folder.mkdir()
        (folder / "__init__.py").write_text("raise AssertionError('imported')")
        (folder / "version.py").write_text(
            f"from typing import Optional\n__version__ = '2.13.0'\ncuda: Optional[str] = {cuda!r}\n"
            f"hip: Optional[str] = {hip!r}\n"
        )

    def wheel(self, folder, *names):
        (self.path / folder).mkdir(parents=True)
        for name in names:
            (self.path / folder / name).write_bytes(b"")

    def bindings(self, version):
        info = self.path / f"cuda_bindings-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: cuda-bindings\nVersion: {version}\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] in ("torch", "nvidia")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("CUDA_HOME", "CUDA_PATH", "LD_LIBRARY_PATH"):
        monkeypatch.delenv(name, raising=False)
    # the machine's own are not to be found
    kept = [folder for folder in sys.path if "cuda" not in folder or str(HERE) == folder]
    monkeypatch.setattr(sys, "path", kept)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    monkeypatch.setattr(toolkit, "_SYSTEM", ())
    return Site(tmp_path / "site", monkeypatch)


def test_that_of_torch_s_wheels(site):
    site.torch()
    site.wheel("nvidia/cu13/lib", "libnvrtc.so.13", "libnvrtc-builtins.so.13.0", "libnvrtc.alt.so.13")
    found = find()
    assert found.path == site.path / "nvidia/cu13/lib/libnvrtc.so.13"
    assert str(found) == "torch's NVRTC 13.0 through ctypes"
    assert "torch" not in sys.modules


def test_of_two_versions_that_of_torch_s_major_one(site):
    site.torch("12.8")
    site.wheel("nvidia/cu13/lib", "libnvrtc.so.13", "libnvrtc-builtins.so.13.0")
    site.wheel("nvidia/cuda_nvrtc/lib", "libnvrtc.so.12", "libnvrtc-builtins.so.12.8")
    found = find()
    assert found.path.parent.parent.name == "cuda_nvrtc"
    assert found.version == (12, 8)


def test_of_two_of_one_version_that_beside_torch(site, tmp_path, monkeypatch):
    other = Site(tmp_path / "other", monkeypatch)
    other.wheel("nvidia/cu13/lib", "libnvrtc.so.13", "libnvrtc-builtins.so.13.5")
    site.torch()
    site.wheel("nvidia/cu13/lib", "libnvrtc.so.13", "libnvrtc-builtins.so.13.0")
    found = find()
    assert (found.path.parents[3], found.version, found.owner) == (site.path, (13, 0), "torch's")


@pytest.mark.parametrize(
    ("folder", "names", "version"),
    [
        ("torch/lib", ("libnvrtc-672ee683.so.11.2", "libnvrtc-builtins-2dc4bf68.so.11.8"), "11.8"),
        ("torch/lib", ("libnvrtc.so.11.2", "libnvrtc-builtins.so.11.8"), "11.8"),
        ("torch/lib", ("libnvrtc.so.11.2",), "11"),
    ],
)
def test_that_inside_of_torch(site, folder, names, version):
    site.torch("11.8")
    site.wheel(folder, *names)
    assert str(find()) == f"torch's NVRTC {version} through ctypes"


@pytest.mark.parametrize("where", ["CUDA_HOME", "CUDA_PATH", "prefix", "LD_LIBRARY_PATH"])
def test_that_of_the_system_where_torch_has_none(site, tmp_path, monkeypatch, where):
    site.torch()
    site.wheel("nvidia/cuda_nvrtc/lib", "libnvrtc.so.12")
    folder = tmp_path / "prefix" / "lib"
    folder.mkdir(parents=True)
    (folder / "libnvrtc.so.13").write_bytes(b"")
    if where != "prefix":
        monkeypatch.setattr(sys, "prefix", "/nowhere")
        monkeypatch.setenv(where, str(folder if where == "LD_LIBRARY_PATH" else folder.parent))
    found = find()
    assert (found.path, str(found)) == (folder / "libnvrtc.so.13", "the system's NVRTC 13 through ctypes")


def test_of_the_system_only_what_loads_is_loaded(tmp_path):
    builtins = [tmp_path / name for name in ("libnvrtc-builtins.so", "libnvrtc-builtins.so.13.0")]
    for path in (*builtins, tmp_path / "libnvrtc-builtins.alt.so.13.0", tmp_path / "libnvrtc-builtins_static.a"):
        path.write_bytes(b"")
    assert toolkit.builtins_of(tmp_path / "libnvrtc.so.13") == builtins


@pytest.mark.parametrize("names", [(), ("libnvrtc.so.12", "libnvrtc-builtins.so.13.0", "libnvrtc.alt.so.13")])
def test_none_of_torch_s_version(site, names):
    site.torch()
    site.wheel("nvidia/cu13/lib", *names)
    assert find() is None


@pytest.mark.parametrize("cuda", [None, ""])
def test_a_torch_without_cuda_needs_none(site, cuda):
    site.torch(cuda, hip="7.0")
    site.wheel("nvidia/cu13/lib", "libnvrtc.so.13")
    assert (torch_cuda(), find()) == ("", None)


def test_no_torch_or_one_that_cannot_be_read(site, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert (torch_cuda(), find()) == ("", None)
    monkeypatch.delitem(sys.modules, "torch")
    site.torch()
    (site.path / "torch" / "version.py").write_bytes(b"\xff\xfe")
    assert torch_cuda() == ""
    (site.path / "torch" / "version.py").unlink()
    assert torch_cuda() == ""


@pytest.mark.parametrize(("bindings", "through"), [("13.0.3", "cuda-bindings"), ("12.9.4", "ctypes"), ("", "ctypes")])
def test_bindings_of_torch_s_major_version(site, bindings, through):
    site.torch()
    site.wheel("nvidia/cu13/lib", "libnvrtc.so.13")
    if bindings:
        site.bindings(bindings)
    before = set(sys.modules)
    assert str(find()).endswith(f"through {through}")
    assert set(sys.modules) == before


COMPILE = """
import hashlib
from multirec_backends.cupy._launch.nvrtc import Nvrtc
from multirec_backends.cupy._launch.toolkit import find
from multirec_backends.cupy._launch.kernels import _OPTIONS
from multirec_backends.cupy._launch import toolkit
from multirec_backends.cupy._source import whole_source
import sys
found = None
for toolkit.torch_cuda in (lambda: "13.0", lambda: "12.0"):
    found = found or find()
if found is None:
    sys.exit(3)
if sys.argv[1] == "cuda-bindings" and not found.bindings:
    sys.exit(4)
nvrtc = Nvrtc(found if sys.argv[1] == "cuda-bindings" else found._replace(bindings=""))
assert found.version in (nvrtc.version, nvrtc.version[:1])
for target in ("sm_90", "compute_90"):
    print(hashlib.sha256(nvrtc.compile(whole_source("carry<float,float,2,1024,false>"), target, _OPTIONS)).hexdigest())
"""


def compiled(through):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, through], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode in (3, 4):
        pytest.skip("NVRTC is not installed" if done.returncode == 3 else "cuda-bindings is not installed")
    assert not done.returncode, done.stderr
    return done.stdout.split()


def test_a_real_one_compiles_a_kernel_to_the_same_by_ctypes_and_by_cuda_bindings():
    found = compiled("ctypes")
    assert len(set(found)) == 2
    assert compiled("cuda-bindings") == found
