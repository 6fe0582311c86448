"""`nn.Chain`, the base class of units, and the runnable examples."""

import copy
import pickle
import runpy
from pathlib import Path

import pytest
import torch
from torch import nn

import multirec as mr
from multirec import nn as mnn
from multirec.errors import ArgumentError

EXAMPLES = Path(__file__).parents[2] / "examples"


class Delay(mnn.RecurrentUnit):
    """A unit of a user's own: its state is one tensor, the last sample."""

    def init_state(self, x):
        return torch.zeros_like(x[:1])

    def compute(self, x, state):
        whole = torch.cat([state, x])
        return whole[:-1], whole[-1:]


def chain():
    return mnn.Chain(
        mnn.RecurrenceLayer(3, 6), nn.ReLU(), nn.Linear(6, 4), Delay(), mnn.RecurrenceLayer(4, 4, order=1)
    ).double()


def test_runs_units_and_plain_modules_in_turn():
    model = chain()
    x = torch.randn(10, 2, 3, dtype=torch.float64)
    outs, states = model(x)
    first, second = model[0](x)
    middle, third = model[3](model[2](model[1](first)))
    last, fourth = model[4](middle)
    torch.testing.assert_close(outs, last)
    assert [type(state) for state in states] == [mr.State, type(None), type(None), torch.Tensor, mr.State]
    for got, expected in ((states[0], second), (states[4], fourth)):
        torch.testing.assert_close(tuple(got), tuple(expected))
    torch.testing.assert_close(states[3], third)


@pytest.mark.parametrize("fresh", [None, [None] * 5, (None,) * 5])
def test_resumes_from_its_states(fresh):
    model = chain()
    x = torch.randn(10, 2, 3, dtype=torch.float64)
    whole, _ = model(x)
    parts, states = [], fresh
    for block in x.split(4):
        outs, states = model(block, states)
        states = mnn.detach_state(states)
        parts.append(outs)
    torch.testing.assert_close(torch.cat(parts), whole)
    assert not states[0].outputs.requires_grad


def test_chains_nest_and_the_caller_keeps_his_list():
    model = mnn.Chain(mnn.Chain(Delay(), nn.Identity()), Delay())
    x = torch.arange(4.0)[:, None]
    _, states = model(x)
    kept = [list(states[0]), states[1]]
    outs, after = model(x, states)
    assert outs[:, 0].tolist() == [2.0, 3.0, 0.0, 1.0]
    assert states[0] == kept[0]
    assert after[0][1] is None


def test_a_module_may_be_used_twice():
    shared = Delay()
    outs, states = mnn.Chain(shared, shared)(torch.arange(4.0)[:, None])
    assert outs[:, 0].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert [state.item() for state in states] == [3.0, 2.0]


def test_channels_before_time():
    model = mnn.Chain(nn.Conv1d(2, 4, 1), mnn.FilterBank(4), nn.Tanh())
    outs, states = model(torch.randn(3, 2, 20))
    assert outs.shape == (3, 4, 20)
    assert states[0] is None
    assert states[1].outputs.shape == (3, 4, 2)


def test_is_a_module_like_any_other():
    model = chain()
    x = torch.randn(10, 2, 3, dtype=torch.float64)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(twin(x)[0], model(x)[0], rtol=0, atol=0)
    assert "2.weight" in model.state_dict()
    assert len(model) == len(list(model)) == 5
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    outs, states = compiled(x)
    torch.testing.assert_close(outs, model(x)[0])
    torch.testing.assert_close(compiled(x, states)[0], model(x, states)[0])


@pytest.mark.parametrize(
    ("states", "says"),
    [
        ([None] * 4, "takes a list of 5 states .*got a list of 4"),
        (torch.zeros(5), "got a Tensor"),
        (mr.State(), "got a State of 2"),
        ([None, mr.State(), None, None, None], "module 1 of the chain, ReLU, is no RecurrentUnit"),
    ],
)
def test_states_that_do_not_fit(states, says):
    with pytest.raises(ArgumentError, match=says):
        chain()(torch.randn(4, 2, 3, dtype=torch.float64), states)


def test_modules_that_do_not_fit():
    with pytest.raises(ArgumentError, match=r"GRU, returned a tuple.*RecurrentUnit"):
        mnn.Chain(nn.GRU(3, 4))(torch.randn(5, 2, 3))
    with pytest.raises(ArgumentError, match="takes torch modules, got list as number 0"):
        mnn.Chain([nn.ReLU()])
    with pytest.raises(NotImplementedError, match="RecurrentUnit without init_state"):
        mnn.RecurrentUnit()(torch.zeros(1))


def test_detach_state_reaches_everything():
    weight = torch.ones(2, requires_grad=True) * 2
    state = {"a": [weight, None, 3], "b": (mr.State(weight, weight),)}
    cut = mnn.detach_state(state)
    assert not cut["a"][0].requires_grad
    assert cut["a"][1:] == [None, 3]
    assert isinstance(cut["b"][0], mr.State)
    assert not cut["b"][0].inputs.requires_grad
    with pytest.raises(ArgumentError, match="got str, which has no detach"):
        mnn.detach_state(["a"])


@pytest.mark.parametrize(
    "name", ["train_filter_bank", pytest.param("recurrent_chain_truncated_bptt", marks=pytest.mark.long)]
)
def test_examples_run_and_learn(name, capsys):
    module = runpy.run_path(str(EXAMPLES / f"{name}.py"))
    torch.manual_seed(0)
    before, after = module["main"]()
    assert after < 0.3 * before
    assert capsys.readouterr().out
