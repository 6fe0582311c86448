"""JAX arrays and a NumPy backend: the whole conformance suite, by way of compiled programs."""

import pytest

import multirec as mr
from multirec.testing.checks import CHECKS, Subject, checked, checks_of
from multirec.testing.libraries import JaxLibrary

# called by programs, which know nothing of their arrays' memory
CHECKED = [name for name in CHECKS if name not in ("memory", "refusals")]


@pytest.mark.long
@pytest.mark.skipif(mr.backends()["numba"].status != "ready", reason="numba is not here")
@pytest.mark.parametrize("check", CHECKED)
@pytest.mark.parametrize("dtype", JaxLibrary.dtypes)
def test_numba(dtype, check):
    subject = Subject("numba", JaxLibrary(), dtype)
    if check not in checks_of(subject):
        pytest.skip(f"{check} asks nothing of {dtype}")
    tally = checked(CHECKS[check], subject)
    assert not tally.failures, str(tally)
    assert tally.computed
