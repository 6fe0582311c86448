"""What ranks are sent to do in tests, each a function of one process."""

import os
import time
from contextlib import contextmanager
from typing import NamedTuple
from unittest import mock

import numpy as np
import torch
import torch.distributed as dist
from distributed.in_pieces import TIME, blocks_of
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

import multirec as mr
import multirec._mesh.head as head_module
from multirec._mesh import function
from multirec._mesh.head import head_of
from multirec.distributed import cost, recurrence, scan
from multirec.testing import assert_close
from multirec.testing.libraries import TorchLibrary
from multirec.testing.problems import Case, arguments

EPS = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 4e-6, "complex64": 4e-6}
_SHARES = 0.5, 0.25, 0.25, 0.0
"""How much of the gradient of the state each rank gives."""


class _Share(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor, share):
        ctx.share = share
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.share, None


class MeshLibrary(TorchLibrary):
    """Tensors that this rank has a block of; y has zeros where other ranks' samples are."""

    def __init__(self, cuts, **options):
        super().__init__()
        self.cuts, self.options = cuts, options

    def call(self, case, backend, operands):
        rank, axis = dist.get_rank(), TIME[case.layout]
        blocks = blocks_of(case, operands, [min(cut, case.length) for cut in self.cuts])
        blocks = blocks[::-1] if case.reverse else blocks
        (x, own), state = blocks[rank], mr.State(*operands[3:])
        y, state = recurrence(x, **own, state=state, backend=backend, mesh=dist.group.WORLD, **self.options)
        lengths = [block.shape[axis] for block, _ in blocks]
        shape = list(y.shape)
        parts = [y]
        for others in (lengths[:rank], lengths[rank + 1 :]):
            shape[axis] = sum(others)
            parts.append(y.new_zeros(shape))
        y = torch.cat([parts[1], y, parts[2]], axis)
        return y, mr.State(*(_Share.apply(part, _SHARES[rank]) for part in state))


def equals_one_process(case, cuts, backend="reference"):
    """Compare what ranks have together, and what each of them has, with what one process computes."""
    expected = TorchLibrary().run(case, backend)
    got = MeshLibrary(cuts).run(case, backend)
    varying = [f"gradient of {name}" for name in ("feedforward", "feedback") if _varies(case, name)]
    eps = EPS.get(case.dtype, 1e-13)
    assert got.values.keys() == expected.values.keys()
    for name, values in expected.values.items():
        own = got.values[name]
        if name in ("y", "gradient of x", *varying):
            whole = torch.from_numpy(np.ascontiguousarray(own))
            dist.all_reduce(whole)
            own = whole.numpy()
        assert_close(name, own, values, eps * (1 + 10 * np.abs(values).max(initial=0)))
    assert not {name: fault for name, fault in got.faults.items() if name != "contiguous"}


def _varies(case, name):
    return getattr(case, name) == "time_varying" and "time" not in case.ones and case.length != 1


def equal_one_process(cases, cuts, backend="reference"):
    for case in cases:
        try:
            equals_one_process(case, cuts, backend)
        except AssertionError as error:
            raise AssertionError(f"{case}: {error}") from error


@contextmanager
def counted():
    """Yield the list of what this rank sends, as (function, bytes)."""
    sent = []

    def counting(name, position):
        function = getattr(dist, name)

        def call(*arguments, **options):
            part = arguments[position]
            sent.append((name, part.nbytes if isinstance(part, torch.Tensor) else None))
            return function(*arguments, **options)

        return mock.patch.object(dist, name, call)

    with counting("all_gather", 1), counting("all_reduce", 0), counting("all_gather_object", 1):
        yield sent


def messages_of(case, cuts, check):
    """Return what is sent in a call, in its backward, and in a second call, and what is said of it."""
    library = MeshLibrary(cuts, check=check)
    operands = library.operands(case, arguments(case))
    leaves = [None if part is None else part.requires_grad_() for part in operands]
    found = []
    with counted() as sent:
        y, state = library.call(case, "reference", leaves)
        found.append(tuple(sent))
        sent.clear()
        (y.sum() + sum(part.sum() for part in state)).abs().backward()
        found.append(tuple(sent))
        sent.clear()
        library.call(case, "reference", leaves)
        found.append(tuple(sent))
    block, own = blocks_of(case, operands, cuts)[-1]
    kinds = {name: own[name] for name in ("feedforward", "feedback", "layout", "compute_dtype")}
    return found, tuple(cost(block, **kinds, resets="resets" in own))


def equal_one_process_by_first_samples(cases, cuts):
    """Compare cases whose states fade, with gradients that look at a rank's first samples; return how many did."""
    found = []

    def counting(*arguments):
        head = head_of(*arguments)
        found.append(head is not None)
        return head

    with (
        mock.patch.object(head_module, "_LEAST", 4),
        mock.patch.object(head_module, "_MOST", 2),
        mock.patch.object(function, "head_of", counting),
    ):
        equal_one_process(cases, cuts)
    return sum(found)


class Ones(NamedTuple):
    """A tensor to be made on a rank."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    requires_grad: bool = False
    factor: float = 1

    def made(self):
        return torch.full(self.shape, self.factor, dtype=getattr(torch, self.dtype), requires_grad=self.requires_grad)


def refuses(changes):
    """Return the error that a call raises on this rank; `changes` are what a rank does otherwise."""
    given = {"x": Ones((2, 3, 5)), "feedforward": Ones((3, 2)), "feedback": Ones((3, 2))}
    given |= changes.get(dist.get_rank(), {})
    given = {name: part.made() if isinstance(part, Ones) else part for name, part in given.items()}
    if "past" in given:
        given["state"] = mr.State(None, given.pop("past"))
    try:
        recurrence(given.pop("x"), **given, mesh=dist.group.WORLD)
    except mr.MultirecError as error:
        return type(error).__name__, str(error)
    return None


def leaves_each_rank_its_own():
    """Gradients without sums add up to those with sums, the state's included."""
    x = torch.arange(12, dtype=torch.float64).reshape(1, 2, 6).chunk(4, -1)[min(dist.get_rank(), 2)]
    found = []
    for sums in (True, False):
        a, past = torch.full((2, 1), 0.5, dtype=torch.float64), torch.ones(1, 2, 1, dtype=torch.float64)
        a.requires_grad_()
        past.requires_grad_()
        y, state = recurrence(x, feedback=a, state=mr.State(None, past), mesh=dist.group.WORLD, sum_gradients=sums)
        (y.square().sum() + state.outputs.sum()).backward()
        found.append((a.grad, past.grad))
    for whole, own in zip(*found, strict=True):
        dist.all_reduce(own)
        torch.testing.assert_close(own, whole)


def carries_its_state():
    """Two calls, one after the other: gradients are once those of all samples, and zeros where there are none."""
    rank, past = dist.get_rank(), torch.ones(1, 2, 1, dtype=torch.float64)
    signal = torch.arange(12, dtype=torch.float64).reshape(1, 2, 6)
    for reverse in (False, True):
        found = []
        for spread in (False, True):
            x, a, start = (part.clone().requires_grad_() for part in (signal, torch.full_like(past[0], 0.5), past))
            loss, state = torch.zeros(()), mr.State(None, start)
            for half in x.split(3, -1)[:: -1 if reverse else 1]:
                if spread:
                    block = half[..., min(rank, 3) : min(rank + 1, 3)]
                    y, state = recurrence(block, feedback=a, state=state, mesh=dist.group.WORLD, reverse=reverse)
                else:
                    y, state = mr.recurrence(half, feedback=a, state=state, reverse=reverse)
                loss = loss + y.square().sum()
            loss = loss + state.outputs.sum() * (0.25 if spread else 1)
            found.append(torch.autograd.grad(loss, (x, a, start)))
        dist.all_reduce(found[1][0])
        torch.testing.assert_close(found[1], found[0])


def needs_x_alone():
    """A rank without samples gives its x a gradient, without elements."""
    x = torch.ones(1, 2, 3, dtype=torch.float64)[..., : 3 if dist.get_rank() else 0].requires_grad_()
    y, _ = recurrence(x, feedback=torch.full((2, 1), 0.5, dtype=torch.float64), mesh=dist.group.WORLD)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape


def passes_states_on():
    """A state that goes from call to call has the gradient that it has in one process; no rank is without one."""
    x, a = torch.linspace(0, 1, 14, dtype=torch.float64).reshape(1, 7, 2), torch.full((1, 7, 2), 0.5).double()
    found = []
    for run, options, place in (
        (mr.scan, {}, slice(None)),
        (scan, {"mesh": dist.group.WORLD}, slice(3 * dist.get_rank(), 3 * dist.get_rank() + 3)),
    ):
        own = [part[:, place].clone().requires_grad_() for part in (x, a)]
        y, last = run(own[1], own[0], **options)
        z, _ = run(own[1].detach(), y, initial=last, **options)
        z.square().sum().backward()
        found.append([part.grad for part in own])
    for whole, grad in zip(*found, strict=True):
        torch.testing.assert_close(grad, whole[:, place])


def scans():
    """`scan` over ranks is the scan of all samples."""
    gates, values = torch.rand(2, 7, 3, dtype=torch.float64), torch.ones(2, 7, 3, dtype=torch.float64)
    gates = gates + 0 * values
    dist.broadcast(gates, 0)
    initial = torch.ones(1, 3, dtype=torch.float64)
    for reverse in (False, True):
        y, last = mr.scan(gates, values, initial=initial, reverse=reverse)
        rank = dist.get_rank()
        place = slice(2 * rank, min(2 * rank + 2, 7))
        own, own_last = scan(gates[:, place], values[:, place], initial=initial, mesh=dist.group.WORLD, reverse=reverse)
        torch.testing.assert_close(own, y[:, place])
        torch.testing.assert_close(own_last, last)


def equals_one_process_as_dtensors(names, placements, layout="BTC", feedback_kind="static", length=7):
    """Compare DTensors on a mesh of 2 × 2 with whole tensors: y, the state, and every gradient."""
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=names)
    case = Case(layout=layout, batch=(3,), channels=4, length=length, order=2, feedback=feedback_kind)
    given = arguments(case)
    leaves = [torch.from_numpy(np.ascontiguousarray(part)).requires_grad_() for part in given[:5]]
    grad_y, *grad_state = (torch.from_numpy(np.ascontiguousarray(part)) for part in given[5:])
    x, b, a, *state = leaves
    y, after = mr.recurrence(x, feedforward=b, feedback=a, state=mr.State(*state), layout=layout, backend="reference")
    expected = torch.autograd.grad([y, *after], leaves, [grad_y, *grad_state])
    whole = [distribute_tensor(x.detach(), mesh, placements)]
    whole += [distribute_tensor(part.detach(), mesh, [Replicate(), Replicate()]) for part in leaves[1:]]
    whole = [part.requires_grad_() for part in whole]
    x, b, a, *state = whole
    own, own_after = recurrence(
        x, feedforward=b, feedback=a, state=mr.State(*state), layout=layout, backend="reference"
    )
    assert own.placements == tuple(placements)
    grads = [distribute_tensor(grad_y, mesh, placements)]
    grads += [distribute_tensor(grad, mesh, part.placements) for grad, part in zip(grad_state, own_after, strict=True)]
    found = torch.autograd.grad([own, *own_after], whole, grads)
    for part, values in zip((own, *own_after, *found), (y, *after, *expected), strict=True):
        assert part.shape == values.shape
        torch.testing.assert_close(part.full_tensor(), values, atol=1e-12, rtol=1e-12)


def dtensors_that_do_not_fit():
    """Return what is said of placements that a recurrence cannot follow, and of DTensors elsewhere."""
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("a", "b"))
    ones, taps = torch.ones(4, 4, 8), torch.full((4, 1), 0.5)
    x = distribute_tensor(ones, mesh, [Shard(0), Shard(2)])
    calls = {
        "partial": lambda: recurrence(DTensor.from_local(ones, mesh, [Partial(), Replicate()]), feedback=taps),
        "twice": lambda: recurrence(distribute_tensor(ones, mesh, [Shard(2), Shard(2)]), feedback=taps),
        "mesh_dim": lambda: recurrence(x, feedback=taps, mesh_dim="a"),
        "mesh": lambda: recurrence(x, feedback=taps, mesh=dist.group.WORLD),
        "plain": lambda: mr.recurrence(x, feedback=taps),
        "shared": lambda: recurrence(distribute_tensor(ones[:, :1], mesh, [Shard(1), Shard(2)]), feedback=taps),
        "no dim": lambda: recurrence(ones, feedback=taps, mesh=mesh),
        "no such dim": lambda: recurrence(ones, feedback=taps, mesh=mesh, mesh_dim="time"),
        "dim of a group": lambda: recurrence(ones, feedback=taps, mesh=dist.group.WORLD, mesh_dim=0),
    }
    found = {}
    for name, call in calls.items():
        try:
            call()
        except mr.MultirecError as error:
            found[name] = type(error).__name__, str(error)
    return found


def dies(rank):
    """Call, but on one rank end without a word in between."""
    x = torch.ones(1, 1, 5)
    recurrence(x, feedback=torch.ones(1, 1), mesh=dist.group.WORLD)
    if dist.get_rank() == rank:
        os._exit(1)
    recurrence(x, feedback=torch.ones(1, 1), mesh=dist.group.WORLD)


def is_late(rank, seconds):
    """Call, but on one rank only after so many seconds."""
    if dist.get_rank() == rank:
        time.sleep(seconds)
    recurrence(torch.ones(1, 1, 5), feedback=torch.ones(1, 1), mesh=dist.group.WORLD, check=False)
