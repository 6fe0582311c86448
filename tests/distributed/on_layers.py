"""What ranks are sent to do with modules in tests, each a function of one process."""

import copy
import pickle
import sys
from itertools import accumulate, pairwise

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_module, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_leaves

import multirec as mr
from multirec import nn as mnn
from multirec.distributed import shard_time

BATCH, RATE = 2, 16000
ONE = {"backend": "reference"}
UNITS = {
    "RecurrenceLayer": lambda: mnn.RecurrenceLayer(4, 3, **ONE),
    "FrozenLayer": lambda: mnn.RecurrenceLayer(4, 3, layout="BTC", **ONE).freeze(),
    "LRU": lambda: mnn.LRU(4, 4, state_dim=2, reverse=True, **ONE),
    "QRNN": lambda: mnn.QRNN(4, 3, window=3, **ONE),
    "SRU": lambda: mnn.SRU(4, 3, v1=True, layout="BTC", **ONE),
    "RGLRUBlock": lambda: mnn.RGLRUBlock(4, 3, width=2, reverse=True, **ONE),
    "Stack": lambda: mnn.Stack(mnn.MinGRU, 4, 3, bidirectional=True, **ONE),
    "ParametricEQ": lambda: mnn.ParametricEQ(2, RATE, channels=4, gains=[3.0, -3.0], **ONE),
}
MORE = {
    "MinGRU": lambda: mnn.MinGRU(4, 3, layout="BTC", reverse=True),
    "MinLSTM": lambda: mnn.MinLSTM(4, 3),
    "RGLRU": lambda: mnn.RGLRU(4, 4, heads=2),
    "QRNNs": lambda: mnn.Stack(mnn.QRNN, 4, 3, num_layers=2, bidirectional=True, window=2),
    "FilterBank": lambda: mnn.FilterBank(4, order=3, input_order=2),
    "BandpassBank": lambda: mnn.BandpassBank(4, RATE, layout="TBC", reverse=True),
}
AXIS = {"BCT": 2, "BTC": 1, "TBC": 0}
SHARES = 0.5, 0.25, 0.25, 0.0
"""How much of the gradient of a state each rank gives."""


def _module(name, seed=0):
    torch.manual_seed(seed)
    return (UNITS | MORE)[name]().double()


def _blocks(layout, lengths):
    torch.manual_seed(1)
    shapes = {"BCT": (BATCH, 4, -1), "BTC": (BATCH, -1, 4), "TBC": (-1, BATCH, 4)}[layout]
    return [torch.randn([length if size == -1 else size for size in shapes]).double() for length in lengths]


def _resets(layout, length):
    found = torch.zeros(BATCH, length, dtype=torch.bool)
    found[1, length // 2] = True
    return found.T if layout == "TBC" else found


def _run(module, blocks, resets, share):
    """Return outputs of blocks in turn, the last state, and gradients of the blocks and of all weights."""
    blocks = [block.clone().requires_grad_() for block in blocks]
    state, outs = None, []
    for block, cut in zip(blocks, resets, strict=True):
        y, state = module(block, state, **({} if cut is None else {"resets": cut}))
        outs.append(y)
    states = tree_leaves(state)
    loss = sum((y**2).sum() for y in outs) + share * sum((part.abs() ** 2).sum() for part in states if part is not None)
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    grads = torch.autograd.grad(loss, [*blocks, *weights])
    return outs, states, grads[: len(blocks)], grads[len(blocks) :]


def layers_equal_one_process(names, cuts):
    """Two blocks, the state of one going into the other, with resets in the second: as one process computes them."""
    rank = dist.get_rank()
    ends = [(0, *accumulate(own)) for own in cuts]
    for name in names:
        module = _module(name)
        axis = AXIS[module.layout]
        blocks = _blocks(module.layout, [sum(own) for own in cuts])
        resets = [None, _resets(module.layout, sum(cuts[1]))]
        outs, states, to_blocks, to_weights = _run(module, blocks, resets, 1.0)
        places = [list(pairwise(own))[rank] for own in ends]

        def own(part, place, axis=axis):
            return part.narrow(axis, place[0], place[1] - place[0])

        # resets have no channels
        time = 0 if axis == 0 else 1
        parts = [own(block, place) for block, place in zip(blocks, places, strict=True)]
        cut = [None, own(resets[1], places[1], time)]
        found = _run(shard_time(module, dist.group.WORLD), parts, cut, SHARES[rank])
        pairs = [(own(part, place), mine) for part, place, mine in zip(outs, places, found[0], strict=True)]
        pairs += zip(states, found[1], strict=True)
        pairs += [(own(part, place), mine) for part, place, mine in zip(to_blocks, places, found[2], strict=True)]
        for grad in found[3]:
            dist.all_reduce(grad)
        pairs += zip(to_weights, found[3], strict=True)
        for number, (expected, mine) in enumerate(pairs):
            if expected is not None:
                difference = (mine - expected).abs().max() if expected.numel() else 0.0
                assert mine.shape == expected.shape, f"{name}, {number}"
                assert difference < 1e-9, f"{name}, {number}: {difference}"


def _refused(call):
    try:
        call()
    except (mr.MultirecError, NotImplementedError) as error:
        return type(error).__name__, str(error)
    return None


def cuts_what_it_is_asked_to():
    """Copies are cut, pickles are whole, steps are refused, and all can be undone."""
    rank = dist.get_rank()
    chain = mnn.Chain(mnn.MinGRU(4, 4, **ONE), torch.nn.ReLU(), mnn.RecurrenceLayer(4, 2, **ONE)).double()
    for weight in chain.parameters():
        dist.broadcast(weight.data, 0)
    (x,) = _blocks("TBC", [8])
    whole, state = chain(x)
    keys = list(chain.state_dict())
    assert shard_time(chain, init_device_mesh("cpu", (1, 4), mesh_dim_names=("data", "time")), "time") is chain
    assert list(chain.state_dict()) == keys
    own = x.chunk(4)[rank]
    for cut in (chain, copy.deepcopy(chain)):
        y, after = cut(own)
        torch.testing.assert_close(y, whole.chunk(4)[rank])
        torch.testing.assert_close(after[2].outputs, state[2].outputs)
    torch.testing.assert_close(pickle.loads(pickle.dumps(chain))(x)[0], whole)
    layer = chain[2]
    torch.testing.assert_close(
        layer.freeze()(whole.chunk(4)[rank].new_ones(2, BATCH, 4))[0], layer(torch.ones(2, BATCH, 4).double())[0]
    )
    found = {
        "chain": _refused(lambda: mnn.Chain(chain).step(own[0])),
        "unit": _refused(lambda: chain[0].step(own[0])),
        "layer": _refused(lambda: layer.step(own[0])),
        "lengths": _refused(lambda: chain(own, lengths=[2, 1])),
    }
    shard_time(chain, None)
    torch.testing.assert_close(chain(x)[0], whole)
    torch.testing.assert_close(chain.step(x[0])[0], whole[0])
    return found


def learns_a_language(folder, unit, steps):
    """Return the losses of the example's training over data and time."""
    sys.path.insert(0, folder)
    import over_processes

    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "time"))
    return list(
        over_processes.losses(unit, 100_000, over_processes.SETTINGS._replace(steps=steps, batch=4, block=8), mesh)
    )


def banks_take_dtensors():
    """A bank of a mesh takes a DTensor of it, and gives one."""
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "time"))
    torch.manual_seed(0)
    bank = mnn.FilterBank(4, **ONE).double()
    (x,) = _blocks("BCT", [9])
    y, state = bank(x)
    shard_time(bank, mesh, "time")
    own, after = bank(distribute_tensor(x, mesh, [Shard(0), Shard(2)]))
    assert isinstance(own, DTensor)
    torch.testing.assert_close(own.full_tensor(), y)
    torch.testing.assert_close(after.outputs.full_tensor(), state.outputs)


def layers_take_dtensors(names):
    """A unit with weights on a mesh takes a DTensor of it, and gives one; gradients are whole."""
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "time"))
    for name in names:
        module = _module(name)
        (x,) = _blocks("TBC", [8])
        y, _ = module(x)
        y.square().sum().backward()
        expected = {key: weight.grad for key, weight in module.named_parameters()}
        module = shard_time(distribute_module(_module(name), mesh), mesh, "time")
        own, _ = module(distribute_tensor(x, mesh, [Shard(1), Shard(0)]))
        assert own.placements == (Shard(1), Shard(0)), name
        own.square().sum().full_tensor().backward()
        torch.testing.assert_close(own.full_tensor(), y)
        for key, weight in module.named_parameters():
            assert (weight.grad.full_tensor() - expected[key]).abs().max() < 1e-10, f"{name}, {key}"


def wrapped(kind, names):
    """Gradients that DDP and FSDP give over data and time are those of one process."""
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "time"))
    data, time = mesh.get_coordinate()
    for name in names:
        module = _module(name)
        (x,) = _blocks("TBC", [10])
        y, _ = module(x)
        y.square().mean().backward()
        expected = {key: weight.grad for key, weight in module.named_parameters()}
        module = shard_time(_module(name), mesh, "time")
        model = (
            DistributedDataParallel(module)
            if kind == "DDP"
            else fully_shard(module, mesh=dist.device_mesh.init_device_mesh("cpu", (4,)))
        )
        y, _ = model(x.chunk(2)[time].chunk(2, 1)[data])
        y.square().mean().backward()
        for key, weight in module.named_parameters():
            grad = weight.grad.full_tensor() if isinstance(weight.grad, DTensor) else weight.grad
            assert (grad - expected[key]).abs().max() < 1e-10, f"{name}, {key}"
