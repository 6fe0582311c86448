"""What blocks lose to steps is what is predicted of them, and filters that would lose much take steps."""

from __future__ import annotations

from itertools import product

import jax
import numpy as np
import pytest
from multirec_backends.jax import _solve

from multirec import recurrence
from multirec.testing.accuracy import Trial, measure
from multirec.testing.family import designed, family
from multirec.testing.libraries import NumpyLibrary

FEW = {"high-pass 20 Hz @ 48000", "resonator 0.99 at 3.1"}
EACH = [
    *(pytest.param(*each, True, id="-".join(each)) for each in (("float32", "noise"), ("float64", "steady"))),
    *(
        pytest.param(*each, False, id="-".join((*each, "all")), marks=pytest.mark.long)
        for each in product(("float32", "float64"), ("noise", "steady"))
    ),
]


def losses(dtype, signal, few):
    """Return for each filter alone its error over what is allowed, times three: about that over steps."""
    for filter_ in family(dtype):
        if filter_.name in FEW or not few:
            trial = Trial(filters=(filter_,), dtype=dtype, length=600, signal=signal)
            errors = measure(trial, "jax", NumpyLibrary()).errors
            # where inputs are large beside y, so is what each product of the gradient's sum loses
            judged = [part.excess.max() for name, part in errors.items() if signal == "noise" or "gradient" not in name]
            yield filter_.name, 3 * max(judged)


@pytest.fixture
def predicted(monkeypatch, blocked):
    """Compute everything by blocks, and note what was predicted of them."""
    found: list[float] = []
    true = _solve.predicted_loss

    def noted(*arguments):
        loss = true(*arguments)
        jax.debug.callback(lambda loss: found.append(float(np.max(loss))), loss)
        return loss

    monkeypatch.setattr(_solve, "predicted_loss", noted)
    monkeypatch.setattr(_solve, "_LARGEST_LOSS", np.inf)
    return found


@pytest.mark.parametrize(("dtype", "signal", "few"), EACH)
def test_blocks_lose_no_more_than_predicted(dtype, signal, few, predicted):
    wrong = []
    for name, loss in losses(dtype, signal, few):
        jax.effects_barrier()
        if loss > max(3, 1.5 * np.nanmax([*predicted, 0])) and np.isfinite(predicted).all():
            wrong.append(f"{name}: {loss:.3g} times the error of steps, predicted {max(predicted):.3g}")
        predicted.clear()
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("dtype", "signal", "few"), EACH)
def test_every_filter_is_as_accurate_as_steps(dtype, signal, few, blocked):
    wrong = {name: loss for name, loss in losses(dtype, signal, few) if not loss <= 3}
    assert not wrong


@pytest.mark.parametrize("name", ["K-weighting, high-pass", "high-pass 80 Hz @ 48000", "notch 50 Hz, Q 10 @ 500"])
def test_what_feedforward_stops_leaves_nothing_behind(name, blocked):
    (filter_,) = (filter_.rounded("float32") for filter_ in designed() if filter_.name == name)
    b, a = (np.array([taps], "float32") for taps in (filter_.feedforward, filter_.feedback))
    x = (1e3 + np.random.default_rng(0).standard_normal((16, 1, 3000))).astype("float32")
    truth, stepped, found = (
        recurrence(x.astype(dtype), feedforward=b.astype(dtype), feedback=a.astype(dtype), backend=backend)[0][
            ..., 2000:
        ]
        for dtype, backend in (("float64", "reference"), ("float32", "torch_loop"), ("float32", "jax"))
    )
    wrong, usual = (float(np.sqrt(np.mean((y - truth) ** 2))) for y in (found, stepped))
    assert wrong <= 3 * usual + 4 * np.finfo("float32").eps * float(np.sqrt(np.mean(truth**2)))
