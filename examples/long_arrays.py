"""Filter a signal that no memory holds, lazily, with dask's chunks and xarray's names: in two passes, or in turn.

A chunk of time needs the state before it. In two passes each chunk is read twice: first for its summary, which tells
the state before every chunk, then for its outputs, with no chunk waiting for another's. In turn each chunk is read
once, and waits for the one before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import click
import dask
import dask.array as da
import numpy as np
import xarray as xr
from dask.graph_manipulation import clone

import multirec as mr
from multirec.distributed import replay, summarize

CHUNK = 15_625_000
"""Samples of all channels in a chunk: 125 MB in float64."""


def in_two_passes(x: da.Array, feedforward: np.ndarray, feedback: np.ndarray) -> da.Array:
    """Return the outputs of a recurrence over x, (batch…, channels, time), with chunks along any axis.

    Coefficients are one filter for all channels, or as many as a chunk has.
    """
    taps = {"feedforward": feedforward, "feedback": feedback}
    summary_of, outputs_of = dask.delayed(partial(summarize, **taps)), dask.delayed(partial(_outputs, **taps))
    after = dask.delayed(lambda summary, state: summary.after(state))

    def row(first: Iterable[Any], second: Iterable[Any]) -> Iterable[Any]:
        state: Any = (None, None)
        for block, again in zip(first, second, strict=True):
            yield outputs_of(again, state)
            state = after(summary_of(block), state)

    # chunks under other names: dask would keep what it has read until the second pass comes to it
    return _joined(row, x, clone(x))


def in_turn(x: da.Array, bank: Callable[[np.ndarray, Any], tuple[np.ndarray, Any]]) -> da.Array:
    """Return what a bank or a cascade makes of x, (batch…, channels, time), chunk after chunk along time."""
    step = dask.delayed(bank, nout=2, pure=False)

    def row(blocks: Iterable[Any]) -> Iterable[Any]:
        state = None
        for block in blocks:
            y, state = step(block, state)
            yield y

    return _joined(row, x)


def along_time(function: Callable[..., da.Array], x: xr.DataArray, **given: Any) -> xr.DataArray:
    """Return what one of the two makes of a named array that has dask's chunks; it ends with channels and time."""
    dims = [["channel", "time"]]
    return xr.apply_ufunc(
        function, x, input_core_dims=dims, output_core_dims=dims, dask="allowed", keep_attrs=True, kwargs=given
    )


def _outputs(x: np.ndarray, state: Any, **taps: np.ndarray) -> np.ndarray:
    return replay(x, state, **taps)[0]


def _joined(row: Callable[..., Iterable[Any]], *readings: da.Array) -> da.Array:
    """Return an array like each reading, of what `row` makes of the chunks that follow each other in time."""
    x, blocks = readings[0], [reading.to_delayed() for reading in readings]
    parts = np.empty(x.numblocks, object)
    for place in np.ndindex(x.numblocks[:-1]):
        for at, part in enumerate(row(*(each[place] for each in blocks))):
            shape = [sizes[n] for sizes, n in zip(x.chunks, (*place, at), strict=True)]
            parts[(*place, at)] = da.from_delayed(part, shape, x.dtype)
    return da.block(parts.tolist())


def noise(chunks: int, samples: int) -> da.Array:
    """Return noise of four channels that is made as it is read."""

    def made(block_info: Any = None) -> np.ndarray:
        about = block_info[None]
        return np.random.default_rng(about["chunk-location"]).random(about["chunk-shape"])

    return da.map_blocks(made, chunks=((4,), (samples // 4,) * chunks), dtype=float)


def ways(bank: mr.RecurrenceBank) -> dict[str, Callable[[da.Array], da.Array]]:
    """Return the two ways by their names."""
    taps = {"feedforward": bank.feedforward, "feedback": bank.feedback}
    return {"two-passes": partial(in_two_passes, **taps), "in-turn": partial(in_turn, bank=bank)}


def few(y: np.ndarray) -> np.ndarray:
    """Return every 997th sample of a chunk, to compare."""
    return y[:, ::997].copy()


def error(found: np.ndarray, x: da.Array, bank: mr.RecurrenceBank) -> float:
    """Return how far samples are from the bank's outputs, block after block without dask."""
    state, worst = None, 0.0
    sizes = [-(-length // 997) for length in x.chunks[1]]
    for wanted, block in zip(np.split(found, np.cumsum(sizes)[:-1], -1), x.blocks.ravel(), strict=True):
        y, state = bank(block.compute(), state)
        worst = max(worst, float(np.abs(few(y) - wanted).max()))
        del y
    return worst


def main(way: str = "two-passes", chunks: int = 40, samples: int = CHUNK, threads: int = 2) -> float:
    """Filter a signal one way, and return how far it is off."""
    bank = mr.RecurrenceBank.from_ba([0.02, 0.04, 0.02], [1.0, -1.56, 0.64])
    x = noise(chunks, samples)
    y = ways(bank)[way](x)
    found = y.map_blocks(few, dtype=float).compute(scheduler="threads", num_workers=threads)
    off = error(found, x, bank)
    print(f"{x.nbytes / 1e9:.2f} GB in {chunks} chunks, {way}, {threads} threads: off by {off:.1e}")
    return off


@click.command(help=__doc__)
@click.option("--way", type=click.Choice(["two-passes", "in-turn"]), default="two-passes", show_default=True)
@click.option("--chunks", default=40, show_default=True)
@click.option("--samples", default=CHUNK, show_default=True, help="of all channels, in a chunk")
@click.option("--threads", default=2, show_default=True)
def command(way: str, chunks: int, samples: int, threads: int) -> None:
    """Filter one way and say how far it is off."""
    main(way, chunks, samples, threads)


if __name__ == "__main__":
    command()
