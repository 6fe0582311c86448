"""The helpers themselves: comparisons that fail, memory that shows what was left, and the report of a check."""

import numpy as np
import pytest
import torch

import multirec as mr
from multirec._core.problem import Spec
from multirec._core.validate import Choices, plan_call
from multirec._engine import plan
from multirec.testing import CHECKS, Case, arguments, assert_close, check_backend, mismatch, poisoned
from multirec.testing.conformance import BackendConformance
from multirec.testing.cover import KINDS, LAYOUTS, edge_cases, pair_cases, pairwise, product_cases
from multirec.testing.problems import round_to


class TestComparison:
    def test_within_the_bound(self):
        assert mismatch("y", np.array([1.0, 2.0]), np.array([1.0, 2.5]), np.array([0.0, 0.5])) is None

    def test_says_the_worst_place(self):
        with pytest.raises(
            AssertionError, match=r"y\[0, 2\] is 7\.0, expected 3\.0: off by 4, allowed 1 \(2 of 3 values\)"
        ):
            assert_close("y", np.array([[3.0, 2, 7]]), np.array([[1.0, 2, 3]]), 1.0)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_what_is_not_finite_is_never_close(self, value):
        with pytest.raises(AssertionError):
            assert_close("y", np.array([value]), np.array([1.0]), np.inf if np.isnan(value) else 1e300)

    def test_shapes_are_compared(self):
        assert mismatch("y", np.ones((1, 2)), np.ones(2), 1) == "y has shape (1, 2), expected (2,)"

    def test_nothing_is_close_to_nothing(self):
        assert mismatch("y", np.ones((0, 2)), np.ones((0, 2)), 0) is None


class TestPoison:
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"])
    @pytest.mark.parametrize("family", ["numpy", "torch"])
    def test_fresh_outputs_are_nan(self, family, dtype):
        real = {"complex64": "float32", "complex128": "float64"}.get(dtype, "float64")
        call = plan_call(
            Spec((2, 3, 4), dtype, family, "cpu"), None, Spec((3, 1), real, family, "cpu"), None, None, Choices()
        )
        with poisoned():
            fresh = plan.empty(call.problem, 3, dtype, call.problem.family)
        values = fresh if family == "torch" else torch.from_numpy(fresh)
        values = values.view(torch.bfloat16) if dtype == "bfloat16" else values
        assert torch.isnan(values.abs().float()).all()

    def test_torch_memory_is_nan_within_only(self):
        original = torch.empty
        with poisoned():
            assert torch.isnan(torch.empty(3)).all()
            assert torch.isnan(torch.empty_like(torch.zeros(3, dtype=torch.complex64))).all()
        assert torch.empty is original

    def test_is_taken_back_after_an_error(self):
        original = torch.empty
        with pytest.raises(KeyError), poisoned():
            raise KeyError
        assert torch.empty is original


class TestCases:
    def test_equal_cases_have_equal_values(self):
        one, other = arguments(Case(order=3)), arguments(Case(order=3))
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
        assert not np.array_equal(one.x, arguments(Case(order=3, seed=1)).x)

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
    def test_values_are_those_of_their_type(self, dtype):
        given = arguments(Case(dtype=dtype, rounded_state=True))._replace(grad_outputs=None)
        assert all(values is None or np.array_equal(values, round_to(values, dtype)) for values in given)

    @pytest.mark.parametrize(
        ("dtype", "compute_dtype", "state_dtype"),
        [
            ("bfloat16", None, "float32"),
            ("float16", "float64", "float64"),
            ("float32", "float64", "float64"),
            ("complex64", "float64", "complex128"),
            ("complex64", None, "complex64"),
        ],
    )
    def test_past_outputs_have_the_precision_they_are_computed_in(self, dtype, compute_dtype, state_dtype):
        case = Case(dtype=dtype, compute_dtype=compute_dtype)
        given = arguments(case)
        assert case.state_dtype == case.outputs_dtype == state_dtype
        assert np.array_equal(given.outputs, round_to(given.outputs, state_dtype))
        assert state_dtype == dtype or not np.array_equal(given.outputs, round_to(given.outputs, dtype))

    @pytest.mark.parametrize("order", range(1, 9))
    def test_filters_are_stable(self, order):
        taps = arguments(Case(order=order, channels=50)).feedback
        radius = max(np.abs(np.roots(np.r_[1.0, -own])).max() for own in taps)
        assert radius < 0.95

    def test_every_two_choices_meet(self):
        rows = pairwise({"a": "abc", "b": [1, 2], "c": [None, (), (1,)], "d": [0, 1, 2, 3]}, lambda row: True)
        assert len(rows) < 3 * 2 * 3 * 4 / 3
        for one, other, count in (("a", "b", 6), ("a", "c", 9), ("a", "d", 12), ("b", "c", 6), ("c", "d", 12)):
            assert len({(row[one], row[other]) for row in rows}) == count

    def test_the_pairs_of_the_contract_are_covered(self):
        names = ("dtype", "layout", "feedforward", "feedback", "shared", "state", "rounded_state", "reverse")
        found = pair_cases()
        for i, one in enumerate(names):
            for other in names[i + 1 :]:
                met = {(getattr(case, one), getattr(case, other)) for case in found}
                sizes = (len({getattr(case, name) for case in found}) for name in (one, other))
                absent = 1 if {one, other} == {"feedforward", "feedback"} else 0
                assert len(met) == np.prod(list(sizes)) - absent, (one, other)

    def test_the_product_is_full(self):
        assert len(set(product_cases())) == len(LAYOUTS) * (len(KINDS) ** 2 - 1) * 2 * 2 * 2

    def test_the_edges_are_there(self):
        found = edge_cases("float64")
        assert any(case.length == 0 for case in found)
        assert any(0 in case.batch for case in found)
        assert any(0 < case.length < case.q for case in found)
        assert any(0 < case.length < case.p for case in found)
        assert any(case.p == 0 and case.q > 0 for case in found)
        assert any(case.feedforward == "none" for case in found)
        assert any(case.batch == () for case in found)
        assert any(len(case.batch) > 1 for case in found)
        assert any(case.y_channels == 1 for case in found)


class TestReport:
    @pytest.mark.long
    def test_every_check_is_reported_for_every_library(self, monkeypatch):
        names = ("memory", "refusals")
        monkeypatch.setattr("multirec.testing.run.CHECKS", {name: CHECKS[name] for name in names})
        calls = []
        results = check_backend("unfold_scan", lambda *call: calls.append(call))
        assert {result.name for result in results} == {
            f"{name} ({library})" for name in names for library in ("numpy", "torch cpu")
        }
        assert all(result.ok for result in results)
        assert "refused: time-varying feedback of order" in results[1].detail
        assert [(done, total) for done, total, _ in calls] == [(i, 4) for i in range(5)]

    def test_an_unknown_backend_is_an_error(self):
        with pytest.raises(mr.errors.UnknownBackendError):
            check_backend("nubma")

    def test_a_conformance_class_of_a_missing_backend_fails_once(self):
        class Absent(BackendConformance):
            backend = "absent"

        with pytest.raises(mr.errors.UnknownBackendError, match="no backend named 'absent'"):
            Absent().test_is_ready()
