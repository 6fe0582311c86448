"""What every unit does alike: steps, blocks, layouts, half types, and sequences marked off."""

from __future__ import annotations

import copy
import itertools
import pickle
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence, unpack_sequence

import multirec as mr
from multirec import nn as mnn

from .cases import CASES, ONE_EACH, parts, perturb

TIME = {"TBC": 0, "BTC": 1}
RESETS = torch.tensor([[0, 0, 0, 1, 0, 1, 0], [1, 0, 0, 0, 0, 0, 0]], dtype=torch.bool)


def stepped(unit: Any, x: torch.Tensor, axis: int, state: Any = None) -> tuple[torch.Tensor, Any]:
    turn = -1 if unit.reverse else 1
    outs = []
    for sample in x.unbind(axis)[::turn]:
        out, state = unit.step(sample, state)
        outs.append(out)
    return torch.stack(outs[::turn], axis), state


def example(state: mr.State, index: int, layout: str) -> mr.State:
    """Return the state of one example, without a batch axis."""
    return mr.State(*(part if part is None else part.select(1 - TIME[layout], index) for part in state))


def as_units_have_it(part: torch.Tensor, layout: str) -> torch.Tensor:
    return part if layout == "BTC" else part.transpose(0, 1)


@pytest.mark.parametrize(("layout", "reverse"), [("TBC", False), ("BTC", True)])
@pytest.mark.parametrize("name", CASES)
def test_steps_and_blocks_are_the_whole(name: str, layout: str, reverse: bool) -> None:
    unit = perturb(CASES[name].unit(layout=layout, reverse=reverse))
    axis = TIME[layout]
    x = as_units_have_it(CASES[name].x(2, 6), layout)
    outs, last = unit(x)
    found, state = stepped(unit, x, axis)
    torch.testing.assert_close((found, *parts(state)), (outs, *parts(last)))
    torch.testing.assert_close(unit(x, unit.init_state(x))[0], outs)
    first, second = x.split([2, 4], axis)
    if reverse:
        late, state = unit(second)
        early, state = unit(first, state.detach())
    else:
        early, state = unit(first)
        late, state = unit(second, state.detach())
    torch.testing.assert_close((torch.cat([early, late], axis), *parts(state)), (outs, *parts(last)))
    again, _ = stepped(unit, x, axis, last)
    torch.testing.assert_close(again, unit(x, last)[0])
    weights = list(unit.parameters())
    got = torch.autograd.grad(found.square().sum(), weights)
    torch.testing.assert_close(got, torch.autograd.grad(outs.square().sum(), weights))


@pytest.mark.parametrize("name", ONE_EACH)
def test_layouts_directions_and_batches(name: str) -> None:
    case = CASES[name]
    unit, twin = perturb(case.unit()), case.unit(layout="BTC", reverse=True)
    twin.load_state_dict(unit.state_dict())
    x = case.x(6, 2)
    outs, last = unit(x)
    turned, back = twin(x.flip(0).transpose(0, 1))
    torch.testing.assert_close(turned, outs.flip(0).transpose(0, 1))
    torch.testing.assert_close(back.outputs.flip(1), last.outputs.transpose(0, 1))
    torch.testing.assert_close(unit(x[:, 0])[0], outs[:, 0])
    torch.testing.assert_close(unit.step(x[0, 0])[0], outs[0, 0])
    torch.testing.assert_close(unit(x[:, None])[0], outs[:, None])
    empty, state = unit(x[:0], last)
    assert empty.shape == (0, 2, 4)
    torch.testing.assert_close(state.outputs, last.outputs)
    assert unit.step(x[0, :0])[0].shape == (0, 4)


@pytest.mark.parametrize("name", ONE_EACH)
def test_no_samples_and_no_examples_have_gradients_of_zero(name: str) -> None:
    unit, x = CASES[name].by_torch(), CASES[name].x(6, 2, requires_grad=True)
    for block, cuts in ((x[:0], {}), (x[:, :0], {}), (x[:0], {"lengths": [0, 0]}), (x[:0, :1], {"cu_seqlens": [0, 0]})):
        outs, _ = unit(block, **cuts)
        assert outs.shape == (*block.shape[:-1], 4)
        found = torch.autograd.grad(outs.sum(), (x, *unit.parameters()))
        assert not any(grad.any() for grad in found)


@pytest.mark.parametrize("name", ONE_EACH)
def test_a_step_without_a_batch_has_gradients(name: str) -> None:
    unit, x = perturb(CASES[name].unit()), CASES[name].x(2)
    found, _ = stepped(unit, x, 0)
    whole = stepped(unit, x[:, None], 0)[0][:, 0]
    weights = list(unit.parameters())
    got = torch.autograd.grad(found.square().sum(), weights)
    torch.testing.assert_close(got, torch.autograd.grad(whole.square().sum(), weights))


@pytest.mark.parametrize("kernels", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", ONE_EACH)
def test_half_types_and_autocast(name: str, kernels: bool) -> None:
    case = CASES[name]
    unit = perturb((case.unit if kernels else case.by_torch)(dtype=torch.float32))
    x = case.x(12, 2, dtype=torch.bfloat16)
    half = copy.deepcopy(unit).bfloat16()
    with torch.no_grad():
        outs, last = half(x)
        found, state = stepped(half, x, 0)
    assert outs.dtype == found.dtype == torch.bfloat16
    wide = torch.complex64 if name.startswith("LRU") else torch.float32
    assert last.outputs.dtype == state.outputs.dtype == wide
    # two units in the last place of a number of size 1
    torch.testing.assert_close(found, outs, rtol=0.016, atol=0.016)
    torch.testing.assert_close(outs.float(), unit(x.float())[0], rtol=0.1, atol=0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outs, last = unit(x.float())
        outs, last = unit(x.float(), last)
        out, last = unit.step(x[0].float(), last)
    # without a projection x is what is gated
    assert outs.dtype == out.dtype == (torch.float32 if name == "RGLRU" else torch.bfloat16)
    assert last.outputs.dtype == wide
    outs.float().square().sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in unit.parameters())


@pytest.mark.parametrize(("layout", "reverse"), [("TBC", False), ("BTC", True)])
@pytest.mark.parametrize("name", ONE_EACH)
def test_lengths_are_calls_apart(name: str, layout: str, reverse: bool) -> None:
    case = CASES[name]
    unit = perturb(case.by_torch(layout=layout, reverse=reverse))
    x, lengths = case.x(3, 6), [4, 6, 1]
    _, before = unit(as_units_have_it(case.x(3, 5), layout))
    spoilt = x.clone()
    for row, length in zip(spoilt, lengths, strict=True):
        row[length:] = torch.nan
    outs, last = unit(as_units_have_it(spoilt, layout).requires_grad_(), before.detach(), lengths=lengths)
    weights = list(unit.parameters())
    got = torch.autograd.grad(outs.square().sum() + last.outputs.real.sum(), weights)
    total = torch.zeros((), dtype=torch.float64)
    for index, (row, length) in enumerate(zip(x, lengths, strict=True)):
        own, after = unit(row[:length], example(before.detach(), index, layout))
        rows = as_units_have_it(outs, layout)[index]
        torch.testing.assert_close(rows[:length], own)
        assert not rows[length:].any()
        torch.testing.assert_close(tuple(parts(example(last, index, layout))), tuple(parts(after)))
        total = total + own.square().sum() + after.outputs.real.sum()
    torch.testing.assert_close(got, torch.autograd.grad(total, weights))


@pytest.mark.parametrize(("layout", "reverse"), [("TBC", False), ("BTC", True)])
@pytest.mark.parametrize("name", ONE_EACH)
def test_resets_are_calls_apart(name: str, layout: str, reverse: bool) -> None:
    case = CASES[name]
    unit = perturb(case.by_torch(layout=layout, reverse=reverse))
    x = case.x(2, 7)
    _, before = unit(as_units_have_it(case.x(2, 5), layout))
    outs, last = unit(as_units_have_it(x, layout), before, resets=as_units_have_it(RESETS, layout))
    for index, (row, resets) in enumerate(zip(x, RESETS, strict=True)):
        own = as_units_have_it(outs, layout)[index]
        edges = [0, *(t for t in range(1, 7) if resets[t]), 7]
        for start, stop in itertools.pairwise(edges):
            joined = stop == 7 if reverse else start == 0 and not resets[0]
            expected, after = unit(row[start:stop], example(before, index, layout) if joined else None)
            torch.testing.assert_close(own[start:stop], expected)
            if not reverse and stop == 7:
                torch.testing.assert_close(tuple(parts(example(last, index, layout))), tuple(parts(after)))


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", ONE_EACH)
def test_sequences_end_to_end_are_calls_apart(name: str, reverse: bool, given: bool) -> None:
    case = CASES[name]
    unit = perturb(case.by_torch(reverse=reverse))
    x, edges = case.x(7, 1), [0, 2, 6, 7]
    before = unit(case.x(5, 3))[1] if given else None
    outs, last = unit(x, before, cu_seqlens=edges)
    assert last.outputs.shape[1] == 3
    for index, (start, stop) in enumerate(itertools.pairwise(edges)):
        state = None if before is None else example(before, index, "TBC")
        own, after = unit(x[start:stop, 0], state)
        torch.testing.assert_close(outs[start:stop, 0], own)
        torch.testing.assert_close(tuple(parts(example(last, index, "TBC"))), tuple(parts(after)))


@pytest.mark.parametrize("layout", ["TBC", "BTC"])
@pytest.mark.parametrize("name", ["RNN", "MinGRU", "RGLRUBlock"])
def test_packed_sequences(name: str, layout: str) -> None:
    case = CASES[name]
    unit = case.by_torch(layout=layout)
    rows = [case.x(length) for length in (3, 5, 3, 1)]
    packed = pack_sequence(rows, enforce_sorted=False)
    outs, last = unit(packed)
    assert torch.equal(outs.batch_sizes, packed.batch_sizes)
    assert torch.equal(outs.sorted_indices, packed.sorted_indices)
    for index, (row, own) in enumerate(zip(rows, unpack_sequence(outs), strict=True)):
        expected, after = unit(row)
        torch.testing.assert_close(own, expected)
        torch.testing.assert_close(tuple(parts(example(last, index, layout))), tuple(parts(after)))


@pytest.mark.parametrize("name", CASES)
def test_copies_meta_and_repr(name: str) -> None:
    case = CASES[name]
    unit, x = case.unit(), case.x(5, 2)
    for twin in (copy.deepcopy(unit), pickle.loads(pickle.dumps(unit))):
        torch.testing.assert_close(twin(x)[0], unit(x)[0], rtol=0, atol=0)
    bare = case.unit(device="meta").to_empty(device="cpu")
    bare.reset_parameters()
    assert bare(x)[0].isfinite().all()
    bare.load_state_dict(unit.state_dict())
    torch.testing.assert_close(bare(x)[0], unit(x)[0], rtol=0, atol=0)
    shown = repr(unit).replace("\n ", "")
    assert f"{type(unit).__name__}( {case.inputs}, 4" in shown or f"{type(unit).__name__}({case.inputs}, 4" in shown
    for option in case.options:
        assert f"{option}={case.options[option]!r}" in shown or option == "heads"


@pytest.mark.parametrize("name", ["MinGRU", "QRNN-window", "LRU", "RGLRU"])
def test_compute_dtype_and_backends(name: str) -> None:
    case = CASES[name]
    unit = case.unit(dtype=torch.float32, compute_dtype="float64")
    x = case.x(6, 2, dtype=torch.float32)
    outs, last = unit(x)
    assert outs.dtype == torch.float32
    assert last.outputs.dtype == unit.step(x[0], last)[1].outputs.dtype
    assert last.outputs.dtype in (torch.float64, torch.complex128)
    torch.testing.assert_close(stepped(unit, x, 0)[0], outs)
    torch.testing.assert_close(case.unit(dtype=torch.float32, backend="torch_loop")(x)[0], outs)


@pytest.mark.parametrize(
    "name", ["MinGRU", *(pytest.param(name, marks=pytest.mark.long) for name in ("SRU-v1", "RGLRU", "LRU", "IndRNN"))]
)
def test_compiles_whole_with_gradients(name: str) -> None:
    case = CASES[name]
    unit, x = case.unit(), case.x(5, 2)
    compiled = torch.compile(unit, backend="aot_eager", fullgraph=True)
    weights = list(unit.parameters())
    got = torch.autograd.grad(compiled(x)[0].square().sum(), weights)
    torch.testing.assert_close(got, torch.autograd.grad(unit(x)[0].square().sum(), weights))


class Doubled(mnn.MinGRU):
    """A user's unit that does something to blocks."""

    def compute(self, x: torch.Tensor, state: Any, **cuts: Any) -> tuple[torch.Tensor, Any]:
        outs, state = super().compute(x, state, **cuts)
        return 2 * outs, state


class LearnedStart(mnn.MinGRU):
    """A user's unit that begins elsewhere."""

    def init_state(self, x: torch.Tensor) -> mr.State:
        return mr.State(None, super().init_state(x).outputs + 1)


@pytest.mark.parametrize("kind", [Doubled, LearnedStart])
def test_steps_of_a_subclass_are_its_block(kind: Any) -> None:
    unit, x = kind(3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(stepped(unit, x, 0)[0], unit(x)[0])
    assert not torch.equal(unit(x)[0], mnn.MinGRU.compute(unit, x, mr.State())[0])
    outs, _ = unit(x[:, :1], cu_seqlens=[0, 2, 5])
    torch.testing.assert_close(outs[2:, 0], unit(x[2:, 0])[0])


class Adapted(torch.nn.Linear):
    """A projection that does more than its weight says, as adapters do."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + 1.0


@pytest.mark.parametrize("name", ["MinGRU", "QRNN", "SRU", "SRU-v1", "SRU-v1-projected"])
def test_adapters_and_hooks_of_a_projection_are_seen(name: str) -> None:
    case = CASES[name]
    hooked, unit, x = case.unit(), case.unit(), case.x(5, 2)
    plain, _ = unit(x)
    known = unit.projection
    unit.projection = Adapted(known.in_features, known.out_features, bias=known.bias is not None, dtype=torch.float64)
    unit.projection.load_state_dict(known.state_dict())
    outs, _ = unit(x)
    assert not torch.allclose(outs, plain)
    torch.testing.assert_close(stepped(unit, x, 0)[0], outs)
    hooked.projection.register_forward_hook(lambda module, given, found: found + 1.0)
    torch.testing.assert_close(hooked(x)[0], outs)
    torch.testing.assert_close(stepped(hooked, x, 0)[0], outs)
