"""Modules whose time is cut over four processes: values, states and gradients of one process."""

from pathlib import Path

import pytest

pytest.importorskip("torch.distributed.tensor")

import torch
import torch.distributed as dist
from distributed.on_layers import (
    MORE,
    UNITS,
    banks_take_dtensors,
    cuts_what_it_is_asked_to,
    layers_equal_one_process,
    layers_take_dtensors,
    learns_a_language,
    wrapped,
)
from distributed.ranks import started

import multirec as mr
from multirec import nn as mnn
from multirec.distributed import shard_time


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    with started(tmp_path_factory.mktemp("ranks")) as found:
        yield found


EXAMPLE = str(Path(__file__).parents[2] / "examples" / "language_model")
UNEVEN = (0, 4, 1, 3), (2, 0, 3, 1)
"""How many samples of two blocks each rank has."""


@pytest.mark.parametrize("name", UNITS)
def test_four_processes_equal_one(ranks, name):
    ranks.run(layers_equal_one_process, [name], UNEVEN)


@pytest.mark.long
def test_more_units_on_four_processes_equal_one(ranks):
    for name in MORE:
        ranks.run(layers_equal_one_process, [name], UNEVEN)


@pytest.mark.long
@pytest.mark.parametrize("unit", ["QRNN", "RecurrenceLayer", "LRU", "MinGRU", "RGLRU", "SRU v1"])
def test_a_language_model_learns_as_in_one_process(ranks, unit, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLE)
    import over_processes

    expected = list(over_processes.losses(unit, 100_000, over_processes.SETTINGS._replace(steps=8, batch=4, block=8)))
    assert expected[-1] < expected[0] - 0.3
    for found in ranks.run(learns_a_language, EXAMPLE, unit, 8):
        assert found == pytest.approx(expected, abs=1e-9)


def test_what_is_cut_and_what_is_not(ranks):
    for found in ranks.run(cuts_what_it_is_asked_to):
        for name in ("chain", "unit", "layer"):
            assert found[name][0] == "UnsupportedError"
            assert "shard_time(module, None)" in found[name][1]
        assert found["lengths"][0] == "UnsupportedError"
        assert "Pass resets" in found["lengths"][1]


@pytest.mark.long
def test_dtensors(ranks):
    ranks.run(banks_take_dtensors)
    ranks.run(layers_take_dtensors, ["RecurrenceLayer", "QRNN", "MinLSTM", "RGLRU"])


@pytest.mark.long
@pytest.mark.parametrize("kind", ["DDP", "FSDP"])
def test_wrapped_modules_learn_as_in_one_process(ranks, kind):
    ranks.run(wrapped, kind, ["RecurrenceLayer", "MinLSTM", "QRNN", "RGLRU", "QRNNs"])


@pytest.fixture
def group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield dist.group.WORLD
    dist.destroy_process_group()


class Own(mnn.RecurrentUnit):
    def compute(self, x, state, **cuts):
        return x, state


class OwnGRU(mnn.MinGRU):
    def compute(self, x, state, **cuts):
        return super().compute(x, state, **cuts)


REFUSED = {
    "RNN": (lambda: mnn.RNN(3, 3), "a RNN, is no recurrence of multirec"),
    "IndRNN": (lambda: mnn.Chain(mnn.MinGRU(3, 3), mnn.IndRNN(3, 3)), "1, a IndRNN, has its state inside"),
    "SRU": (lambda: mnn.Stack(mnn.SRU, 3, 3, num_layers=2), "1, a SRU, has gates that read its state"),
    "nn.GRU": (lambda: mnn.Chain(mnn.MinGRU(3, 3), torch.nn.GRU(3, 3)), "a GRU, sees several samples"),
    "nn.Conv1d": (lambda: mnn.Chain(torch.nn.Conv1d(3, 3, 2), mnn.FilterBank(3)), "a Conv1d, sees several"),
    "LPCSynth": (lambda: torch.nn.ModuleList([mnn.LPCSynth(2, 5), mnn.FilterBank(3)]), "a LPCSynth, has filters"),
    "own": (lambda: mnn.Chain(mnn.MinGRU(3, 3), Own()), "a Own, has a call of its own"),
    "own GRU": (lambda: OwnGRU(3, 3), "a OwnGRU, has a call of its own"),
}


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_cut_is_named(group, make, words):
    module = make()
    with pytest.raises(mr.errors.UnsupportedError, match="the time of this") as error:
        shard_time(module, group)
    assert words in str(error.value)
    assert not [part for part in module.modules() if getattr(part, "_time_mesh", None)]


def test_what_holds_units_is_cut(group):
    convolution = torch.nn.Conv1d(3, 3, 1)
    shard_time(mnn.Chain(convolution, mnn.FilterBank(3), mnn.Chain(torch.nn.ReLU())), group)


def test_meshes_that_do_not_fit(group):
    with pytest.raises(mr.errors.ArgumentError, match="expected a torch"):
        shard_time(mnn.MinGRU(3, 3), "time")
    with pytest.raises(mr.errors.ArgumentError, match="expected a torch"):
        shard_time(mnn.MinGRU(3, 3), None, "time")
    with pytest.raises(mr.errors.ArgumentError, match="no unit"):
        shard_time(torch.nn.Linear(3, 3), group)
