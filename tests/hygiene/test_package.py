"""What a wheel holds, and that everything public is documented."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import multirec
import multirec.adjoint
import multirec.backend
import multirec.errors
import multirec.testing

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_a_wheel_holds_two_packages_and_the_command(tmp_path):
    copy = tmp_path / "source"
    ignored = shutil.ignore_patterns(".git", ".venv", "build", "*.egg-info", "__pycache__", "docs", ".*_cache")
    shutil.copytree(ROOT, copy, ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "-q", "-w", tmp_path, copy]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    packages = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert packages == {"multirec", "multirec_backends", "multirec_command.py"}
    shipped = {name for name in names if name.endswith(".py")}
    for root in (ROOT / "multirec", ROOT / "backends" / "multirec_backends"):
        assert {path.relative_to(root.parent).as_posix() for path in root.rglob("*.py")} <= shipped
    assert {"multirec/py.typed", "multirec_backends/py.typed"} <= set(names)


@pytest.mark.parametrize(
    "module",
    [multirec, multirec.adjoint, multirec.backend, multirec.errors, multirec.testing],
    ids=lambda m: m.__name__,
)
def test_everything_public_is_there_and_documented(module):
    for name in module.__all__:
        thing = getattr(module, name)
        if callable(thing) and getattr(thing, "__module__", "").startswith("multirec"):
            assert thing.__doc__, f"{module.__name__}.{name} has no docstring"


def test_there_is_no_package_around_the_backends():
    assert not (ROOT / "backends" / "__init__.py").exists()
