"""Filter a recording of hours and many channels from file to file, block by block, in memory that does not grow.

The state goes from block to block, so that the file comes out as if it had been filtered in one call. Files are NumPy's
(`.npy`), of shape (time, channels), and mapped into memory: each block is read when it is filtered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.lib.format import open_memmap
from rich.progress import Progress

import multirec as mr

Call = Callable[[np.ndarray, Any], tuple[np.ndarray, Any]]


def filtered(blocks: Iterable[np.ndarray], cascade: Call) -> Iterator[np.ndarray]:
    """Yield the outputs of blocks that follow each other: from a file, a socket, or whatever yields them."""
    state = None
    for block in blocks:
        y, state = cascade(block, state)
        yield y


def filter_file(
    source: Path,
    target: Path,
    cascade: Call,
    block: int = 1 << 16,
    progress: Callable[[int, int], object] | None = None,
) -> None:
    """Filter a file into another one of float32, and tell `progress` how many samples are done, and of how many."""
    x = np.load(source, mmap_mode="r")
    y = open_memmap(target, mode="w+", dtype=np.float32, shape=x.shape)
    begins = range(0, len(x), block)
    outputs = filtered((np.asarray(x[at : at + block], np.float32) for at in begins), cascade)
    for at, part in zip(begins, outputs, strict=True):
        y[at : at + block] = part
        if progress is not None:
            progress(at + len(part), len(x))
    y.flush()


@click.command()
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--sos", type=click.Path(exists=True, dir_okay=False), required=True, help="Sections, as SciPy has them.")
@click.option("--block", default=1 << 16, show_default=True, help="Samples of time that are in memory.")
def command(source: Path, target: Path, sos: str, block: int) -> None:
    """Filter SOURCE, an array (time, channels) in a .npy file, into TARGET."""
    cascade = mr.RecurrenceBank.from_sos(np.load(sos), layout="BTC", compute_dtype="float64")
    with Progress() as bar:
        task = bar.add_task(source.name)
        filter_file(source, target, cascade, block, lambda done, of: bar.update(task, completed=done, total=of))


if __name__ == "__main__":
    command()
