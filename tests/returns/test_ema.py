"""Exponentially weighted means against their weights written out, and against numbers of pandas."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import multirec as mr
from multirec.errors import ArgumentError, AxisError, DtypeError, FamilyError, ShapeError

nan = np.nan
GAPS = [nan, 1.0, nan, nan, 4.0, 2.0, nan, 8.0]
# Series(GAPS).ewm(**{name: value}, adjust=adjust, ignore_na=ignore_na).mean() of pandas 3.1.1, 12 digits
PANDAS = [
    ("alpha", 0.4, True, True, [nan, 1.0, 1.0, 1.0, 2.875, 2.428571428571, 2.428571428571, 4.988970588235]),
    ("alpha", 0.4, True, False, [nan, 1.0, 1.0, 1.0, 3.467105263158, 2.618871415356, 2.618871415356, 5.93511871894]),
    ("alpha", 0.4, False, True, [nan, 1.0, 1.0, 1.0, 2.2, 2.12, 2.12, 4.472]),
    ("alpha", 0.4, False, False, [nan, 1.0, 1.0, 1.0, 2.948051948052, 2.568831168831, 2.568831168831, 5.427341079973]),
    ("span", 5, True, False, [nan, 1.0, 1.0, 1.0, 3.314285714286, 2.609271523179, 2.609271523179, 5.557389347337]),
    ("com", 1.5, False, True, [nan, 1.0, 1.0, 1.0, 2.2, 2.12, 2.12, 4.472]),
    ("halflife", 2, True, False, [nan, 1.0, 1.0, 1.0, 3.216388375109, 2.59486461013, 2.59486461013, 5.326726896772]),
]


def written_out(x, alpha, adjust, ignore_na):
    """Return the mean of each row by its weights, all of them for every sample, with operations of any library."""
    rows = []
    for row in x:
        means, places = [], []
        for t in range(len(row)):
            if bool(row[t] == row[t]):
                places.append(t)
            if not places:
                means.append(0 * row[t])
                continue
            ages = np.arange(len(places))[::-1] if ignore_na else places[-1] - np.array(places)
            if adjust:
                weights = (1 - alpha) ** ages
            else:
                # what the mean so far keeps, sample by sample
                old = (1 - alpha) ** (np.ones(len(places) - 1) if ignore_na else np.diff(places))
                shares = np.concatenate([[1.0], alpha / (alpha + old)])
                weights = np.array([share * np.prod(1 - shares[k + 1 :]) for k, share in enumerate(shares)])
            weights = weights / weights.sum()
            means.append(sum(float(weight) * row[place] for weight, place in zip(weights, places, strict=True)))
        rows.append(means)
    return rows


def with_gaps(share):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 30))
    x[rng.random(x.shape) < share] = nan
    return x


BOTH = pytest.mark.parametrize("ignore_na", [False, True]), pytest.mark.parametrize("adjust", [False, True])


@pytest.mark.parametrize(("name", "value", "adjust", "ignore_na", "expected"), PANDAS)
def test_numbers_of_pandas(name, value, adjust, ignore_na, expected):
    found = mr.ema(np.array(GAPS), **{name: value}, adjust=adjust, ignore_na=ignore_na)
    np.testing.assert_allclose(found, expected, rtol=1e-11)


@BOTH[0]
@BOTH[1]
@pytest.mark.parametrize("alpha", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_weights_written_out(share, alpha, adjust, ignore_na):
    x = with_gaps(share)
    expected = np.array(written_out(x, alpha, adjust, ignore_na))
    keywords = {"alpha": alpha, "adjust": adjust, "ignore_na": ignore_na}
    np.testing.assert_allclose(mr.ema(x, **keywords), expected, atol=1e-12)
    np.testing.assert_allclose(mr.ema(x.T, axis=0, **keywords), expected.T, atol=1e-12)
    np.testing.assert_allclose(mr.ema(x.reshape(2, 2, 30, 1), axis=2, **keywords), expected.reshape(2, 2, 30, 1))


@BOTH[0]
@BOTH[1]
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_torch_differentiates_it(share, adjust, ignore_na):
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(with_gaps(share)).requires_grad_()
    y = mr.ema(x, alpha=0.3, adjust=adjust, ignore_na=ignore_na)
    expected = torch.stack([torch.stack(row) for row in written_out(x, 0.3, adjust, ignore_na)])
    torch.testing.assert_close(y, expected, equal_nan=True)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(0), dtype=y.dtype)
    sums = [torch.where(part.isnan(), 0, part * weights).sum() for part in (y, expected)]
    found, wanted = (torch.autograd.grad(part, x)[0] for part in sums)
    torch.testing.assert_close(found, wanted)


@pytest.mark.long
def test_torch_compiles_it():
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(with_gaps(0.3))
    compiled = torch.compile(lambda x: mr.ema(x, span=4), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), mr.ema(x, span=4), equal_nan=True)


def test_torch_maps_it():
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(with_gaps(0.3))
    expected = mr.ema(x, span=4)
    torch.testing.assert_close(torch.func.vmap(lambda x: mr.ema(x, span=4))(x), expected, equal_nan=True)


@pytest.mark.long
def test_jax_compiles_it():
    jax = pytest.importorskip("jax")
    x = with_gaps(0.3).astype("float32")
    found = jax.jit(lambda x: mr.ema(x, span=4))(jax.numpy.asarray(x))
    np.testing.assert_allclose(found, mr.ema(x, span=4), rtol=1e-5)


def test_infinities_are_gaps():
    x = with_gaps(0.3)
    infinite = np.where(np.isnan(x), np.where(np.arange(30) % 2, np.inf, -np.inf), x)
    np.testing.assert_array_equal(mr.ema(infinite, alpha=0.3), mr.ema(x, alpha=0.3))
    np.testing.assert_array_equal(mr.ema(np.array([1.0, np.inf]), alpha=0.3), [1, 1])


def test_a_long_gap_keeps_the_mean():
    x = np.full(3000, nan)
    x[0], x[-1] = 1.0, 5.0
    for adjust in (False, True):
        y = mr.ema(x, alpha=0.9, adjust=adjust)
        np.testing.assert_array_equal(y[:-1], 1)
        assert y[-1] == 5


def test_float32_is_computed_in_float64():
    y = mr.ema(np.ones((1, 10000), "float32"), alpha=1e-5, adjust=False)
    assert y.dtype == "float32"
    np.testing.assert_array_equal(y, 1)


@pytest.mark.parametrize("x", [np.full(4, nan), np.zeros((2, 0)), np.zeros((0, 3))])
def test_nothing_to_take_a_mean_of(x):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(mr.ema(x, alpha=0.5), x)
    before = x.copy()
    mr.ema(x, alpha=0.5, adjust=False)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("x", "keywords", "kind", "says"),
    [
        (np.ones(3), {}, ArgumentError, "one of alpha, span, com and halflife, got none of them"),
        (np.ones(3), {"alpha": 0.5, "com": 1}, ArgumentError, "got alpha and com"),
        (np.ones(3), {"alpha": 0}, ArgumentError, "alpha is 0; it is 0 < alpha ≤ 1"),
        (np.ones(3), {"alpha": 1.5}, ArgumentError, "alpha is 1.5"),
        (np.ones(3), {"span": 0.5}, ArgumentError, "span is 0.5; it is at least 1"),
        (np.ones(3), {"com": -1}, ArgumentError, "com is -1; it is at least 0"),
        (np.ones(3), {"halflife": 0}, ArgumentError, "halflife is 0; it is above 0"),
        (np.ones(3), {"alpha": nan}, ArgumentError, "alpha is nan"),
        (np.ones(3), {"halflife": np.inf}, ArgumentError, "halflife is inf; it is above 0 and finite"),
        (np.ones(3), {"alpha": np.full(2, 0.5)}, ArgumentError, "alpha is a numpy.ndarray, expected a number.*scan"),
        (np.ones(3), {"halflife": "1d"}, ArgumentError, "halflife is a builtins.str"),
        (np.ones(3, int), {"alpha": 0.5}, DtypeError, "x has dtype int64.*x.astype"),
        (np.ones(3, complex), {"alpha": 0.5}, DtypeError, "x has dtype complex128"),
        (np.array(1.0), {"alpha": 0.5}, ShapeError, "x is one number"),
        (np.ones(3), {"alpha": 0.5, "axis": 1}, AxisError, r"axis is 1, and x of shape \(3,\)"),
        ([1.0], {"alpha": 0.5}, FamilyError, "x is a builtins.list"),
    ],
)
def test_errors(x, keywords, kind, says):
    with pytest.raises(kind, match=says):
        mr.ema(x, **keywords)
