"""Returns against loops over time, wherever its axis is, and where episodes end or are cut off."""

from __future__ import annotations

import numpy as np
import pytest

import multirec as mr
from multirec.errors import ArgumentError, AxisError, DtypeError, FamilyError, ShapeError

GAMMA, LAM, STEPS = 0.9, 0.8, 7


def episodes(seed=0, dtype="float64"):
    """Return rewards, values, next values, and where episodes terminate and are done, time first."""
    rng = np.random.default_rng(seed)
    signals = rng.standard_normal((3, STEPS, 2, 3)).astype(dtype)
    done = rng.random((STEPS, 2, 3)) < 0.4
    return *signals, done & (rng.random(done.shape) < 0.5), done


def looped_returns(rewards, done, gamma, after):
    """Return discounted sums, one step after the other, with operations of any library."""
    found = []
    for t in range(STEPS - 1, -1, -1):
        after = rewards[t] + gamma * after * (1 - 1 * done[t])
        found.insert(0, after)
    return found


def looped_gae(rewards, values, next_values, terminated, done, gamma, lam):
    """Return advantages, one step after the other, with operations of any library."""
    found, after = [], 0
    for t in range(STEPS - 1, -1, -1):
        delta = rewards[t] + gamma * next_values[t] * (1 - 1 * terminated[t]) - values[t]
        after = delta + gamma * lam * (1 - 1 * done[t]) * after
        found.insert(0, after)
    return found


AXES = [(rank, axis) for rank in (1, 2, 3, 4) for axis in range(rank)]


def placed(array, rank, axis):
    """Return an array whose time is first with so many axes, and time in another place."""
    array = {1: array[:, 0, 0], 2: array[:, 0], 3: array, 4: array[:, None]}[rank]
    return np.ascontiguousarray(np.moveaxis(array, 0, axis))


@pytest.mark.parametrize(("rank", "axis"), AXES)
def test_time_is_any_axis(rank, axis):
    signals = episodes()
    rewards, values, next_values, terminated, done = (placed(part, rank, axis) for part in signals)
    keywords = {"terminated": terminated, "done": done, "gamma": GAMMA, "lam": LAM}
    before = [part.copy() for part in (rewards, values, next_values)]
    advantage, target = mr.gae(rewards, values, next_values, **keywords, time_dim=axis)
    expected = placed(np.stack(looped_gae(*signals, GAMMA, LAM)), rank, axis)
    np.testing.assert_allclose(advantage, expected)
    np.testing.assert_allclose(target, expected + values)
    for own, whole in zip((rewards, values, next_values), before, strict=True):
        np.testing.assert_array_equal(own, whole)
    expected = placed(np.stack(looped_returns(signals[0], signals[4], GAMMA, 0)), rank, axis)
    np.testing.assert_allclose(mr.discounted_returns(rewards, done, GAMMA, time_dim=axis - rank), expected)


def test_a_truncated_episode_is_worth_what_comes_after_it():
    never, cut = np.zeros(3, bool), np.array([False, True, False])
    zeros, ones = np.zeros(3), np.ones(3)
    truncated, _ = mr.gae(zeros, zeros, ones, terminated=never, done=cut, gamma=0.5, lam=1.0)
    np.testing.assert_allclose(truncated, [0.75, 0.5, 0.5])
    terminated, _ = mr.gae(zeros, zeros, ones, terminated=cut, done=cut, gamma=0.5, lam=1.0)
    np.testing.assert_allclose(terminated, [0.5, 0.0, 0.5])


def test_a_value_after_the_end_harms_nothing():
    ends, nothing = np.array([False, True, False]), np.array([1.0, np.nan, 1.0])
    advantage, _ = mr.gae(np.ones(3), np.ones(3), nothing, terminated=ends, done=ends, gamma=0.5, lam=1.0)
    assert np.isfinite(advantage).all()


@pytest.mark.parametrize(
    "bootstrap", [2.0, np.float32(2), np.array(2), np.array(2.0), np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])]
)
def test_rewards_that_end_within_an_episode_go_on_with_its_value(bootstrap):
    rewards, _, _, _, done = episodes()
    after = np.asarray(bootstrap, float)
    expected = np.stack(looped_returns(rewards, done, GAMMA, after))
    np.testing.assert_allclose(mr.discounted_returns(rewards, done, GAMMA, bootstrap=bootstrap, time_dim=0), expected)
    expected = np.stack(looped_returns(rewards, 0 * done, GAMMA, after))
    np.testing.assert_allclose(mr.discounted_returns(rewards, None, GAMMA, bootstrap=bootstrap, time_dim=0), expected)


def test_flags_and_discounts_may_be_shared():
    rewards, values, next_values, terminated, done = episodes()
    shared = terminated[:, :1, :1], done[:, :1, :1]
    gamma, lam = np.full((1, 2, 1), GAMMA), np.full((STEPS, 1, 3), LAM)
    keywords = {"terminated": shared[0], "done": shared[1], "time_dim": 0}
    advantage, target = mr.gae(rewards, values, next_values, gamma=gamma, lam=lam, **keywords)
    expected = np.stack(looped_gae(rewards, values, next_values, *shared, GAMMA, LAM))
    np.testing.assert_allclose(advantage, expected)
    np.testing.assert_allclose(target, expected + values)
    advantage, target = mr.gae(rewards, values, next_values, gamma=GAMMA, lam=LAM, **keywords)
    np.testing.assert_allclose(advantage, expected)
    np.testing.assert_allclose(target, expected + values)


def test_torch_differentiates_everything():
    torch = pytest.importorskip("torch")
    *signals, terminated, done = (torch.from_numpy(part) for part in episodes())
    gamma, lam = (torch.tensor(number, dtype=torch.float64) for number in (GAMMA, LAM))
    inputs = [part.requires_grad_() for part in (*signals, gamma, lam)]
    rewards, values, next_values = signals
    weights = torch.randn(2, STEPS, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def gradients(advantage, target):
        return torch.autograd.grad((weights[0] * advantage + weights[1] * target).sum(), inputs)

    keywords = {"terminated": terminated, "done": done, "gamma": gamma, "lam": lam, "time_dim": 0}
    found = mr.gae(rewards, values, next_values, **keywords)
    expected = torch.stack(looped_gae(rewards, values, next_values, terminated, done, gamma, lam))
    torch.testing.assert_close(found, (expected, expected + values))
    torch.testing.assert_close(gradients(*found), gradients(expected, expected + values))
    with torch.no_grad():
        torch.testing.assert_close(mr.gae(rewards, values, next_values, **keywords), found)

    after = torch.tensor([[1.0, 2.0, 3.0]] * 2, dtype=torch.float64, requires_grad=True)
    found = mr.discounted_returns(rewards, done, gamma, bootstrap=after, time_dim=0)
    expected = torch.stack(looped_returns(rewards, done, gamma, after))
    torch.testing.assert_close(found, expected)
    inputs = rewards, gamma, after
    wanted = torch.autograd.grad((weights[0] * expected).sum(), inputs)
    torch.testing.assert_close(torch.autograd.grad((weights[0] * found).sum(), inputs), wanted)


@pytest.mark.long
def test_torch_compiles_and_maps_it():
    torch = pytest.importorskip("torch")
    arrays = [torch.from_numpy(part[:, 0]) for part in episodes(dtype="float32")]

    def advantages(rewards, values, next_values, terminated, done, time_dim=0):
        keywords = {"terminated": terminated, "done": done, "gamma": GAMMA, "lam": LAM, "time_dim": time_dim}
        return mr.gae(rewards, values, next_values, **keywords)[0]

    expected = advantages(*arrays)
    compiled = torch.compile(advantages, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*arrays), expected)
    torch.testing.assert_close(torch.func.vmap(advantages, 1, 1)(*arrays), expected)


@pytest.mark.long
def test_jax_compiles_maps_and_differentiates_it():
    jax = pytest.importorskip("jax")
    arrays = [part[:, 0] for part in episodes(dtype="float32")]

    def advantages(rewards, values, next_values, terminated, done):
        return mr.gae(rewards, values, next_values, terminated=terminated, done=done, gamma=GAMMA, lam=LAM)[0]

    def loop(*arrays):
        return jax.numpy.stack(looped_gae(*arrays, GAMMA, LAM))

    found = jax.jit(jax.vmap(advantages, 1, 1))(*(jax.numpy.asarray(part) for part in arrays))
    np.testing.assert_allclose(found, loop(*arrays), rtol=1e-5, atol=1e-6)
    one = [jax.numpy.asarray(part[:, 0]) for part in arrays]
    found = jax.grad(lambda *args: advantages(*args, *one[3:]).sum(), (0, 1, 2))(*one[:3])
    wanted = jax.grad(lambda *args: loop(*args, *one[3:]).sum(), (0, 1, 2))(*one[:3])
    np.testing.assert_allclose(np.stack(found), np.stack(wanted), rtol=1e-5, atol=1e-6)


def test_half_types_are_computed_in_float32():
    torch = pytest.importorskip("torch")
    rewards = torch.ones(2000, 1, dtype=torch.bfloat16)
    never = torch.zeros(2000, 1, dtype=torch.bool)
    keywords = {"terminated": never, "done": never, "gamma": 0.99, "lam": 1.0, "time_dim": 0}
    advantage, target = mr.gae(rewards, 0 * rewards, 0 * rewards, **keywords)
    assert advantage.dtype == target.dtype == torch.bfloat16
    assert abs(float(advantage[0, 0]) - 100) < 0.5
    assert abs(float(mr.discounted_returns(rewards, never, 0.99, time_dim=0)[0, 0]) - 100) < 0.5


@pytest.mark.parametrize("wanted", [False, True])
def test_half_types_are_rounded_once(wanted):
    torch = pytest.importorskip("torch")
    # values so far from 0 that a difference of rounded ones is none
    signals = [
        torch.from_numpy(part[:, 0] + offset).bfloat16()
        for part, offset in zip(episodes()[:3], (0, 100, 100), strict=True)
    ]
    never = torch.zeros(signals[0].shape, dtype=torch.bool)
    keywords = {"terminated": never, "done": never, "gamma": GAMMA, "lam": LAM, "time_dim": 0}
    expected = [part.bfloat16() for part in mr.gae(*(part.double() for part in signals), **keywords)]
    found = mr.gae(*(part.requires_grad_(wanted) for part in signals), **keywords)
    torch.testing.assert_close([part.detach() for part in found], expected, rtol=2**-8, atol=1e-3)


ONES, FLAGS = np.ones((4, 6)), np.zeros((4, 6), bool)


@pytest.mark.parametrize(
    ("changed", "kind", "says"),
    [
        ({"time_dim": None}, ArgumentError, "time_dim does not say which axis is time"),
        ({"time_dim": 2}, AxisError, r"time_dim is 2, and rewards of shape \(4, 6\)"),
        ({"rewards": ONES.astype(int)}, DtypeError, "rewards has dtype int"),
        ({"rewards": ONES + 1j}, DtypeError, "rewards has dtype complex128"),
        ({"rewards": [1.0]}, FamilyError, "rewards is a builtins.list"),
        ({"rewards": np.array(1.0)}, ShapeError, "rewards is one number"),
        ({"values": ONES[:2]}, ShapeError, r"values has shape \(2, 6\), expected that of rewards, \(4, 6\)"),
        ({"next_values": ONES.astype("f4")}, DtypeError, "next_values has dtype float32 and rewards has float64"),
        ({"terminated": ONES}, DtypeError, "terminated has dtype float64, expected bool.*terminated != 0"),
        ({"done": FLAGS[:, 0]}, ShapeError, r"done has shape \(4,\), and rewards has \(4, 6\)"),
        ({"done": FLAGS[:, :2]}, ShapeError, "expected the same axes, each full or 1"),
        ({"gamma": np.ones((2, 6))}, ShapeError, r"gamma has shape \(2, 6\)"),
        ({"lam": "0.9"}, FamilyError, "lam is a builtins.str"),
        ({"gamma": np.array(0.9j)}, DtypeError, "gamma has dtype complex128"),
        ({"done": None}, FamilyError, "done is a builtins.NoneType.*dtype='bool'"),
    ],
)
def test_errors_of_gae_name_what_does_not_fit(changed, kind, says):
    given = {"rewards": ONES, "values": ONES, "next_values": ONES, "terminated": FLAGS, "done": FLAGS, "time_dim": -1}
    with pytest.raises(kind, match=says):
        mr.gae(**({**given, "gamma": GAMMA, "lam": LAM} | changed))


@pytest.mark.parametrize(
    ("changed", "kind", "says"),
    [
        ({"dones": ONES}, DtypeError, "dones has dtype float64, expected bool"),
        ({"bootstrap": np.ones(6)}, ShapeError, r"bootstrap has shape \(6,\), expected \(4,\)"),
        ({"bootstrap": [1.0]}, FamilyError, "bootstrap is a builtins.list"),
    ],
)
def test_errors_of_discounted_returns_name_what_does_not_fit(changed, kind, says):
    given = {"rewards": ONES, "dones": FLAGS, "gamma": GAMMA, "time_dim": -1}
    with pytest.raises(kind, match=says):
        mr.discounted_returns(**(given | changed))
