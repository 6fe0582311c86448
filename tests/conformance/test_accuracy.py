"""Errors over designed filters: how they are measured, and those of backends that cut time into segments."""

import numpy as np
import pytest

import multirec as mr
from multirec.testing import Subject, accuracy
from multirec.testing._trials import _hardest, _of_orders, long_trials, segment_trials
from multirec.testing.accuracy import Errors, Trial, accuracy_tally, measure
from multirec.testing.family import family
from multirec.testing.libraries import NumpyLibrary, TorchLibrary

DTYPES = ("float32", "float64")
CUTTING = ("numba", "unfold_scan")
NUMPY = NumpyLibrary()


def assert_accurate(backend, dtype, trials, library=NUMPY):
    tally = accuracy_tally(Subject(backend, library, dtype), trials)
    assert not tally.failures, str(tally)
    assert tally.computed


class TestMeasurement:
    def test_the_allowance(self):
        errors = Errors(np.array([1.0, 0, 7, np.nan]), np.array([1.0, 0, 0, 1]), np.array([0.0, 0, 100, 1]), 2**-10)
        np.testing.assert_allclose(errors.excess, [1 / 3, 0, 7 / (400 / 1024), np.nan])
        np.testing.assert_allclose(errors.ratio, [1, 0, 7 / (50 / 1024), np.nan])

    def test_an_error_where_none_is_allowed_is_infinite(self):
        errors = Errors(np.array([1e-30]), np.zeros(1), np.zeros(1), 2**-10)
        assert errors.excess == errors.ratio == np.inf

    def test_numbers_without_a_square_are_off_by_infinity(self, monkeypatch):
        called = accuracy._called

        def huge(*arguments):
            return {name: np.full_like(values, 1e200) for name, values in called(*arguments).items()}

        monkeypatch.setattr(accuracy, "_called", huge)
        found = measure(Trial(filters=family("float64")[:3], dtype="float64", length=40), "reference", NUMPY)
        assert np.isinf(found.errors["y"].excess).all()

    def test_results_are_in_the_order_of_their_filters(self):
        trial = Trial(filters=family("float64")[::-13], dtype="float64", length=40, state=True)
        found = measure(trial, "reference", NUMPY)
        assert set(found.filters) == set(trial.filters)
        assert [filter_.order for filter_ in found.filters] == sorted(filter_.order for filter_ in trial.filters)
        assert {len(part) for errors in found.errors.values() for part in errors[:3]} == {len(found.filters)}
        alone = measure(Trial(filters=found.filters[3:4], dtype="float64", length=40, state=True), "reference", NUMPY)
        for name in ("y", "gradient of feedback"):
            np.testing.assert_allclose(found.errors[name].truth[3], alone.errors[name].truth[0])

    @pytest.mark.parametrize("kind", ["static", "per_example", "time_varying"])
    @pytest.mark.parametrize("reverse", [False, True])
    def test_every_result_is_measured_through_every_library(self, kind, reverse):
        trial = Trial(
            filters=family("float64")[::20], dtype="float64", length=30, kind=kind, reverse=reverse, state=True
        )
        for library in (NUMPY, TorchLibrary()):
            found = measure(trial, "reference", library)
            assert len(found.errors) == 7
            assert all((errors.excess < 1).all() for errors in found.errors.values())
            assert all((errors.truth > 0).any() for errors in found.errors.values())

    def test_what_is_declined_is_said(self):
        trial = Trial(filters=_of_orders(family("float64"), (2, 9)), dtype="float64", length=20, kind="time_varying")
        found = measure(trial, "unfold_scan", NUMPY)
        assert found.refused
        assert all("unfold_scan" in reason for reason in found.refused.values())
        assert accuracy_tally(Subject("unfold_scan", NUMPY, "float64"), [trial]).refused.total() == len(found.refused)

    def test_a_failure_says_which_filter_and_by_how_much(self, wrong):
        trial = Trial(filters=family("float64")[:2], dtype="float64", length=200)
        tally = accuracy_tally(Subject(wrong, NUMPY, "float64"), [trial])
        assert tally.failures[0].startswith(
            "high-pass 0.1 Hz @ 500 (float64, T = 200, all rows a call, static, noise): y errs"
        )

    @pytest.fixture
    def wrong(self):
        from mutants import info_of

        info = info_of("CutsFromZeroOutputs")
        mr.register_backend(info)
        yield info.name
        mr.unregister_backend(info.name)


@pytest.mark.parametrize(
    ("backend", "dtype"),
    [
        ("numba", "float32"),
        pytest.param("numba", "float64", marks=pytest.mark.long),
        *(pytest.param("unfold_scan", dtype, marks=pytest.mark.long) for dtype in DTYPES),
    ],
)
@pytest.mark.long
def test_few_long_rows(backend, dtype):
    assert_accurate(backend, dtype, segment_trials(dtype))


@pytest.mark.long
@pytest.mark.parametrize("dtype", DTYPES)
def test_jax(dtype):
    """Few shapes: it compiles for each."""
    filters = family(dtype)
    trials = (
        Trial(filters=_of_orders(filters, (1, 2, 4, 8)), dtype=dtype, length=1025, state=True),
        Trial(filters=_hardest(filters, 5), dtype=dtype, length=5_000, rows=2, reverse=True),
    )
    assert_accurate("jax", dtype, trials)


@pytest.mark.long
@pytest.mark.parametrize("trial", [trial for dtype in DTYPES for trial in long_trials(dtype)], ids=str)
def test_the_whole_family(trial):
    for backend in CUTTING:
        assert_accurate(backend, trial.dtype, [trial])


@pytest.mark.long
@pytest.mark.parametrize("dtype", DTYPES)
def test_jax_in_segments(dtype):
    assert_accurate("jax", dtype, segment_trials(dtype))
