"""Discovery: unknown, missing, broken and duplicate backends; none of them stops another."""

import pickle
import sys
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

import multirec as mr
from multirec._registry import choice
from multirec.backend import BackendInfo
from multirec.errors import (
    ArgumentError,
    BackendBrokenError,
    BackendMissingError,
    MultirecError,
    UnknownBackendError,
    UnsupportedError,
)

X, A = np.ones((1, 1, 4)), np.array([[0.5]])
Y = [[[1, 1.5, 1.75, 1.875]]]


def run(backend):
    return mr.recurrence(X, feedback=A, backend=backend)[0]


def info(name="made", **fields):
    return BackendInfo(
        **{"name": name, "summary": "s", "kernel": "multirec.reference:kernel", "family": "numpy"} | fields
    )


class TestNames:
    def test_the_built_in_ones_are_found(self):
        assert {"numba", "reference", "torch_loop", "unfold_scan"} <= mr.backends().keys()

    @pytest.mark.parametrize(
        ("asked", "meant"),
        [("nubma", "numba"), ("torchloop", "torch_loop"), ("refrence", "reference"), ("aut", "auto")],
    )
    def test_a_misspelt_name_gets_a_suggestion(self, asked, meant):
        with pytest.raises(UnknownBackendError, match=f"no backend named '{asked}'. Did you mean '{meant}'") as error:
            run(asked)
        assert "Registered: " in str(error.value)
        assert "numba, " in str(error.value)
        assert isinstance(error.value, ValueError)

    def test_a_strange_name_gets_the_list_only(self):
        with pytest.raises(UnknownBackendError) as error:
            run("zzzzzz")
        assert "Did you mean" not in str(error.value)
        assert "reference" in str(error.value)

    @pytest.mark.parametrize("name", [None, 3, b"numba", ["numba"]])
    def test_a_name_is_a_string(self, name):
        with pytest.raises(ArgumentError, match="backend is a name such as 'auto'"):
            mr.RecurrenceBank(feedback=A, backend=name)

    def test_a_bank_raises_when_it_is_made(self):
        with pytest.raises(UnknownBackendError):
            mr.RecurrenceBank(feedback=A, backend="nubma")


class TestFromPackages:
    def test_a_package_adds_a_backend(self, site):
        site.backend("made_good", "good")
        site.distribution("good-package", good="made_good:info")
        status = mr.backends()["good"]
        assert (status.status, status.distribution, status.devices) == ("ready", "good-package", ("cpu",))
        np.testing.assert_array_equal(run("good"), Y)

    def test_listing_names_imports_no_kernel(self, site):
        site.module("made_kernel", "raise AssertionError('imported')")
        site.backend("made_lazy", "lazy", kernel="made_kernel:kernel")
        site.distribution("lazy", lazy="made_lazy:info")
        assert mr.explain(X, feedback=A).candidates["lazy"].ok
        mr.RecurrenceBank(feedback=A, backend="lazy")
        assert "made_kernel" not in sys.modules

    def test_the_same_entry_point_seen_twice_is_one(self, site, tmp_path):
        site.backend("made_twice", "twice")
        site.distribution("twice", twice="made_twice:info")
        site.distribution("twice", folder="twice-2.0.dist-info", twice="made_twice:info")
        assert mr.backends()["twice"].status == "ready"
        np.testing.assert_array_equal(run("twice"), Y)

    def test_two_packages_of_one_name_break_that_name_only(self, site):
        site.backend("made_one", "both")
        site.backend("made_two", "both")
        site.distribution("first-package", both="made_one:info")
        site.distribution("second-package", both="made_two:info")
        with pytest.raises(BackendBrokenError, match="two plugins have this name") as error:
            run("both")
        assert "first-package" in str(error.value)
        assert "second-package" in str(error.value)
        found = mr.backends()
        assert found["both"].status == "broken"
        assert found["reference"].status == "ready"
        assert "broken" in mr.explain(X, feedback=A).candidates["both"].reason

    @pytest.mark.parametrize(
        ("source", "said"),
        [
            ("raise RuntimeError('the plugin is ill')", "RuntimeError: the plugin is ill"),
            ("import made_nowhere", "ModuleNotFoundError: No module named 'made_nowhere'"),
            ("info = {'name': 'ill'}", "is a dict, not a multirec.backend.BackendInfo"),
            ("other = 1", "AttributeError"),
            ("def (", "SyntaxError"),
        ],
    )
    def test_a_broken_plugin_says_why_and_stops_no_other(self, site, source, said):
        site.module("made_ill", source)
        site.distribution("ill-package", ill="made_ill:info")
        with pytest.raises(BackendBrokenError, match="'ill' is registered by ill-package but is broken") as error:
            run("ill")
        assert said in str(error.value)
        assert isinstance(error.value, RuntimeError)
        found = mr.backends()
        assert found["ill"].status == "broken"
        assert said in found["ill"].reason
        assert found["ill"].fix
        assert found["reference"].status == "ready"
        np.testing.assert_array_equal(run("reference"), Y)
        assert run("auto") is not None

    def test_a_backend_calls_itself_as_its_entry_point_does(self, site):
        site.backend("made_alias", "another")
        site.distribution("alias-package", alias="made_alias:info")
        with pytest.raises(BackendBrokenError, match="calls itself 'another', its entry point 'alias'"):
            run("alias")

    @pytest.mark.parametrize(
        ("source", "said"),
        [
            ("raise OSError('no such driver')", "OSError: no such driver"),
            ("kernel = object()", "has no method forward"),
            ("class kernel:\n    def forward(self, problem, operands, allocate): ...", "is a class. Name an object of"),
            ("nothing = 1", "AttributeError"),
        ],
    )
    def test_a_broken_kernel_is_an_error_at_first_use(self, site, source, said):
        site.module("made_heavy", source)
        site.backend("made_light", "light", kernel="made_heavy:kernel")
        site.distribution("light", light="made_light:info")
        with pytest.raises(BackendBrokenError, match="'light'") as error:
            run("light")
        assert said in str(error.value)
        assert mr.backends()["light"].status == "broken"

    def test_a_missing_module_names_what_to_install(self, site):
        site.backend("made_needy", "needy", requires=("made_absent",), install="'needy[all]'")
        site.distribution("needy", needy="made_needy:info")
        with pytest.raises(BackendMissingError) as error:
            run("needy")
        assert str(error.value) == (
            "backend 'needy' is registered but cannot run here: module 'made_absent' is not installed. "
            "Install it with: pip install 'needy[all]'."
        )
        assert isinstance(error.value, ImportError)
        status = mr.backends()["needy"]
        assert (status.status, status.reason) == ("missing", "module 'made_absent' is not installed")
        assert status.fix == "Install it with: pip install 'needy[all]'"
        assert "made_absent" in mr.explain(X, feedback=A).candidates["needy"].reason

    def test_a_missing_module_has_its_own_name_to_install_by_default(self, site):
        site.backend("made_plain", "plain", requires=("made_absent",))
        site.distribution("plain", plain="made_plain:info")
        with pytest.raises(BackendMissingError, match=r"pip install '?made_absent"):
            run("plain")

    def test_auto_does_not_fall_back_from_a_broken_import(self, site, monkeypatch):

        site.backend("made_best", "best", kernel="made_nowhere:kernel")
        site.distribution("best", best="made_best:info")
        monkeypatch.setitem(choice._POLICY, "cpu", ("best", "reference"))
        with pytest.raises(BackendBrokenError, match="'best' is installed but fails to load"):
            run("auto")


class TestInProcess:
    def test_is_used_at_once(self, registered):
        with pytest.raises(UnknownBackendError):
            run("made")
        mr.register_backend(info())
        np.testing.assert_array_equal(run("made"), Y)
        assert mr.backends()["made"].distribution == "this process"

    def test_the_same_info_twice_is_one(self, registered):
        mr.register_backend(info())
        mr.register_backend(info())
        np.testing.assert_array_equal(run("made"), Y)

    @pytest.mark.parametrize("name", ["numba", "made"])
    def test_a_name_is_taken_once(self, registered, name):
        mr.register_backend(info())
        with pytest.raises(ArgumentError, match=f"a backend named '{name}' is already registered"):
            mr.register_backend(info(name, summary="another"))

    @pytest.mark.parametrize("given", ["numba", None, BackendInfo])
    def test_an_info_is_needed(self, registered, given):
        with pytest.raises(ArgumentError, match=r"needs a multirec\.backend\.BackendInfo"):
            mr.register_backend(given)

    @pytest.mark.parametrize(
        ("fields", "x", "feedback", "said"),
        [
            ({"dtypes": ("float32",)}, X, A, "dtype float64 (it supports float32)"),
            ({"dtypes": ("float64",)}, X, A + 0j, "coefficients that make y complex128 (it supports float64)"),
            ({"max_order": 1}, X, np.full((1, 2), 0.1), "order 2 (it supports 0..1)"),
            ({"min_order": 2}, X, A, "order 1 (it supports 2 and more)"),
            ({"kinds": ("static",)}, np.ones((2, 1, 4)), np.full((2, 1, 1), 0.1), "per-example feedback"),
            ({"kinds": ("static",)}, X, np.full((1, 1, 4, 1), 0.1), "time-varying feedback (it supports static)"),
            ({"family": "torch", "devices": ("cuda",)}, X, A, "device 'cpu' (it supports cuda)"),
            ({"decline": lambda problem: "anything at all"}, X, A, "anything at all"),
        ],
    )
    def test_what_it_does_not_compute_is_refused_with_the_reason(self, registered, fields, x, feedback, said):
        mr.register_backend(info(**fields))
        with pytest.raises(UnsupportedError) as error:
            mr.recurrence(x, feedback=feedback, backend="made")
        assert f"backend 'made' does not support {said}" in str(error.value)
        assert "Backends that do: " in str(error.value)
        assert "reference" in str(error.value)
        assert said in mr.explain(x, feedback=feedback).candidates["made"].reason

    def test_is_taken_back(self, registered):
        mr.register_backend(info())
        bank = mr.RecurrenceBank(feedback=A, backend="made")
        np.testing.assert_array_equal(bank(X)[0], Y)
        mr.unregister_backend("made")
        for call in (lambda: run("made"), lambda: bank(X), lambda: mr.unregister_backend("made")):
            with pytest.raises(UnknownBackendError, match="no backend named 'made'"):
                call()
        mr.register_backend(info(summary="another"))
        np.testing.assert_array_equal(run("made"), Y)

    def test_what_a_package_registers_is_not_taken_back(self):
        with pytest.raises(ArgumentError, match="'numba' is registered by the package multirec"):
            mr.unregister_backend("numba")
        assert "numba" in mr.backends()

    def test_a_fault_in_decline_is_no_refusal(self, registered):
        mr.register_backend(info(decline=lambda problem: 1 / 0))
        with pytest.raises(ZeroDivisionError):
            run("made")

    def test_an_info_is_frozen(self):
        with pytest.raises(FrozenInstanceError):
            info().name = "other"
        assert replace(info(), name="other").name == "other"


def test_every_error_is_a_multirec_error_and_a_built_in_one():
    errors = [getattr(mr.errors, name) for name in mr.errors.__all__]
    for error in (error for error in errors if not issubclass(error, Warning)):
        assert issubclass(error, MultirecError)
        if error is not MultirecError:
            assert len([base for base in error.__mro__ if base.__module__ == "builtins"]) > 3


def test_a_bank_binds_again_when_it_is_loaded():
    bank = pickle.loads(pickle.dumps(mr.RecurrenceBank(feedback=A)))
    assert bank.backend == "auto"
    np.testing.assert_array_equal(bank(X)[0], Y)
