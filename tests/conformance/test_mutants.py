"""A wrong backend fails exactly the checks that should see its fault."""

from dataclasses import replace

import pytest
from click.testing import CliRunner
from mutants import MUTANTS, info_of

import multirec as mr
from multirec.cli._check import command
from multirec.errors import BackendMissingError
from multirec.testing.accuracy import Trial
from multirec.testing.checks import CHECKS, Subject, checked, checks_of
from multirec.testing.cover import large_cases
from multirec.testing.family import family
from multirec.testing.libraries import NumpyLibrary, TorchLibrary
from multirec.testing.run import check_backend

DTYPES = {
    **dict.fromkeys(("RoundsItsState", "RefusesFloat64ThatItDeclares"), "float32"),
    **dict.fromkeys(("DropsTheImaginaryPart", "ForgetsToConjugate", "RefusesADataTypeThatItDeclares"), "complex128"),
}
"""What shows a fault, where it is not in float64."""


@pytest.fixture
def registered(request):
    info = info_of(request.param)
    mr.register_backend(info)
    library = TorchLibrary() if request.param == "ComputesYAgain" else NumpyLibrary()
    yield info.name, library, DTYPES.get(request.param, "float64")
    mr.unregister_backend(info.name)


@pytest.fixture
def few_problems(monkeypatch):
    """Faults show with few filters and short signals, and there are many mutants."""

    def few(dtype):
        filters = family(dtype)[::16]
        return (
            Trial(filters=filters, dtype=dtype, length=200, state=True),
            Trial(filters=filters, dtype=dtype, length=30, state=True, kind="per_example", reverse=True),
        )

    monkeypatch.setattr("multirec.testing.checks.trials", few)
    monkeypatch.setattr("multirec.testing.checks.large_cases", lambda dtype: large_cases(dtype)[:3])


def failing(backend, library, dtype):
    subject = Subject(backend, library, dtype)
    return {name for name in checks_of(subject) if checked(CHECKS[name], subject).failures}


EVERYWHERE = {"edge_sizes", "large_sizes", "memory", "declarations", "sequences", "repeated_calls"}
"""Checks that look at values and gradients alike."""
DESIGNED = {"designed_filters"}
Y = EVERYWHERE | DESIGNED | {"values_of_every_combination", "values", "returned_state", "resuming"}
# the gradient of feedback is computed from y
VALUES = Y | {"gradient_of_feedback"}
GRADIENTS = EVERYWHERE | DESIGNED | {f"gradient_of_{name}" for name in ("x", "feedforward", "feedback", "state")}
RANGE = {"unstable_filters", "non_finite_inputs"}
LIARS = (
    "RefusesEverything",
    "RefusesAKindThatItDeclares",
    "RefusesADataTypeThatItDeclares",
    "RefusesFloat64ThatItDeclares",
)
EXPECTED = {
    "WrongSign": VALUES | RANGE,
    "IgnoresReverse": VALUES | GRADIENTS,
    "IgnoresPastOutputs": VALUES,
    "StateOffByOne": VALUES,
    "LeavesTheLastSample": VALUES | RANGE,
    "SharedGradientOfOneChannel": (EVERYWHERE - {"repeated_calls"}) | {"gradient_of_x"},
    "GradientWithoutLastOutputs": GRADIENTS,
    "GradientOfStateIsLost": EVERYWHERE | DESIGNED | {"gradient_of_state"},
    "FeedforwardGradientOfOneExample": EVERYWHERE | DESIGNED | {"gradient_of_feedforward"},
    "FeedbackGradientOffByOne": EVERYWHERE | DESIGNED | {"gradient_of_feedback"},
    # a signal of one channel or one sample is contiguous whatever its strides, and so are designed filters' signals
    "ReadsMemoryNotStrides": VALUES - DESIGNED - {"resuming"},
    # the full product is real
    "DropsTheImaginaryPart": VALUES - {"values_of_every_combination"},
    "ForgetsToConjugate": GRADIENTS,
    # y is right, and the state was cut off before; what is computed from x afterwards is not
    "WritesToItsInput": (Y - {"values", "returned_state", "resuming"}) | {"gradient_of_feedforward"},
    "StopsAtTheFirstInfinity": RANGE,
    "IsDifferentEveryTime": {"repeatability"},
    # random poles are too far from zeros and from the circle
    "CutsFromZeroOutputs": DESIGNED,
    **{name: {"declarations"} for name in LIARS},
    # pieces of a row of sequences have coefficients of their own
    "RefusesAKindThatItDeclares": {"declarations", "sequences"},
    # no designed filter has its order
    "IsWrongAtTheOrderThatItDeclares": (VALUES | {"non_finite_inputs"}) - DESIGNED,
    "RefusesWithoutAReason": EVERYWHERE | RANGE | {"refusals", "repeatability", "resuming"},
    "ComputesYAgain": {"frozen_operands", "gradient_of_feedback", "sequences"},
    "RoundsItsState": {"wide_arithmetic", "resuming", "declarations"},
}


SEEN = {
    "IsWrongFromChannel64": ("large_sizes", "values, in channels 64 to 127 of 128)"),
    "LosesExamplesFrom16": ("large_sizes", "values, in examples 16 to 32 of 33)"),
    "IsWrongFromSample3500": ("large_sizes", "values, in samples 3500 to 4099 of 4100)"),
    "LosesChannel101Of128": ("large_sizes", "values, in channel 101 of 128)"),
    "IsStaleAfterThreeCalls": ("repeated_calls", "call 4 of 6, looked at after the last: y["),
    "WritesWhereItWroteBefore": ("repeated_calls", "call 1 of 6, looked at after the last: y["),
}
"""Faults of large problems and of many calls: the check that sees them, and where it says they are."""

QUICK = (
    *("WrongSign", "StateOffByOne", "GradientWithoutLastOutputs"),
    *("ForgetsToConjugate", "CutsFromZeroOutputs", "RoundsItsState"),
)
"""One of each sort; the rest is left to the slower checks."""


@pytest.mark.parametrize(
    ("registered", "expected"),
    [pytest.param(*pair, marks=() if pair[0] in QUICK else pytest.mark.long) for pair in EXPECTED.items()],
    indirect=["registered"],
)
def test_fails_exactly_where_it_is_wrong(registered, expected, few_problems):
    assert failing(*registered) == expected


@pytest.mark.parametrize(("registered", "seen"), SEEN.items(), indirect=["registered"])
@pytest.mark.parametrize("dtype", ["float32", pytest.param("complex128", marks=pytest.mark.long)])
def test_says_where_it_is_wrong(registered, seen, dtype):
    check, where = seen
    tally = checked(CHECKS[check], Subject(registered[0], NumpyLibrary(), dtype))
    assert any(where in failure for failure in tally.failures), tally


@pytest.mark.parametrize(
    ("name", "dtype", "what", "count", "reason"),
    [
        ("RefusesEverything", "float64", "static coefficients", 27, "whatever it is"),
        ("RefusesAKindThatItDeclares", "float64", "per_example coefficients", 27, "coefficients of each example"),
        ("RefusesADataTypeThatItDeclares", "complex128", "time_varying coefficients", 27, "complex numbers"),
        ("RefusesFloat64ThatItDeclares", "float32", "arithmetic in float64", 81, "float64"),
    ],
)
def test_what_is_declared_and_never_computed_is_named(name, dtype, what, count, reason):
    info = info_of(name)
    mr.register_backend(info)
    try:
        tally = CHECKS["declarations"](Subject(info.name, NumpyLibrary(), dtype))
    finally:
        mr.unregister_backend(info.name)
    said = f"{what} of {dtype}: declared, but none of {count} problems is computed: {reason}"
    assert said in tally.failures


@pytest.fixture
def only_declarations(monkeypatch):
    monkeypatch.setattr("multirec.testing.run.CHECKS", {"declarations": CHECKS["declarations"]})


@pytest.mark.parametrize(
    "registered",
    [pytest.param(name, marks=() if name == "RefusesAKindThatItDeclares" else pytest.mark.long) for name in LIARS],
    indirect=True,
)
def test_a_liar_does_not_pass(registered, only_declarations):
    assert not all(result.ok for result in check_backend(registered[0]))
    outcome = CliRunner().invoke(command, [registered[0]], standalone_mode=False)
    assert outcome.return_value == 4, outcome.output
    assert "WRONG declarations" in outcome.output
    assert ": 2 checks with float32, " in outcome.stderr
    assert "s] 1/2 declarations (numpy)" in outcome.stderr


def test_a_backend_that_no_library_reaches_does_not_pass(registered_torch_on_mps, only_declarations):
    (result,) = check_backend(registered_torch_on_mps)
    assert (result.ok, result.detail) == (False, "nothing is checked: device mps, dtype float64")


@pytest.fixture
def registered_torch_on_mps(monkeypatch):
    """A backend for a device that has no float64 to compare in."""
    info = replace(info_of("Mutant"), name="on_mps", family="torch", devices=("mps",), dtypes=("float64",))
    info = replace(info, kernel="multirec.reference:kernel")
    monkeypatch.setattr("multirec._registry.probe._devices", lambda family: ("mps",))
    mr.register_backend(info)
    yield info.name
    mr.unregister_backend(info.name)


def test_a_backend_without_its_device_is_not_checked(registered_torch_on_mps, monkeypatch):
    monkeypatch.setattr("multirec._registry.probe._devices", lambda family: ("cpu",))
    with pytest.raises(BackendMissingError, match="no device of type mps is usable here"):
        check_backend(registered_torch_on_mps)
    outcome = CliRunner().invoke(command, [registered_torch_on_mps], standalone_mode=False)
    assert (outcome.return_value, "not checked" in outcome.output) == (5, True)


def test_what_this_machine_cannot_check_is_said(only_declarations):
    outcome = CliRunner().invoke(command, ["torch_loop"], standalone_mode=False)
    assert outcome.return_value == 0, outcome.output
    assert "torch_loop: not checked here: device " in outcome.output


@pytest.mark.parametrize(
    "declines",
    [
        lambda problem: problem.reverse,
        lambda problem: problem.layout != "BCT",
        lambda problem: problem.layout != "TBC",
        lambda problem: problem.x_channels != problem.channels,
        lambda problem: problem.length < 64,
        lambda problem: problem.channels % 32,
    ],
)
def test_a_backend_may_decline_some_problems_of_a_kind(declines):
    info = replace(
        info_of("Right"),
        kernel="multirec.reference:kernel",
        decline=lambda problem: "such problems" if declines(problem) else None,
    )
    mr.register_backend(info)
    try:
        for dtype in ("float64", "float32"):
            tally = CHECKS["declarations"](Subject(info.name, NumpyLibrary(), dtype))
            assert not tally.failures, tally
    finally:
        mr.unregister_backend(info.name)


@pytest.mark.long
@pytest.mark.parametrize("orders", [(0, 1), (5, 6), (0, 0)])
def test_every_check_computes_orders_that_are_declared(orders, few_problems):
    low, high = orders
    info = replace(info_of("Right"), kernel="multirec.reference:kernel", min_order=low, max_order=high)
    mr.register_backend(info)
    try:
        for dtype in ("float64", "float32"):
            subject = Subject(info.name, NumpyLibrary(), dtype)
            for name in (name for name in checks_of(subject) if name not in ("unstable_filters", "designed_filters")):
                tally = checked(CHECKS[name], subject)
                assert not tally.failures, (name, tally)
                assert tally.computed or (name == "non_finite_inputs" and not high), name
    finally:
        mr.unregister_backend(info.name)


def test_every_mutant_is_expected_to_fail():
    assert EXPECTED.keys() | SEEN.keys() == MUTANTS.keys()
    assert all(EXPECTED.values())


def test_every_check_is_failed_by_some_mutant():
    # those of cascades and frames have tests of their own
    assert set().union({"cascades", "frames"}, *EXPECTED.values()) == CHECKS.keys()
