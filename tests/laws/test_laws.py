"""What is true of every recurrence, whoever computes it: each law compares a backend with itself.

Orders and types are few, since some backends compile a kernel for each; everything else is drawn. What may differ is
what rounding explains in the two computations that a law compares.
"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import multirec as mr
from multirec.testing import arguments, assert_close
from multirec.testing.libraries import NumpyLibrary, options
from multirec.testing.oracle import evaluate
from multirec.testing.problems import Arguments, from_canonical, to_canonical
from multirec.testing.strategies import cases

LIBRARY = NumpyLibrary()
READY = sorted(name for name, status in mr.backends().items() if status.status == "ready" and "cpu" in status.devices)
SEQUENTIAL = {"reference", "torch_loop"}

real = cases(
    dtype="float64", feedforward_dtype="same", feedback_dtype="same", input_order=2, order=2, ones=(), through="both"
)
SLOW = {"jax"}
"""Backends that compile for every shape."""
every_backend = pytest.mark.parametrize(
    "backend", [pytest.param(name, marks=pytest.mark.long) if name in SLOW else name for name in READY]
)


def run(backend, case, values):
    """Return y and the state in canonical axes; leave out what the backend refuses."""
    operands = LIBRARY.operands(case, values)
    assume(mr.explain(operands[0], **options(case, operands)).candidates[backend].ok)
    y, state = LIBRARY.call(case, backend, operands)
    return [to_canonical(LIBRARY.get(part), case.layout) for part in (y, *state)]


def limit(case, *problems):
    """Return how far y may differ in computations of these problems, together, in canonical axes."""
    return sum(to_canonical(evaluate(case, values).bounds["y"], case.layout) for values in problems)


def signals(case, values, change):
    """Return the arguments with `change` applied to x, inputs and outputs in canonical axes."""
    parts = {
        name: from_canonical(change(to_canonical(part, case.layout)), case.layout)
        for name in ("x", "inputs", "outputs")
        if (part := getattr(values, name)) is not None
    }
    return values._replace(**parts)


def taps(case, values, change):
    """Return the arguments with `change(kind, taps)` applied to coefficients, time-varying ones in canonical axes."""
    parts = {}
    for name in ("feedforward", "feedback"):
        kind, part = getattr(case, name), getattr(values, name)
        if kind == "time_varying":
            part = from_canonical(change(kind, to_canonical(part, case.layout, taps=True)), case.layout, taps=True)
        elif kind != "none":
            part = change(kind, part)
        parts[name] = part
    return values._replace(**parts)


def resized(case, **sizes):
    return type(case)(**{**vars(case), **sizes})


def without_gradients(values):
    return values._replace(grad_y=None, grad_inputs=None, grad_outputs=None)


@every_backend
@given(real)
def test_linear_in_the_input_and_the_state(backend, case):
    one, other = arguments(case), arguments(resized(case, seed=case.seed + 100))
    other = Arguments(other.x, *one[1:3], *other[3:])
    both = Arguments(
        one.x + 2 * other.x,
        *one[1:3],
        *(None if a is None else a + 2 * b for a, b in zip(one[3:5], other[3:5], strict=True)),
        None,
        None,
        None,
    )
    y_one, y_other, y_both = (run(backend, case, values)[0] for values in (one, other, both))
    assert_close("y", y_both, y_one + 2 * y_other, limit(case, one, other, other, both))


@every_backend
@given(real.filter(lambda case: "time_varying" not in (case.feedforward, case.feedback)), st.integers(1, 9))
def test_a_delayed_input_gives_a_delayed_output(backend, case, delay):
    case = resized(case, state="none")
    values = without_gradients(arguments(case))
    late = resized(case, length=case.length + delay)
    pad = [(0, 0)] * (values.x.ndim - 1) + [(0, delay) if case.reverse else (delay, 0)]
    delayed = signals(case, values, lambda part: np.pad(part, pad))
    y, y_late = run(backend, case, values)[0], run(backend, late, delayed)[0]
    kept = y_late[..., : case.length] if case.reverse else y_late[..., delay:]
    quiet = y_late[..., case.length :] if case.reverse else y_late[..., :delay]
    assert not quiet.any()
    assert_close("y", kept, y, 2 * limit(case, values))


def split(backend, case, values, edges):
    """Return y and the last state of a signal run block by block."""
    blocks = list(pairwise(edges))
    parts, state = [], [None, None]
    carried = values.inputs, values.outputs
    for start, stop in reversed(blocks) if case.reverse else blocks:
        block = resized(case, length=stop - start)
        own = values._replace(x=from_canonical(to_canonical(values.x, case.layout)[..., start:stop], case.layout))
        own = taps(case, own, lambda kind, part, a=start, b=stop: part[..., a:b, :] if kind == "time_varying" else part)
        own = own._replace(inputs=carried[0], outputs=carried[1])
        y, *state = run(backend, block, own)
        carried = [from_canonical(part, case.layout) for part in state]
        block = resized(block, state="both")
        parts.append(y)
        case = resized(case, state="both")
    return np.concatenate(parts[::-1] if case.reverse else parts, -1), state


def assert_resumes(backend, case, edges):
    assume(case.length > 0)
    values = without_gradients(arguments(case))
    y, *state = run(backend, case, values)
    y_split, state_split = split(backend, case, values, edges)
    bound = 2 * limit(case, values)
    if backend in SEQUENTIAL:
        bound = 0
    assert_close("y", y_split, y, bound)
    assert_close("state.inputs", state_split[0], state[0], 0)
    largest = np.max(bound, initial=0) if np.size(bound) else 0
    assert_close("state.outputs", state_split[1], state[1], largest)


@every_backend
@given(real, st.data())
def test_a_split_signal_resumes(backend, case, data):
    cuts = data.draw(st.lists(st.integers(0, case.length), max_size=3))
    assert_resumes(backend, case, [0, *sorted(cuts), case.length])


@every_backend
@given(real.filter(lambda case: case.length <= 12))
def test_single_samples_resume(backend, case):
    assert_resumes(backend, case, range(case.length + 1))


@every_backend
@given(real, st.randoms(use_true_random=False))
def test_channels_are_independent(backend, case, random):
    values = without_gradients(arguments(case))
    order = random.sample(range(case.channels), case.channels)
    moved = taps(
        case, values, lambda kind, part: part[..., order, :, :] if kind == "time_varying" else part[..., order, :]
    )
    if not case.shared:
        moved = signals(case, moved, lambda part: part[..., order, :])
    elif moved.outputs is not None:
        outputs = to_canonical(moved.outputs, case.layout)[..., order, :]
        moved = moved._replace(outputs=from_canonical(outputs, case.layout))
    y, y_moved = run(backend, case, values)[0], run(backend, case, moved)[0]
    assert_close("y", y_moved, y[..., order, :], 2 * limit(case, moved))


@every_backend
@given(real.filter(lambda case: case.batch and case.batch[0] > 1), st.randoms(use_true_random=False))
def test_examples_are_independent(backend, case, random):
    values = without_gradients(arguments(case))
    order = random.sample(range(case.batch[0]), case.batch[0])
    moved = signals(case, values, lambda part: part[order])
    moved = taps(case, moved, lambda kind, part: part if kind == "static" else part[order])
    y, y_moved = run(backend, case, values)[0], run(backend, case, moved)[0]
    assert_close("y", y_moved, y[order], 2 * limit(case, moved))


@every_backend
@given(real.filter(lambda case: case.batch and case.batch[0] > 1))
def test_an_example_alone_is_itself_in_a_batch(backend, case):
    values = without_gradients(arguments(case))
    y = run(backend, case, values)[0]
    for index in range(case.batch[0]):
        one = slice(index, index + 1)
        alone = resized(case, batch=(1, *case.batch[1:]))
        own = signals(case, values, lambda part, one=one: part[one])
        own = taps(case, own, lambda kind, part, one=one: part if kind == "static" else part[one])
        assert_close("y", run(backend, alone, own)[0], y[one], 2 * limit(alone, own))


@every_backend
@given(real)
def test_layouts_are_names_of_axes(backend, case):
    values = without_gradients(arguments(case))
    results = []
    for layout in ("BCT", "BTC", "TBC"):
        other = resized(case, layout=layout)
        moved = values._replace(
            **{
                name: from_canonical(to_canonical(part, case.layout), layout)
                for name in ("x", "inputs", "outputs")
                if (part := getattr(values, name)) is not None
            }
        )
        parts = taps(case, values, lambda kind, part: part)
        for name in ("feedforward", "feedback"):
            if getattr(case, name) == "time_varying":
                part = to_canonical(getattr(parts, name), case.layout, taps=True)
                moved = moved._replace(**{name: from_canonical(part, layout, taps=True)})
        results.append(run(backend, other, moved))
    for result in results[1:]:
        assert_close("y", result[0], results[0][0], 2 * limit(case, values))
        assert_close("state.inputs", result[1], results[0][1], 0)


@every_backend
@given(real.filter(lambda case: case.shared and case.channels > 1))
def test_a_shared_input_is_the_input_expanded(backend, case):
    values = without_gradients(arguments(case))
    dense = resized(case, shared=False)

    def expand(part):
        return (
            part
            if part is None
            else from_canonical(np.repeat(to_canonical(part, case.layout), case.channels, -2), case.layout)
        )

    expanded = values._replace(x=expand(values.x), inputs=expand(values.inputs))
    shared_run, dense_run = run(backend, case, values), run(backend, dense, expanded)
    assert_close("y", shared_run[0], dense_run[0], 2 * limit(case, values))
    assert_close("state.inputs", np.repeat(shared_run[1], case.channels, -2), dense_run[1], 0)


@every_backend
@given(real)
def test_a_bank_is_its_filters_one_at_a_time(backend, case):
    values = without_gradients(arguments(case))
    y = run(backend, case, values)[0]
    for channel in range(case.channels):
        one = slice(channel, channel + 1)
        single = resized(case, channels=1)
        own = taps(
            case,
            values,
            lambda kind, part, one=one: part[..., one, :, :] if kind == "time_varying" else part[..., one, :],
        )
        if not case.shared:
            own = signals(case, own, lambda part, one=one: part[..., one, :])
        elif own.outputs is not None:
            outputs = to_canonical(own.outputs, case.layout)[..., one, :]
            own = own._replace(outputs=from_canonical(outputs, case.layout))
        assert_close("y", run(backend, single, own)[0], y[..., one, :], 2 * limit(single, own))


@every_backend
@given(real)
def test_backwards_is_flipped_forwards(backend, case):
    values = without_gradients(arguments(case))
    turned = resized(case, reverse=not case.reverse)
    flipped = signals(case, values, lambda part: part[..., ::-1])
    flipped = taps(case, flipped, lambda kind, part: part[..., ::-1, :] if kind == "time_varying" else part)
    result, back = run(backend, case, values), run(backend, turned, flipped)
    assert_close("y", back[0][..., ::-1], result[0], 2 * limit(case, values))
    assert_close("state.inputs", back[1][..., ::-1], result[1], 0)
    assert back[2].shape == result[2].shape
    assert_close("state.outputs", back[2][..., ::-1], result[2], np.max(2 * limit(case, values), initial=0))


@every_backend
@given(real)
def test_real_is_complex_without_an_imaginary_part(backend, case):
    values = without_gradients(arguments(case))
    wide = resized(case, dtype="complex128")
    y, y_wide = (
        run(backend, case, values)[0],
        run(backend, wide, Arguments(*(v if v is None else v + 0j for v in values)))[0],
    )
    assert np.iscomplexobj(y_wide)
    assert not np.iscomplexobj(y)
    assert_close("y", y_wide, y, 2 * limit(case, values))


@every_backend
@given(real)
def test_the_gradient_is_the_transpose(backend, case):
    """Σ grad_y · y(x) = Σ gradient of x · x, and so for the state: y is linear in both."""
    values = arguments(case)._replace(grad_inputs=None, grad_outputs=None)
    y = run(backend, case, values)[0]
    found = LIBRARY.gradients(case, backend, LIBRARY.operands(case, values), values)[2]
    left = np.sum(to_canonical(values.grad_y, case.layout) * y)
    pairs = [(found[0], values.x), (found[3], values.inputs), (found[4], values.outputs)]
    right = sum(np.sum(grad * part) for grad, part in pairs if part is not None)
    size = np.sum(np.abs(values.grad_y) * np.abs(from_canonical(y, case.layout))) + sum(
        np.sum(np.abs(grad * part)) for grad, part in pairs if part is not None
    )
    assert abs(left - right) <= 1e-11 * (1 + size)
