"""Recurrences with an activation inside are what stepping through them gives, gradients included."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from activated import stepped
from activated.stepped import axes, from_bct, to_bct

import multirec as mr
from multirec._nonlinear import envelope, independent, sru
from multirec.errors import ArgumentError, DeviceError, DtypeError, FamilyError, ShapeError, UnsupportedError

BATCH, CHANNELS, LENGTH = 2, 19, 70
BACKENDS = ("numba", "torch_loop", "reference")
LAYOUTS = ("BCT", "BTC", "TBC")


def noise(*shape, seed, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def operands(kind, layout, order=1, states=BATCH, batch=BATCH, length=LENGTH):
    """Float64 operands of a kind: x or u first, the state last."""
    x = noise(*axes(batch, CHANNELS, length, layout), seed=1)
    one = noise(states, CHANNELS, seed=4)
    if kind == "independent":
        state = from_bct(noise(states, CHANNELS, order, seed=4), layout).contiguous()
        return [x, 0.6 * noise(CHANNELS, order, seed=2) / order, state]
    if kind == "sru":
        u = noise(*axes(batch, 3 * CHANNELS, length, layout), seed=5)
        return [u, x, noise(2, CHANNELS, seed=2), noise(2, CHANNELS, seed=3), one]
    varying = noise(*axes(1, CHANNELS, length, layout), seed=3).sigmoid()
    return [x, noise(CHANNELS, seed=2).sigmoid(), varying, one]


def compute(kind, tensors, activation, layout="BCT", backend="auto", **choices):
    choices |= {"layout": layout, "backend": backend}
    if kind == "independent":
        return independent(*tensors, activation=activation, **choices)
    if kind == "sru":
        u, highway, weight, bias, state = tensors
        return sru(u, weight, bias, state, highway=highway, scale=1.5, activation=activation, **choices)
    return envelope(*tensors, **choices)


def step(kind, tensors, activation, layout="BCT", reverse=False):
    """The same by the loops of `stepped`."""
    wide = [to_bct(part, layout) if part.ndim == 3 else part for part in tensors]
    if reverse:
        wide = [part.flip(-1) if part.ndim == 3 else part for part in wide]
    if kind == "independent":
        y, state = stepped.independent(*wide, activation)
    elif kind == "sru":
        y, state = stepped.sru(*wide, activation, 1.5)
    else:
        x, attack, *others = wide
        y, state = stepped.envelope(x, attack[:, None], *others)
    if reverse:
        y, state = y.flip(-1), state.flip(-1) if kind == "independent" else state
    return from_bct(y, layout), from_bct(state, layout) if kind == "independent" else state


def with_gradients(function, tensors):
    """Values and gradients of all tensors, with weights that are the same for every function."""
    own = [part.detach().clone().requires_grad_() for part in tensors]
    results = function(own)
    weights = [noise(*result.shape, seed=7 + index).to(result.dtype) for index, result in enumerate(results)]
    return [part.detach().double() for part in (*results, *torch.autograd.grad(results, own, weights))]


def error(found, truth):
    return [((one - two).norm() / two.norm().clamp(min=1e-30)).item() for one, two in zip(found, truth, strict=True)]


def check(kind, activation, order, layout, reverse, backend):
    tensors = operands(kind, layout, order)
    truth = with_gradients(lambda own: step(kind, own, activation, layout, reverse), tensors)
    found = with_gradients(lambda own: compute(kind, own, activation, layout, backend, reverse=reverse), tensors)
    assert max(error(found, truth)) < 1e-14


COMPILED = {("independent", "BCT"), ("sru", "BTC"), ("envelope", "TBC")}
"""Which kernels are compiled in the quick run."""


def lying(kind, layout, backend):
    """A case, the long run's where it takes another kernel."""
    is_long = backend == "numba" and (kind, layout) not in COMPILED
    return pytest.param(kind, layout, layout != "BTC", backend, marks=[pytest.mark.long] * is_long)


@pytest.mark.parametrize(
    ("kind", "layout", "reverse", "backend"),
    [lying(*case) for case in product(stepped.CASES, LAYOUTS, BACKENDS)],
)
def test_values_and_gradients_are_those_of_stepping(kind, layout, reverse, backend):
    check(kind, *stepped.CASES[kind], layout, reverse, backend)


@pytest.mark.parametrize(("kind", "activation", "order"), stepped.OTHERS)
@pytest.mark.parametrize("backend", ["torch_loop", "reference", pytest.param("numba", marks=pytest.mark.long)])
def test_so_are_those_of_other_activations_and_orders(kind, activation, order, backend):
    check(kind, activation, order, "TBC", True, backend)


ACCURACY = [("independent", "relu", 3, "float32"), ("sru", "tanh", 1, "bfloat16")]
MORE = [
    ("sru", "tanh", 1, "float32"),
    ("envelope", "identity", 1, "float32"),
    ("independent", "tanh", 1, "float16"),
    ("envelope", "identity", 1, "bfloat16"),
]


@pytest.mark.parametrize(
    ("kind", "activation", "order", "dtype"),
    [*ACCURACY, *(pytest.param(*case, marks=pytest.mark.long) for case in MORE)],
)
def test_it_loses_no_more_than_three_times_what_stepping_does(kind, activation, order, dtype):
    dtype = getattr(torch, dtype)
    wide = torch.float32 if dtype.itemsize == 2 else dtype
    tensors = operands(kind, "TBC", order)
    count = 2 if kind == "sru" else 1
    tensors = [part.to(dtype if index < count else wide) for index, part in enumerate(tensors)]
    truth = with_gradients(lambda own: step(kind, [part.double() for part in own], activation, "TBC"), tensors)
    stepping = with_gradients(lambda own: step(kind, [part.to(wide) for part in own], activation, "TBC"), tensors)
    found = with_gradients(lambda own: compute(kind, own, activation, "TBC", "numba"), tensors)
    # y is rounded once to its type, and so are its gradient and those of signals
    unit = torch.finfo(dtype).eps
    for ours, theirs in zip(error(found, truth), error(stepping, truth), strict=True):
        assert ours <= 3 * theirs + unit


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_not_finite_is_as_torch_has_it_and_the_channel_s_own(backend):
    tensors = [part.float() for part in operands("independent", "TBC", 3)]
    tensors[0][30, 0, 5] = torch.nan
    truth = with_gradients(lambda own: step("independent", own, "relu", "TBC"), tensors)
    found = with_gradients(lambda own: compute("independent", own, "relu", "TBC", backend), tensors)
    for one, two in zip(found, truth, strict=True):
        assert torch.allclose(one, two, rtol=1e-4, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize(
    ("kind", "backend"),
    [
        ("envelope", "numba"),
        *(pytest.param(kind, "numba", marks=pytest.mark.long) for kind in ("independent", "sru")),
    ],
)
def test_its_derivatives_are_right_to_the_second(kind, backend):
    activation = stepped.CASES[kind][0]
    tensors = [part.requires_grad_() for part in operands(kind, "BTC", length=4)]
    narrow = [part[..., :2].detach().requires_grad_() for part in tensors]
    if kind == "sru":
        narrow[0] = tensors[0][..., :6].detach().requires_grad_()
    if kind == "independent":
        narrow[1:] = tensors[1][:2].detach().requires_grad_(), tensors[2][..., :2].detach().requires_grad_()

    def function(*own):
        return compute(kind, own, activation, "BTC", backend)

    assert torch.autograd.gradcheck(function, narrow, check_batched_grad=True, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, narrow)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", stepped.CASES)
def test_a_call_that_is_continued_is_the_whole_bit_for_bit(kind, layout):
    activation, order = stepped.CASES[kind]
    tensors = operands(kind, layout, order)
    whole, last = compute(kind, tensors, activation, layout)
    axis = {"BCT": 2, "BTC": 1, "TBC": 0}[layout]
    *arrays, state = tensors
    pieces, at = [], 0
    for count in (1, 40, LENGTH - 41):
        part = [one.narrow(axis, at, count) if one.ndim == 3 else one for one in arrays]
        y, state = compute(kind, [*part, state], activation, layout)
        pieces.append(y)
        at += count
    assert torch.equal(torch.cat(pieces, axis), whole)
    assert torch.equal(state, last)


@pytest.mark.parametrize(
    ("kind", "backend"),
    [(kind, backend) for kind in stepped.CASES for backend in ("torch_loop", "reference")]
    + [
        ("sru", "numba"),
        *(pytest.param(kind, "numba", marks=pytest.mark.long) for kind in ("independent", "envelope")),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_sequences_are_what_each_is_alone(kind, reverse, backend):
    activation, order = stepped.CASES[kind]
    bounds = [0, 0, 3, 40, LENGTH]
    tensors = operands(kind, "TBC", order, states=4, batch=1)
    choices = {"backend": backend, "reverse": reverse}

    def together(own):
        return compute(kind, own, activation, "TBC", cu_seqlens=bounds, **choices)

    def alone(own):
        *arrays, states = own
        found = []
        for index, (start, stop) in enumerate(pairwise(bounds)):
            state = states[:, index : index + 1] if kind == "independent" else states[index : index + 1]
            part = [one[start:stop] if one.ndim == 3 else one for one in arrays]
            found.append(compute(kind, [*part, state], activation, "TBC", **choices))
        ys, after = zip(*found, strict=True)
        return torch.cat(ys), torch.cat(after, 1 if kind == "independent" else 0)

    assert max(error(with_gradients(together, tensors), with_gradients(alone, tensors))) < 1e-12


@pytest.mark.parametrize(
    ("backend", "layout"),
    [
        *product(("torch_loop", "reference"), LAYOUTS),
        *(("numba", "TBC"), *(pytest.param("numba", layout, marks=pytest.mark.long) for layout in ("BCT", "BTC"))),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_padding_harms_nothing_and_resets_cut(layout, reverse, backend):
    lengths = [50, 0]
    starts = torch.zeros(BATCH, LENGTH, dtype=torch.bool)
    starts[0, [0, 20]] = True
    tensors = operands("sru", layout)
    padded = [part.clone() for part in tensors]
    for part in padded[:2]:
        for example, length in enumerate(lengths):
            to_bct(part, layout)[example, :, length:] = torch.nan
    resets = starts.T if layout == "TBC" else starts
    choices = {"resets": resets, "lengths": lengths, "reverse": reverse, "backend": backend}
    found = with_gradients(lambda own: compute("sru", own, "tanh", layout, **choices), padded)
    y, _, of_u, of_highway = found[:4]
    for signal in (y, of_u, of_highway):
        assert not to_bct(signal, layout)[0, :, 50:].any()
        assert not to_bct(signal, layout)[1].any()
    assert all(part.isfinite().all() for part in found)

    def parts(own):
        u, highway, weight, bias, state = own
        axis = {"BCT": 2, "BTC": 1, "TBC": 0}[layout]
        zero = torch.zeros_like(state)
        found, ends = [], []
        for start, stop in ((0, 20), (20, 50)):
            enters = state if reverse and stop == 50 else zero
            cut = [part.narrow(axis, start, stop - start) for part in (u, highway)]
            one, after = compute("sru", [*cut, weight, bias, enters], "tanh", layout, reverse=reverse, backend=backend)
            found.append(one)
            ends.append(after)
        last = zero if reverse else ends[-1]
        padding = torch.zeros_like(highway.narrow(axis, 50, 20))
        whole = torch.cat([*found, padding], axis)
        kept = torch.stack([torch.ones(LENGTH), torch.zeros(LENGTH)])[:, None].to(whole)
        return whole * from_bct(kept, layout), torch.stack([last[0], state[1]])

    assert max(error(found, with_gradients(parts, tensors))) < 1e-12


def test_resets_may_be_inside_of_sequences():
    tensors = operands("sru", "BTC", states=2, batch=1)
    resets = torch.zeros(1, LENGTH, dtype=torch.bool)
    resets[0, 30] = True
    y, state = compute("sru", tensors, "tanh", "BTC", resets=resets, cu_seqlens=[0, 20, LENGTH])
    *arrays, states = tensors
    after = []
    for start, stop, enters in ((0, 20, states[:1]), (20, 30, states[1:]), (30, LENGTH, None)):
        part = [one[:, start:stop] if one.ndim == 3 else one for one in arrays]
        alone, last = compute("sru", [*part, enters], "tanh", "BTC")
        assert torch.equal(y[:, start:stop], alone)
        after.append(last)
    assert torch.equal(state, torch.cat([after[0], after[2]]))


@pytest.mark.parametrize("kind", stepped.CASES)
def test_any_strides_and_many_batch_axes(kind):
    activation, order = stepped.CASES[kind]
    tensors = operands(kind, "BCT", order)
    expected = compute(kind, tensors, activation)
    strided = [torch.stack([part, part], -1)[..., 0] for part in tensors]
    for one, two in zip(compute(kind, strided, activation), expected, strict=True):
        assert torch.equal(one, two)
    shaped = [part[None] if part.ndim == 3 else part for part in tensors]
    shaped[-1] = tensors[-1][None]
    for one, two in zip(compute(kind, shaped, activation), expected, strict=True):
        assert torch.equal(one[0], two)


@pytest.mark.parametrize("kind", stepped.CASES)
def test_numpy_arrays_give_what_tensors_do(kind):
    activation, order = stepped.CASES[kind]
    tensors = operands(kind, "BTC", order)
    for one, two in zip(
        compute(kind, [part.numpy() for part in tensors], activation, "BTC"),
        compute(kind, tensors, activation, "BTC"),
        strict=True,
    ):
        assert isinstance(one, np.ndarray)
        assert np.array_equal(one, two.numpy())


def test_no_samples_and_no_examples():
    for batch, length in ((2, 0), (0, 5)):
        tensors = operands("independent", "TBC", 2, states=batch, batch=batch, length=length)
        found = with_gradients(lambda own: compute("independent", own, "tanh", "TBC"), tensors)
        assert found[0].shape == (length, batch, CHANNELS)
        assert torch.equal(found[1], tensors[2])


@pytest.mark.long
def test_compiled_it_is_the_same():
    tensors = operands("sru", "TBC")
    resets = torch.arange(LENGTH)[:, None].expand(-1, BATCH) % 9 == 0

    def function(*own):
        return compute("sru", own, "tanh", "TBC", resets=resets)

    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    expected = with_gradients(lambda own: function(*own), tensors)
    for one, two in zip(with_gradients(lambda own: compiled(*own), tensors), expected, strict=True):
        assert torch.equal(one, two)


def test_vmap_maps_it():
    x, feedback, _ = operands("independent", "BCT")
    found, _ = torch.vmap(lambda row: independent(row, feedback, activation="tanh"))(x)
    assert torch.allclose(found, independent(x, feedback, activation="tanh")[0])


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("tanh", "float32"),
        ("sigmoid", "float32"),
        ("tanh", "float64"),
        pytest.param("sigmoid", "float64", marks=pytest.mark.long),
    ],
)
def test_activations_are_right_to_the_last_places(name, dtype):
    x = np.concatenate([np.linspace(-30, 30, 4001), np.geomspace(1e-30, 1, 500), [0.0, np.inf, -np.inf, np.nan]])
    x = x.astype(dtype)
    found, _ = independent(x[None], np.zeros((1, 1), dtype), activation=name, backend="numba")
    truth = getattr(torch, name)(torch.tensor(x).double()).numpy()
    assert np.isnan(found[0, -1])
    bound = 2.5 * np.spacing(np.abs(truth[:-1]).astype(dtype)).astype(float)
    assert (np.abs(found[0, :-1].astype(float) - truth[:-1]) <= np.maximum(bound, 2e-38)).all()


def test_an_order_that_one_kernel_has_not_is_anothers():
    x, feedback = np.ones((1, 2, 50)), np.full((2, 40), 0.01)
    with pytest.raises(UnsupportedError, match=r"order 40 .*1\.\.32.*reference, torch_loop"):
        independent(x, feedback, backend="numba")
    assert np.allclose(independent(x, feedback)[0], independent(x, feedback, backend="reference")[0])
    with pytest.raises(UnsupportedError, match=r"unfold_scan.*independent"):
        independent(x, feedback, backend="unfold_scan")


X, FEEDBACK = np.ones((2, 3, 5)), np.ones((3, 1))
MISTAKES = {
    "activation": (ArgumentError, "'gelu'.*identity.*relu", lambda: independent(X, FEEDBACK, activation="gelu")),
    "layout": (ArgumentError, "layout 'CBT'", lambda: independent(X, FEEDBACK, layout="CBT")),
    "channels": (ShapeError, r"feedback has shape \(4, 1\)", lambda: independent(X, np.ones((4, 1)))),
    "order": (ShapeError, r"\(3, 0\)", lambda: independent(X, np.ones((3, 0)))),
    "state": (ShapeError, r"state has shape \(2, 3, 2\), expected \(2, 3, 1\)",
              lambda: independent(X, FEEDBACK, np.ones((2, 3, 2)))),
    "complex": (DtypeError, "x has dtype complex128", lambda: independent(X * 1j, FEEDBACK)),
    "integers": (DtypeError, "x has dtype int64", lambda: independent(X.astype(int), FEEDBACK)),
    "rank": (ShapeError, r"x has shape \(3,\)", lambda: independent(X[0, :, 0], FEEDBACK)),
    "family": (FamilyError, "state is a torch array", lambda: independent(X, FEEDBACK, torch.ones(2, 3, 1))),
    "device": (DeviceError, "state is on meta",
               lambda: independent(torch.ones(2, 3, 5), torch.ones(3, 1), torch.ones(2, 3, 1, device="meta"))),
    "blocks": (ShapeError, "u has 5 channels and weight 3",
               lambda: sru(np.ones((2, 5, 4)), np.ones((2, 3)), np.ones((2, 3)))),
    "two highways": (ShapeError, "with a highway of its own",
                     lambda: sru(np.ones((2, 12, 4)), np.ones((2, 3)), np.ones((2, 3)), highway=np.ones((2, 3, 4)))),
    "bias": (ShapeError, r"bias has shape \(2, 2\)", lambda: sru(np.ones((2, 9, 4)), np.ones((2, 3)), np.ones((2, 2)))),
    "highway": (ShapeError, r"expected \(2, 3, 4\)",
                lambda: sru(np.ones((2, 9, 4)), np.ones((2, 3)), np.ones((2, 3)), highway=np.ones((2, 3, 5)))),
    "attack": (ShapeError, r"attack has shape \(4,\)", lambda: mr.envelope(X, np.ones(4), 0.1)),
    "resets": (DtypeError, "resets has dtype float64", lambda: mr.envelope(X, 0.1, 0.1, resets=np.ones((2, 5)))),
    "lengths": (ArgumentError, "lengths has the value 6", lambda: mr.envelope(X, 0.1, 0.1, lengths=[6, 1])),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake):
    kind, message, call = MISTAKES[mistake]
    with pytest.raises(kind, match=message):
        call()
