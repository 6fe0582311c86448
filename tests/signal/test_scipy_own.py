"""SciPy's own tests of its filters, run on multirec's: the installed classes, with SciPy's functions replaced."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.signal
from scipy.signal.tests import test_signaltools as own

from multirec import signal
from multirec.signal._coefficients import as_transfer, transfer
from multirec.signal._gust import gustafsson

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
FUNCTIONS = "test_lfilter_bad_object", "test_lfilter_notimplemented_input", "test_filtfilt_gust"
NOT_RUN = {
    "TestLinearFilterFloatExtended": "longdouble is not computed in",
    "TestLinearFilterComplexExtended": "clongdouble is not computed in",
}
EXCEPTED = {
    **{f"{name}::test_invalid_params": "a b of two axes is a bank here, and no error" for name in CLASSES[:4]},
    "TestDecimate::test_complex_fir_dlti": "it asks for SciPy's very bits, and sums in another order differ by 5e-16",
}

for _name in (*CLASSES, *FUNCTIONS):
    # a name that SciPy no longer has fails here
    globals()[_name] = getattr(own, _name)


class Namespace(ModuleType):
    """`scipy.signal` with multirec's functions in place of its own."""

    def __getattr__(self, name: str) -> Any:
        return getattr(signal if name in signal.__all__ else scipy.signal, name)


@pytest.fixture
def xp() -> ModuleType:
    return np


@pytest.fixture(autouse=True)
def replaced(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    name = request.node.nodeid.partition("::")[2].partition("[")[0]
    if name in EXCEPTED:
        request.applymarker(pytest.mark.xfail(reason=EXCEPTED[name], strict=True))
    for function in signal.__all__:
        # the oracle of Gustafsson's method minimises over SciPy's lfilter
        if hasattr(own, function) and not (name == "test_filtfilt_gust" and function == "lfilter"):
            monkeypatch.setattr(own, function, getattr(signal, function))
    monkeypatch.setattr(own, "signal", Namespace("signal"))
    monkeypatch.setattr(own, "_filtfilt_gust", gust)


def gust(b: Any, a: Any, x: np.ndarray, axis: int = -1, irlen: int | None = None) -> list[np.ndarray]:
    """What SciPy's private function of that name returns."""
    x = np.moveaxis(x, axis, -1)
    rows = x.reshape(-1, 1, x.shape[-1])
    found = gustafsson(transfer(*as_transfer(b, a), rows, rows.dtype), rows, irlen, "auto")
    return [np.moveaxis(part.reshape(*x.shape[:-1], -1), -1, axis) for part in found]


def names_of(thing: type | Callable[..., Any]) -> list[str]:
    return [name for name in dir(thing) if name.startswith("test_")]


def test_there_is_something_to_run() -> None:
    assert all(len(names_of(getattr(own, name))) >= 3 for name in CLASSES)
    assert sum(len(names_of(getattr(own, name))) for name in CLASSES) > 140


def test_every_class_about_a_filter_is_run_or_named() -> None:
    about = ("LinearFilter", "LFilter", "FiltFilt", "SOSFilt", "Decimate", "Deconvolve")
    found = {name for name in dir(own) if name.startswith("Test") and any(part in name for part in about)}
    assert found == {*CLASSES, *NOT_RUN}


def test_scipys_own_functions_are_out_of_the_way() -> None:
    assert own.lfilter is signal.lfilter
    assert own.sosfiltfilt is own.signal.sosfiltfilt is signal.sosfiltfilt
    assert own.signal.butter is scipy.signal.butter
