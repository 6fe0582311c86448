"""What a wheel holds, and that everything public is documented."""

import importlib
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import multirec

ROOT = Path(__file__).parents[2]


IGNORED = shutil.ignore_patterns(".git", ".venv*", "build", "dist", "*.egg-info", "__pycache__", "docs", ".*_cache")
BUILT_IN = {"cupy", "jax", "numba", "reference", "torch_loop", "unfold_scan"}
SMALLEST = "bench -B 1 -C 2 -T 64 --mode forward --quick --time 10s -b reference -o out.json"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from the sdist, which is built from a copy: what the sdist lacks, the wheel lacks."""
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(ROOT, folder / "source", ignore=IGNORED)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, folder / "source"]
    built = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "Deprecat" not in built.stdout + built.stderr
    assert len(list(folder.glob("multirec_bank-*.tar.gz"))) == 1
    (found,) = folder.glob("*.whl")
    return found


@pytest.mark.long
def test_a_wheel_holds_two_packages_and_the_command(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    packages = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert packages == {"multirec", "multirec_backends", "multirec_command.py"}
    sources = [path for root in ("multirec", "backends/multirec_backends") for path in (ROOT / root).rglob("*")]
    wanted = {path for path in sources if path.suffix in (".py", ".json", ".cuh", ".typed")}
    assert {path.relative_to(ROOT).as_posix().removeprefix("backends/") for path in wanted} <= set(names)


@pytest.mark.long
def test_metadata_say_version_and_licence(wheel):
    files = zipfile.ZipFile(wheel)
    (name,) = (name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(files.read(name).decode())
    assert metadata["Version"] == multirec.__version__
    assert (metadata["License-Expression"], metadata.get_all("License-File")) == ("MIT", ["LICENSE"])
    assert not [said for said in metadata.get_all("Classifier") if said.startswith("License")]


@pytest.mark.long
def test_an_installed_wheel_runs_with_what_it_requires_alone(wheel, tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    bin = tmp_path / "env" / ("Scripts" if sys.platform == "win32" else "bin")
    # the checkout must not be found in place of what is installed
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(program, *words):
        command = [bin / program, *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("python", "-m", "pip", "install", "-q", wheel)
    assert multirec.__version__ in run("multirec", "--version")
    assert "bench" in run("multirec", "--help")
    status = {line.split()[0]: line.split()[1] for line in run("multirec", "backends").splitlines() if line[:1] > " "}
    assert status.pop("reference") == "ready"
    assert status.pop("backend") == "status"
    assert set(status) == BUILT_IN - {"reference"}
    assert set(status.values()) == {"missing"}
    assert "reference" in run("multirec", *SMALLEST.split())
    assert "reference" in run("multirec", "bench", "show", "out.json")
    run("python", "-c", "import multirec, sys; assert not {'click', 'rich', 'torch'} & set(sys.modules)")


PUBLIC = """
multirec multirec.adjoint multirec.analysis multirec.backend multirec.biquads multirec.compat.torchaudio multirec.errors
multirec.distributed multirec.filterbanks multirec.nn multirec.plot multirec.signal multirec.testing
"""


@pytest.mark.parametrize("module", PUBLIC.split())
def test_everything_public_is_there_and_documented(module):
    module = importlib.import_module(module)
    for name in module.__all__:
        thing = getattr(module, name)
        if callable(thing) and getattr(thing, "__module__", "").startswith("multirec"):
            assert thing.__doc__, f"{module.__name__}.{name} has no docstring"


def test_there_is_no_package_around_the_backends():
    assert not (ROOT / "backends" / "__init__.py").exists()
