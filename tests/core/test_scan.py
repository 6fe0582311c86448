"""`scan` against a loop in plain array operations, and its errors in its own words."""

from __future__ import annotations

import numpy as np
import pytest

import multirec as mr
from multirec.errors import ArgumentError, DtypeError, FamilyError, MultirecError, ShapeError

LAYOUTS = {"BCT": (2, 3, 5), "BTC": (2, 5, 3), "TBC": (5, 2, 3)}
TIME = {"BCT": 2, "BTC": 1, "TBC": 0}


def stepped(gates, values, initial, axis, reverse):
    """Return y and its last sample, one step after the other, with operations of any library."""
    full = gates * (0 * values + 1)
    steps = [
        (full[place], values[place]) for place in ((slice(None),) * axis + (t,) for t in range(values.shape[axis]))
    ]
    y, now = [], initial
    for gate, value in steps[::-1] if reverse else steps:
        now = gate * now + value
        y.append(now)
    return y[::-1] if reverse else y, now


def shapes_of(layout):
    batch, channels, time = 2, 3, 5
    full = LAYOUTS[layout]
    yield from (full, tuple(1 if size == batch else size for size in full))
    yield from (
        tuple(1 if size == time else size for size in full),
        tuple(1 if size == channels else size for size in full),
    )
    yield from ((channels,), (1,), ())


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_values_and_gradients_of_gates_of_every_shape(layout, reverse):
    torch = pytest.importorskip("torch")
    draw = torch.Generator().manual_seed(0)
    axis, full = TIME[layout], LAYOUTS[layout]
    for shape in shapes_of(layout):
        gates = torch.rand(shape, generator=draw, dtype=torch.float64, requires_grad=True)
        values = torch.randn(full, generator=draw, dtype=torch.float64, requires_grad=True)
        initial = torch.randn((2, 3), generator=draw, dtype=torch.float64, requires_grad=True)
        along = gates
        if len(shape) == 1 and layout == "BCT":
            along = gates[:, None]
        y, last = mr.scan(gates, values, initial=initial, reverse=reverse, layout=layout)
        expected, expected_last = stepped(along, values, initial, axis, reverse)
        expected = torch.stack(expected, axis)
        torch.testing.assert_close(y, expected)
        torch.testing.assert_close(last, expected_last)
        of_y, of_last = torch.randn(full, generator=draw), torch.randn((2, 3), generator=draw)
        inputs = gates, values, initial
        found = torch.autograd.grad((y * of_y).sum() + (last * of_last).sum(), inputs)
        wanted = torch.autograd.grad((expected * of_y).sum() + (expected_last * of_last).sum(), inputs)
        torch.testing.assert_close(found, wanted)


def test_gates_are_viewed_and_shared_values_serve_all_channels():
    y, last = mr.scan(np.array([0.5, 0.0]), np.ones((1, 3, 1)))
    np.testing.assert_array_equal(y, [[[1, 1], [1.5, 1], [1.75, 1]]])
    np.testing.assert_array_equal(last, [[1.75, 1]])
    y, last = mr.scan(np.array([[[0.5, 0.0]]]), np.ones((1, 3, 1)), initial=np.ones((1, 2)))
    np.testing.assert_array_equal(last, [[1.875, 1]])


@pytest.mark.parametrize("gate", [0.5, 1, np.float32(0.5), 0.5j])
def test_a_number_is_a_gate(gate):
    values = np.ones((1, 4, 2), complex if isinstance(gate, complex) else float)
    y, _ = mr.scan(gate, values)
    expected, _ = stepped(gate, values, 0, 1, reverse=False)
    np.testing.assert_allclose(y, np.stack(expected, 1))


def test_a_number_is_not_rounded_to_half_precision():
    values = np.ones((1, 2000, 1), "float16")
    _, last = mr.scan(0.99, values)
    assert last.dtype == "float32"
    np.testing.assert_allclose(last, 100, rtol=1e-5)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_block_goes_on_where_the_one_before_it_ended(reverse):
    rng = np.random.default_rng(0)
    gates, values = rng.random((2, 9, 3)), rng.standard_normal((2, 9, 3))
    y, last = mr.scan(gates, values, reverse=reverse)
    blocks = [slice(4, 9), slice(0, 4)] if reverse else [slice(0, 4), slice(4, 9)]
    parts, state = [], None
    for block in blocks:
        part, state = mr.scan(gates[:, block], values[:, block], initial=state, reverse=reverse)
        parts.append(part)
    np.testing.assert_allclose(np.concatenate(parts[::-1] if reverse else parts, 1), y)
    np.testing.assert_allclose(state, last)
    np.testing.assert_array_equal(last, y[:, 0 if reverse else -1])


@pytest.mark.parametrize("reverse", [False, True])
def test_marks_are_those_of_separate_calls(reverse):
    rng = np.random.default_rng(0)
    gates, values, initial = rng.random((1, 9, 3)), rng.standard_normal((1, 9, 3)), rng.standard_normal((2, 3))
    y, last = mr.scan(gates, values, initial=initial, cu_seqlens=[0, 4, 9], reverse=reverse)
    resets = np.zeros((1, 9), bool)
    resets[0, 4] = True
    cut, _ = mr.scan(gates, values, resets=resets, reverse=reverse)
    for row, block in enumerate((slice(0, 4), slice(4, 9))):
        part = gates[:, block], values[:, block]
        apart, state = mr.scan(*part, initial=initial[row : row + 1], reverse=reverse)
        np.testing.assert_allclose(y[:, block], apart)
        np.testing.assert_allclose(last[row : row + 1], state)
        np.testing.assert_allclose(cut[:, block], mr.scan(*part, reverse=reverse)[0])
    _, last = mr.scan(gates, values, lengths=[4], reverse=reverse)
    np.testing.assert_allclose(last, mr.scan(gates[:, :4], values[:, :4], reverse=reverse)[1])


@pytest.mark.long
def test_torch_compiles_it_to_one_graph():
    torch = pytest.importorskip("torch")
    values = torch.randn(2, 6, 3, requires_grad=True)
    gates = torch.rand(2, 6, 1, requires_grad=True)

    def loss(gates, values):
        y, last = mr.scan(gates, values, initial=values[:, 0])
        return y.square().sum() + mr.scan(0.9, values)[1].sum() + last.sum()

    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    found = torch.autograd.grad(compiled(gates, values), (gates, values))
    torch.testing.assert_close(found, torch.autograd.grad(loss(gates, values), (gates, values)))


@pytest.mark.long
def test_jax_compiles_and_differentiates_it():
    jax = pytest.importorskip("jax")
    gates, values = np.full((1, 5, 1), 0.5, "float32"), np.ones((1, 5, 2), "float32")

    def loss(scan, gates, values):
        y, last = scan(gates, values)
        return y.sum() + last.sum()

    def loop(gates, values):
        y, last = stepped(gates, values, 0, 1, reverse=False)
        return jax.numpy.stack(y, 1), last

    found = jax.jit(jax.grad(lambda *args: loss(mr.scan, *args), (0, 1)))(gates, values)
    wanted = jax.grad(lambda *args: loss(loop, *args), (0, 1))(gates, values)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


VALUES = np.ones((2, 6, 3))
NOT_TORCH = "values is a numpy array and {} is a torch array; with such values it must be numpy"


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        ((np.ones((2, 3)), VALUES), ShapeError, r"gates has shape \(2, 3\).*Pass gates\[\.\.\., None, :\]"),
        ((np.ones((6, 3)), VALUES), ShapeError, "gates has the same axes, each full or 1; or it is"),
        ((np.ones((2, 5, 3)), VALUES), ShapeError, r"gates has shape \(2, 5, 3\) and values has shape \(2, 6, 3\)"),
        ((np.ones((2, 6, 3, 1)), VALUES), ShapeError, r"gates has shape \(2, 6, 3, 1\)"),
        ((np.ones(4), VALUES), ShapeError, r"gates has shape \(4,\)"),
        ((np.ones((2, 6, 3), bool), VALUES), DtypeError, "gates has dtype bool.*gates.astype"),
        (([0.5], VALUES), FamilyError, "gates is a builtins.list"),
        ((0.5, VALUES.astype(int)), DtypeError, "values has dtype int"),
        ((0.5, VALUES[0, :, 0]), ShapeError, r"values has shape \(6,\).*values\[:, None\]"),
        ((0.5, [1.0]), FamilyError, "values is a builtins.list"),
        ((0.5j, VALUES.astype("f2")), DtypeError, "values is float16 and gates is complex128"),
        ((np.ones((1, 1, 3)), VALUES, np.ones(3)), ShapeError, r"initial has shape \(3,\), expected \(2, 3\)"),
        ((0.5, VALUES, np.ones((2, 4))), ShapeError, r"initial has shape \(2, 4\), expected \(2, 3\)"),
        ((np.ones(3), VALUES[..., :1], np.ones((2, 1))), ShapeError, r"expected \(2, 3\)"),
        ((0.5, VALUES, np.ones((2, 3), "f4")), DtypeError, "initial has dtype float32, expected float64"),
        ((0.5, VALUES, 1.0), FamilyError, "initial is a builtins.float"),
    ],
)
def test_errors_are_in_its_own_words(arguments, kind, says):
    gates, values, *initial = arguments
    with pytest.raises(kind, match=says) as caught:
        mr.scan(gates, values, initial=initial[0] if initial else None)
    assert "feedback" not in str(caught.value)
    assert " x " not in str(caught.value)


@pytest.mark.parametrize(
    ("keywords", "says"),
    [
        ({"layout": "TB"}, "unknown layout 'TB'"),
        ({"compute_dtype": "float32"}, "values is float64"),
        ({"resets": np.ones((2, 6))}, "resets has dtype float64"),
        ({"lengths": [1, 7]}, "lengths has the value 7, and values 6 samples"),
        ({"cu_seqlens": [0, 6]}, "cu_seqlens is given and values of shape"),
        ({"cu_seqlens": 6}, "cu_seqlens is a builtins.int"),
    ],
)
def test_errors_of_choices_and_marks_are_in_its_own_words(keywords, says):
    with pytest.raises(MultirecError, match=says):
        mr.scan(0.5, VALUES, **keywords)


def test_an_initial_of_packed_sequences_has_one_entry_for_each():
    with pytest.raises(ShapeError, match=r"initial has shape \(3, 3\), expected \(2, 3\)"):
        mr.scan(0.5, VALUES[:1], cu_seqlens=[0, 2, 6], initial=np.ones((3, 3)))


def test_arrays_of_two_libraries_are_an_error():
    torch = pytest.importorskip("torch")
    with pytest.raises(FamilyError, match=NOT_TORCH.format("gates")):
        mr.scan(torch.ones(3), VALUES)
    with pytest.raises(FamilyError, match=NOT_TORCH.format("initial")):
        mr.scan(0.5, VALUES, initial=torch.ones(2, 3))
    with pytest.raises(ArgumentError):
        mr.scan(0.5, VALUES, reverse=1)
