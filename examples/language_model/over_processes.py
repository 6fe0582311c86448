"""Train the language model on four processes: two have halves of the rows, and of each two one half of the time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import torch
import torch.distributed as dist
from corpus import Rows, load
from models import UNITS, of_size
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.nn.parallel import DistributedDataParallel
from training import Settings, train

from multirec.distributed import shard_time

SETTINGS = Settings(steps=20, batch=8, block=64, rate=0.01)


def part_of(rows: Rows, mesh: DeviceMesh) -> Rows:
    """Return the characters that this process reads: its rows, and its part of their time."""
    data, time = mesh.get_coordinate()
    over_data, over_time = mesh.shape
    return Rows(*(part.chunk(over_time, 0)[time].chunk(over_data, 1)[data] for part in rows))


def losses(unit: str, budget: int, settings: Settings, mesh: DeviceMesh | None = None) -> Iterator[float]:
    """Train, and yield the loss before each step: of one process, or, the same, of all processes of a mesh."""
    corpus = load()
    # the same weights everywhere
    torch.manual_seed(0)
    model: Any = of_size(UNITS[unit], len(corpus.alphabet), budget).double()
    if mesh is None:
        yield from train(model, corpus, settings)
        return
    # each process has a mean over as many characters, and the mean of their gradients is that of the mean of all
    model = DistributedDataParallel(shard_time(model, mesh, "time"))
    for loss in train(model, corpus, settings, lambda rows: part_of(rows, mesh)):
        total = torch.tensor(loss, dtype=torch.float64)
        dist.all_reduce(total)
        yield total.item() / mesh.size()


def _work(rank: int, folder: str, unit: str, budget: int, settings: Settings) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=Path(folder, "store").as_uri(), rank=rank, world_size=4)
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "time"))
    found = list(losses(unit, budget, settings, mesh))
    if rank == 0:
        torch.save(found, Path(folder, "losses"))
    dist.destroy_process_group()


def main(unit: str = "QRNN", budget: int = 100_000, settings: Settings = SETTINGS) -> tuple[list[float], list[float]]:
    """Train in one process and in four, print both losses of each step, and return them."""
    one = list(losses(unit, budget, settings))
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_work, (folder, unit, budget, settings), nprocs=4)
        four = torch.load(Path(folder, "losses"))
    for step, both in enumerate(zip(one, four, strict=True)):
        print(f"step {step:2}: {both[0]:.12f} nats a character in one process, {both[1]:.12f} in four")
    return one, four


@click.command()
@click.option("--unit", type=click.Choice(list(UNITS)), default="QRNN", show_default=True)
@click.option("--steps", default=SETTINGS.steps, show_default=True, help="Steps of the training.")
def command(unit: str, steps: int) -> None:
    """Train the same model in one process and in four, and compare the losses."""
    main(unit, settings=SETTINGS._replace(steps=steps))


if __name__ == "__main__":
    command()
