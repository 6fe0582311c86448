"""SciPy's own tests of its filters, run on multirec's."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.signal
from scipy.signal.tests import test_signaltools as own

from multirec import signal

CLASSES = (
    "TestLinearFilterFloat32",
    "TestLinearFilterFloat64",
    "TestLinearFilterComplex64",
    "TestLinearFilterComplex128",
    "TestLFilterZI",
    "TestFiltFilt",
    "TestSOSFiltFilt",
    "TestSOSFilt",
    "TestDecimate",
    "TestDeconvolve",
)
FUNCTIONS = ("test_lfilter_bad_object", "test_lfilter_notimplemented_input", "test_filtfilt_gust")
for _name in CLASSES + FUNCTIONS:
    globals()[_name] = getattr(own, _name)


@pytest.fixture
def xp():
    return np


class Proxy(ModuleType):
    def __getattr__(self, name):
        return getattr(signal, name) if name in signal.__all__ else getattr(scipy.signal, name)


def _gust(b, a, x, axis=-1, irlen=None):
    from multirec.signal import _filtfilt as f, _coefficients as c, _gust as g

    b, a = c.as_transfer(b, a)
    x = np.moveaxis(x, axis, -1)
    t = c.transfer(b, a, x, x.dtype)
    y, z1, z2 = g.gustafsson(t, x[None, None] if x.ndim == 1 else x[None], irlen, "auto")
    k = 2 if x.ndim == 1 else 1
    for _ in range(k):
        y, z1, z2 = y[0], z1[0], z2[0]
    return tuple(np.moveaxis(v, -1, axis) for v in (y, z1, z2))


@pytest.fixture(autouse=True)
def ours(monkeypatch, request):
    for name in signal.__all__:
        if hasattr(own, name) and not (name == "lfilter" and "gust" in request.node.name):
            monkeypatch.setattr(own, name, getattr(signal, name))
    monkeypatch.setattr(own, "signal", Proxy("signal"))
    monkeypatch.setattr(own, "_filtfilt_gust", _gust)
