"""Calls that a mesh does not fit, in one process; and processes that are gone or late."""

import os
import time

import numpy as np
import pytest

pytest.importorskip("torch.distributed.tensor")

import torch
import torch.distributed as dist
from distributed.on_ranks import dies, is_late
from distributed.ranks import RankError, started
from torch.distributed.device_mesh import init_device_mesh

import multirec as mr
from multirec.distributed import recurrence, scan

ONES, TAPS = torch.ones(2, 3, 4), torch.full((3, 1), 0.5)


@pytest.fixture
def group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield dist.group.WORLD
    dist.destroy_process_group()


def test_one_rank_is_one_process(group):
    y, state = recurrence(ONES, feedback=TAPS, mesh=group)
    expected, after = mr.recurrence(ONES, feedback=TAPS)
    assert torch.equal(y, expected)
    assert torch.equal(state.outputs, after.outputs)


def test_without_a_process_group():
    with pytest.raises(mr.errors.UnsupportedError, match="init_process_group"):
        recurrence(ONES, feedback=TAPS)


@pytest.mark.parametrize("mesh", [None, "time", dist.GroupMember.NON_GROUP_MEMBER], ids=repr)
def test_what_is_no_mesh(group, mesh):
    with pytest.raises(mr.errors.ArgumentError, match="expected a torch"):
        recurrence(ONES, feedback=TAPS, mesh=mesh)


@pytest.mark.parametrize("dim", ["time", 1, -2, True, 0.0])
def test_a_dimension_that_a_mesh_has_not(group, dim):
    mesh = init_device_mesh("cpu", (1,), mesh_dim_names=("sequence",))
    with pytest.raises(mr.errors.AxisError, match="the mesh has 1 dimension, named 'sequence'"):
        recurrence(ONES, feedback=TAPS, mesh=mesh, mesh_dim=dim)
    recurrence(ONES, feedback=TAPS, mesh=mesh, mesh_dim="sequence")
    recurrence(ONES, feedback=TAPS, mesh=mesh, mesh_dim=-1)


def test_arrays_of_other_libraries(group):
    with pytest.raises(mr.errors.FamilyError, match="summarize, compose and replay"):
        recurrence(np.ones((3, 4)), feedback=np.ones((3, 1)), mesh=group)


def test_what_does_not_pass_through_an_exchange(group):
    with pytest.raises(mr.errors.UnsupportedError, match="gradients alone"):
        torch.func.vmap(lambda x: recurrence(x, feedback=TAPS, mesh=group)[0])(ONES)
    with pytest.raises(mr.errors.UnsupportedError, match="compile"):
        recurrence(ONES.to("meta"), feedback=TAPS.to("meta"), mesh=group)


def test_a_scan_speaks_of_gates(group):
    with pytest.raises(mr.errors.ShapeError, match="gates has shape"):
        scan(torch.ones(2, 5, 4), ONES, mesh=group)


@pytest.mark.long
def test_a_process_that_dies_is_an_error_of_the_others(tmp_path):
    with started(tmp_path, timeout=10) as ranks:
        ranks.run(os.getpid)
        ranks.send(dies, 2)
        begin = time.monotonic()
        with pytest.raises(RankError) as found:
            ranks.results(ranks=(0, 1, 3))
        assert time.monotonic() - begin < 40
        assert {kind for kind, *_ in found.value.errors.values()} <= {"RuntimeError", "DistBackendError"}


@pytest.mark.long
def test_a_process_that_is_late_is_an_error_after_the_timeout_of_the_group(tmp_path):
    with started(tmp_path, timeout=3) as ranks:
        ranks.run(os.getpid)
        ranks.send(is_late, 1, 8)
        with pytest.raises(RankError) as found:
            ranks.results()
        assert {0, 2, 3} <= found.value.errors.keys()
