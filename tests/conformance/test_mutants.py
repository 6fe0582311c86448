"""A wrong backend fails exactly the checks that should see its fault."""

import pytest
from mutants import MUTANTS, info_of

import multirec as mr
from multirec.testing.accuracy import Trial
from multirec.testing.checks import CHECKS, Subject, checked, checks_of
from multirec.testing.family import family
from multirec.testing.libraries import NumpyLibrary, TorchLibrary

DTYPES = {"RoundsItsState": ("float32",)}
"""What shows a fault, where it is not in float64."""


@pytest.fixture
def registered(request):
    info = info_of(request.param)
    mr.register_backend(info)
    library = TorchLibrary() if request.param == "ComputesYAgain" else NumpyLibrary()
    yield info.name, library, DTYPES.get(request.param, ("float64", "complex128"))
    mr.unregister_backend(info.name)


@pytest.fixture(autouse=True)
def few_designs(monkeypatch):
    """Faults show with few filters, and there are many mutants."""

    def few(dtype):
        filters = family(dtype)[::16]
        return (
            Trial(filters=filters, dtype=dtype, length=200, state=True),
            Trial(filters=filters, dtype=dtype, length=30, state=True, kind="per_example", reverse=True),
        )

    monkeypatch.setattr("multirec.testing.checks.trials", few)


def failing(backend, library, dtypes):
    found = set()
    for dtype in dtypes:
        subject = Subject(backend, library, dtype)
        found |= {name for name in checks_of(subject) if checked(CHECKS[name], subject).failures}
    return found


EVERYWHERE = {"edge_sizes", "memory", "frozen_operands"}
"""Checks that look at values and gradients alike."""
DESIGNED = {"designed_filters"}
Y = EVERYWHERE | DESIGNED | {"values_of_every_combination", "values", "returned_state", "resuming"}
# the gradient of feedback is computed from y
VALUES = Y | {"gradient_of_feedback"}
GRADIENTS = EVERYWHERE | DESIGNED | {f"gradient_of_{name}" for name in ("x", "feedforward", "feedback", "state")}
RANGE = {"unstable_filters", "non_finite_inputs"}
EXPECTED = {
    "WrongSign": VALUES | RANGE,
    "IgnoresReverse": VALUES | GRADIENTS,
    "IgnoresPastOutputs": VALUES,
    "StateOffByOne": VALUES,
    "LeavesTheLastSample": VALUES | RANGE,
    "SharedGradientOfOneChannel": EVERYWHERE | {"gradient_of_x"},
    "GradientWithoutLastOutputs": GRADIENTS,
    "GradientOfStateIsLost": EVERYWHERE | DESIGNED | {"gradient_of_state"},
    "FeedforwardGradientOfOneExample": EVERYWHERE | DESIGNED | {"gradient_of_feedforward"},
    "FeedbackGradientOffByOne": EVERYWHERE | DESIGNED | {"gradient_of_feedback"},
    # a signal of one channel or one sample is contiguous whatever its strides, and so are designed filters' signals
    "ReadsMemoryNotStrides": VALUES - DESIGNED - {"resuming"},
    # the full product is real
    "DropsTheImaginaryPart": VALUES - {"values_of_every_combination"},
    "ForgetsToConjugate": GRADIENTS,
    # y is right; what is computed from x afterwards is not
    "WritesToItsInput": (Y - {"values"}) | {"gradient_of_feedforward"},
    "StopsAtTheFirstInfinity": RANGE,
    "IsDifferentEveryTime": {"repeatability"},
    # random poles are too far from zeros and from the circle
    "CutsFromZeroOutputs": DESIGNED,
    "RefusesWithoutAReason": EVERYWHERE | RANGE | {"refusals", "repeatability", "resuming"},
    "ComputesYAgain": {"frozen_operands", "gradient_of_feedback"},
    "RoundsItsState": {"wide_arithmetic", "resuming"},
}


@pytest.mark.parametrize(("registered", "expected"), EXPECTED.items(), indirect=["registered"])
def test_fails_exactly_where_it_is_wrong(registered, expected):
    assert failing(*registered) == expected


def test_every_mutant_is_expected_to_fail():
    assert EXPECTED.keys() == MUTANTS.keys()
    assert all(EXPECTED.values())


def test_every_check_is_failed_by_some_mutant():
    assert set().union(*EXPECTED.values()) == CHECKS.keys()
