"""One of two processes that train together: `python one_of_two.py RANK FOLDER`, which gets what each has found."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import torch
from sharded import example, layers, trained
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.nn.parallel import DistributedDataParallel


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=(folder / "meeting").as_uri(), rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    x, wanted = (part[2 * rank : 2 * rank + 2] for part in example())

    model = layers()
    losses = trained(DistributedDataParallel(model), x, wanted)
    found = {"DDP": (losses, [weight.detach() for weight in model.parameters()])}

    sharded, mesh = layers(), init_device_mesh("cpu", (2,))
    for part in sharded:
        if next(part.parameters(), None) is not None:
            fully_shard(part, mesh=mesh)
            register_fsdp_forward_method(part, "step")
    fully_shard(sharded, mesh=mesh)
    losses = trained(sharded, x, wanted)
    found["FSDP2"] = losses, [weight.full_tensor().detach() for weight in sharded.parameters()]

    with torch.no_grad():
        for name, bank in (("of whole weights", model[0]), ("of sharded weights", sharded[0])):
            found[name] = [], [bank.step(x[:, 0])[0]]
    torch.save(found, folder / f"found-{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
