"""Versions of what backends need: whichever distribution brings a module, compared as packages' versions are."""

import subprocess
import sys

import numpy as np
import pytest

import multirec as mr
from multirec._registry.discovery import version_of
from multirec.errors import BackendMissingError


@pytest.fixture
def needy(site):
    """Register a backend that needs made_cuda from version 14 on, as a distribution of another name brings it."""

    def install(version, distribution="made-cuda-cuda13x", needed="14"):
        site.module("made_cuda", "")
        site.library(distribution, version, "made_cuda")
        site.backend("made_needy", "needy", requires=(f"made_cuda>={needed}",), install="'needy[cuda]'")
        site.distribution("needy", needy="made_needy:info")
        return mr.backends()["needy"]

    return install


@pytest.mark.parametrize("distribution", ["made_cuda", "made-cuda-cuda12x", "made-cuda-cuda13x"])
def test_whichever_distribution_brings_a_module(distribution, needy):
    status = needy("14.0.1", distribution)
    assert (status.status, status.version) == ("ready", "made_cuda 14.0.1")


@pytest.mark.parametrize("distribution", ["made_cuda", "made-cuda-cuda12x", "made-cuda-cuda13x"])
def test_one_that_is_too_old(distribution, needy):
    status = needy("13.6.0", distribution)
    assert (status.status, status.reason) == ("missing", "made_cuda 13.6.0 is too old, it needs 14 or newer")
    assert status.fix == "Install it with: pip install 'needy[cuda]'"
    with pytest.raises(BackendMissingError, match=r"made_cuda 13\.6\.0 is too old"):
        mr.RecurrenceBank(feedback=np.array([[0.5]]), backend="needy")


@pytest.mark.parametrize(
    ("version", "needed", "is_old"),
    [
        ("14", "14.0.0", False),
        ("14.0", "14", False),
        ("9.10", "14", True),
        ("14.0.0rc1", "14", True),
        ("14.0.0.post1", "14", False),
        ("14.0+cu130", "14", False),
        ("1!2.0", "14", False),
        ("a build of mine", "14", False),
    ],
)
def test_versions_are_compared_as_packages_are(version, needed, is_old, needy):
    assert (needy(version, needed=needed).status == "missing") == is_old


def test_a_module_of_no_distribution_has_no_version(site):
    site.module("made_alone", "")
    site.backend("made_needy", "needy", requires=("made_alone>=3",))
    site.distribution("needy", needy="made_needy:info")
    status = mr.backends()["needy"]
    assert (version_of("made_alone"), status.version, status.status) == ("", "", "ready")


def test_importing_multirec_reads_no_versions():
    code = "import sys, multirec; sys.exit('packaging' in sys.modules or 'importlib.metadata' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
