"""Continuous integration installs and runs what the Makefile does, for the Pythons that are declared."""

import re
import shlex
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
JOBS = dict(re.findall(r"^  ([\w-]+):\n((?:    .*\n|\n|  #.*\n)*)", WORKFLOW.partition("\njobs:\n")[2], re.MULTILINE))


def rule(target):
    """Return the commands of a target, as they are without a virtual environment of their own."""
    (found,) = re.findall(rf"^{re.escape(target)}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    return re.findall(r"^\t\$\(BIN\)/(.*)", found, re.MULTILINE)


def installed(commands):
    """Return the sets of words that are given to pip install."""
    lines = (shlex.split(command.replace("$(INSTALL)", "-m pip install --quiet --quiet")) for command in commands)
    return [set(words[4:]) - {"--quiet"} for words in lines if words[:4] == ["python", "-m", "pip", "install"]]


def test_systems_without_make_install_what_make_installs():
    steps = re.findall(r"- run: (.*)", JOBS["other-systems"])
    wanted = installed([*rule("$(INSTALLED)"), *rule("$(PLUGIN)")])
    # the extra of the next one requires it
    wanted.remove({"-c", "constraints.txt", "torch"})
    assert installed(steps) == wanted
    assert wanted[1] == {"-c", "constraints.txt", "-e", ".[torch,numba,jax,bench,docs,dev]"}
    assert steps[-1] == rule("pytest")[-1]


def test_every_target_that_is_run_is_there():
    targets = re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.MULTILINE)
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    run = re.findall(r"^(?: *- run: )?make ([a-z-]+)", WORKFLOW + script, re.MULTILINE)
    assert run
    assert set(run) <= set(targets)


def test_declared_pythons_and_systems_are_run():
    declared = {said.rpartition(" ")[2] for said in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", said)}
    systems = {"Windows": "windows-latest", "MacOS": "macos-latest", "Linux": "ubuntu-latest"}
    assert all(any(said.endswith(name) for said in PROJECT["classifiers"]) for name in systems)
    for name in ("linux", "other-systems"):
        (pythons,) = re.findall(r"python: \[(.*)\]", JOBS[name])
        assert set(re.findall(r"[\d.]+", pythons)) == declared
    assert all(system in WORKFLOW for system in systems.values())


def test_every_job_ends():
    assert len(JOBS) > 3
    assert all("timeout-minutes:" in text for text in JOBS.values())
