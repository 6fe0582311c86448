"""What a `BackendInfo` may say of itself: every field is checked when it is made, and the error says what to do."""

import re
from dataclasses import replace

import numpy as np
import pytest

import multirec as mr
from multirec.backend import BackendInfo
from multirec.errors import ArgumentError, BackendBrokenError

MADE = {"name": "made", "summary": "s", "kernel": "multirec.reference:kernel", "family": "numpy"}


class Unhashable:
    __hash__ = None

    def __call__(self, problem):
        return None


WRONG = [
    ("kinds", ("per-example",), "they are 'static', 'per_example' or 'time_varying'. Did you mean 'per_example'?"),
    ("kinds", ("static", "varying"), "kinds has 'varying'"),
    ("kinds", "static", "it is a tuple of strings. Pass kinds=('static',)."),
    ("kinds", (), "it would compute nothing"),
    ("kinds", None, "it is a tuple of strings"),
    ("kinds", {"static"}, "it is a tuple of strings"),
    ("dtypes", ("float23",), "Did you mean 'float32'?"),
    ("dtypes", ("float64", np.float32), "dtypes has <class 'numpy.float32'>"),
    ("dtypes", ("int32",), "they are 'float16', 'bfloat16', 'float32', 'float64', 'complex64' or 'complex128'"),
    ("dtypes", "float64", "Pass dtypes=('float64',)."),
    ("dtypes", [], "it would compute nothing"),
    ("devices", ("gpu",), "devices has 'gpu', but they are 'cpu' for family 'numpy'"),
    ("devices", ("cpu:0",), "Did you mean 'cpu'?"),
    ("devices", ("cuda",), "they are 'cpu' for family 'numpy'"),
    ("devices", "cpu", "Pass devices=('cpu',)."),
    ("devices", (), "They are 'cpu' for family 'numpy'."),
    ("family", "Numpy", "Did you mean 'numpy'?"),
    ("family", None, "it is 'numpy', 'torch', 'jax', 'cupy' or 'cuda'"),
    ("family", ["numpy"], "it is 'numpy'"),
    ("min_order", -1, "it is a whole number of at least 0"),
    ("min_order", True, "it is a whole number of at least 0"),
    ("min_order", None, "it is a whole number of at least 0."),
    ("max_order", -3, "it is a whole number of at least 0, or None for any order"),
    ("max_order", 2.0, "it is a whole number of at least 0"),
    ("max_order", float("inf"), "or None for any order"),
    ("name", "", "a name is made of letters, digits"),
    ("name", "two words", "a name is made of letters, digits"),
    ("name", 3, "a name is made of letters, digits"),
    ("name", "auto", "it stands for the automatic choice. Choose another name."),
    ("summary", "", "it is one line of text."),
    ("summary", None, "it is one line of text."),
    ("summary", "one\ntwo", "it is one line of text."),
    ("kernel", "made.kernel", "it is 'module:attribute'"),
    ("kernel", "made:", "it is 'module:attribute'"),
    ("kernel", ":kernel", "it is 'module:attribute'"),
    ("kernel", "made kernel:kernel", "it is 'module:attribute'"),
    ("kernel", "made..kernel:kernel", "it is 'module:attribute'"),
    ("kernel", b"made:kernel", "it is 'module:attribute'"),
    ("requires", "numpy", "Pass requires=('numpy',)."),
    ("requires", ("jax==0.10",), "'jax>=0.10'"),
    ("requires", ("jax>0.10",), "requires has 'jax>0.10'"),
    ("requires", ("jax>=",), "it names top-level modules"),
    ("requires", ("jax.numpy",), "it names top-level modules"),
    ("requires", (None,), "it names top-level modules"),
    ("install", "", "it is one line of text, or None"),
    ("install", ("jax",), "it is one line of text, or None"),
    ("wide", 1, "it is True or False"),
    ("promise", "exact", "it is 'bitwise' or 'library'"),
    ("decline", "never", "it is a function of the problem"),
    ("note", None, "it is a function of the problem"),
    ("decline", Unhashable(), "it has no hash. Pass a function."),
    ("without", "torch", "it is a function of the array library"),
    ("without", Unhashable(), "it has no hash. Pass a function."),
]


@pytest.mark.parametrize(("field", "value", "said"), WRONG, ids=[f"{field}-{value!r:.40}" for field, value, _ in WRONG])
def test_a_field_that_means_nothing_is_an_error(field, value, said):
    with pytest.raises(ArgumentError, match=re.escape(said)) as error:
        BackendInfo(**MADE | {field: value})
    message = str(error.value)
    assert message.startswith("BackendInfo: name=" if field == "name" else "BackendInfo of 'made': ")
    assert field in message
    assert message.endswith((".", "?"))


def test_orders_that_leave_nothing():
    with pytest.raises(ArgumentError, match="max_order=1, but min_order=2 is above it"):
        BackendInfo(**MADE, min_order=2, max_order=1)
    assert BackendInfo(**MADE, min_order=2, max_order=2).max_order == 2


def test_a_family_has_its_own_devices():
    for family, devices in {"torch": ("cpu", "mps"), "cuda": ("cuda",), "jax": ("cpu", "cuda")}.items():
        assert BackendInfo(**MADE | {"family": family}, devices=devices).devices == devices
    with pytest.raises(ArgumentError, match="devices has 'cpu', but they are 'cuda' for family 'cuda'"):
        BackendInfo(**MADE | {"family": "cuda"})


def test_lists_are_kept_as_tuples():
    given = BackendInfo(**MADE, kinds=["static"], dtypes=["float64"], devices=["cpu"], requires=["numpy"])
    same = BackendInfo(**MADE, kinds=("static",), dtypes=("float64",), devices=("cpu",), requires=("numpy",))
    assert given == same
    assert hash(given) == hash(same)
    assert given.kinds == ("static",)


def test_what_replaces_a_field_is_checked_too():
    with pytest.raises(ArgumentError, match="float23"):
        replace(BackendInfo(**MADE), dtypes=("float23",))


@pytest.mark.parametrize("answer", [True, 1, ("order 2",)])
def test_a_refusal_is_told_in_words(answer, registered):
    mr.register_backend(BackendInfo(**MADE, decline=lambda problem: answer))
    with pytest.raises(BackendBrokenError, match=r"decline returned .*; it returns a reason in words, or None"):
        mr.recurrence(np.ones((1, 1, 4)), feedback=np.array([[0.5]]), backend="made")


def test_a_package_that_says_what_cannot_be_is_broken(site):
    site.backend("made_liar", "liar", kinds=("per-example",))
    site.distribution("liar-package", liar="made_liar:info")
    status = mr.backends()["liar"]
    assert status.status == "broken"
    assert "kinds has 'per-example'" in status.reason
    assert "Did you mean 'per_example'?" in status.reason
    with pytest.raises(BackendBrokenError, match="'liar' is registered by liar-package but is broken"):
        mr.recurrence(np.ones((1, 1, 4)), feedback=np.array([[0.5]]), backend="liar")
    assert mr.backends()["reference"].status == "ready"


def test_orders_may_be_integers_of_numpy():
    info = BackendInfo(**MADE, min_order=np.int32(1), max_order=np.int64(4))
    assert info == BackendInfo(**MADE, min_order=1, max_order=4)
    with pytest.raises(ArgumentError, match="max_order"):
        BackendInfo(**MADE, max_order=np.True_)


def fails(problem):
    raise ZeroDivisionError("no such number")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"decline": fails}, "broken: ZeroDivisionError: no such number"),
        ({"decline": lambda problem: True}, "decline returned True"),
        ({"note": fails}, "its note fails with ZeroDivisionError: no such number"),
    ],
)
def test_a_backend_that_is_wrong_about_a_problem_stops_no_other(wrong, says):
    x, a = np.ones((1, 1, 3)), np.array([[0.5]])
    mr.register_backend(BackendInfo(**MADE, **wrong))
    try:
        y, _ = mr.recurrence(x, feedback=a)
        assert says in mr.explain(x, feedback=a).candidates["made"].reason
        if "decline" in wrong:
            with pytest.raises((BackendBrokenError, ZeroDivisionError)):
                mr.recurrence(x, feedback=a, backend="made")
    finally:
        mr.unregister_backend("made")
    assert y.shape == x.shape


def test_a_kernel_that_exits_as_it_is_imported_is_broken(tmp_path, monkeypatch):
    (tmp_path / "kernel_that_exits.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    mr.register_backend(BackendInfo(**(MADE | {"kernel": "kernel_that_exits:kernel"})))
    try:
        assert mr.backends()["made"].status == "broken"
        with pytest.raises(BackendBrokenError, match="fails to load kernel_that_exits:kernel: SystemExit: 3"):
            mr.recurrence(np.ones((1, 1, 3)), feedback=np.array([[0.5]]), backend="made")
    finally:
        mr.unregister_backend("made")
