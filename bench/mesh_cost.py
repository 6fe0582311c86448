"""What cutting time over devices costs, simulated: `python bench/mesh_cost.py`, Markdown tables.

Each device has a clock. Local work takes the bytes that it moves over the bandwidth of memory; a message takes the
latency and its bytes over the bandwidth of the link, and begins when both ends are ready; to apply a map to a state,
or to compose two, takes a step. No figure is measured.

Bytes are those of `multirec.distributed.recurrence`, as `multirec.distributed.cost` has them. It gathers the maps of
all devices and applies them one by one; the engine gathers in a ring or by doubling, and the faster counts. A scan by
doubling composes maps in log2 D exchanges instead, as `compose` allows.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import click
import numpy as np

from multirec.distributed import Cost, cost

DEVICES = (8, 32, 128, 1024)
BYTES = 4
"""Of a number."""


class Machine(NamedTuple):
    """Seconds of latency and of a step, bytes a second of a link and of a device's memory."""

    latency: float = 20e-6
    link: float = 25e9
    memory: float = 3e12
    step: float = 20e-6


class Work(NamedTuple):
    """A recurrence: its signals, its past inputs q and outputs p, and whether its coefficients vary along time."""

    name: str
    batch: int
    channels: int
    q: int
    p: int
    varies: bool

    @property
    def rows(self) -> int:
        return self.batch * self.channels

    @property
    def taps(self) -> int:
        """Coefficients that are read for each sample."""
        return self.p + (self.q + 1 if self.q else 0) if self.varies else 0

    @property
    def numbers(self) -> int:
        """The bytes of one sample of every row."""
        return self.rows * BYTES


WORKS = (
    Work("biquads, held", batch=8, channels=64, q=2, p=2, varies=False),
    Work("gates, order 1", batch=1, channels=4096, q=0, p=1, varies=True),
    Work("varying, order 2", batch=1, channels=1024, q=0, p=2, varies=True),
)


def sent(work: Work) -> Cost:
    """Return what each device sends, of arrays that hold one number."""
    x = np.broadcast_to(np.float32(0), (work.batch, work.channels, 2))
    rows = x.shape if work.varies else x.shape[1:2]
    feedback = np.broadcast_to(np.float32(0), (*rows, work.p))
    feedforward = np.broadcast_to(np.float32(0), (*rows, work.q + 1)) if work.q else None
    return cost(x, feedforward=feedforward, feedback=feedback)


def alone(work: Work) -> tuple[int, int]:
    """Return the bytes of memory that one sample of every row moves on one device, forward and backward."""
    # x and coefficients in, y out; then gradients and y in, and gradients of x and of coefficients out
    return work.numbers * (2 + work.taps), work.numbers * (3 + 2 * work.taps)


def beside(work: Work) -> tuple[int, int]:
    """Return the bytes that a cut adds to these: summaries read everything once more, and unit states coefficients."""
    units = work.p * work.p if work.varies else 0
    return work.numbers * (1 + work.taps + units), work.numbers * (1 + work.taps)


def message(clocks: np.ndarray, hop: int, size: float, machine: Machine) -> np.ndarray:
    """Return the clocks after each device has heard from the one `hop` before it, in a circle."""
    return np.maximum(clocks, np.roll(clocks, hop)) + machine.latency + size / machine.link


def ring(clocks: np.ndarray, size: float, machine: Machine) -> np.ndarray:
    """Gather from all, neighbour to neighbour."""
    for _ in range(len(clocks) - 1):
        clocks = message(clocks, 1, size, machine)
    return clocks


def doubling(clocks: np.ndarray, size: float, machine: Machine) -> np.ndarray:
    """Gather from all in log2 D messages, each as long as all before it."""
    have = 1
    while have < len(clocks):
        count = min(have, len(clocks) - have)
        clocks = message(clocks, have, count * size, machine)
        have += count
    return clocks


def gathered(clocks: np.ndarray, size: float, machine: Machine) -> np.ndarray:
    """Gather from all the faster way."""
    return min((way(clocks, size, machine) for way in (ring, doubling)), key=np.max)


def added_up(clocks: np.ndarray, size: float, machine: Machine) -> np.ndarray:
    """Add up over all in a ring of parts, or there and back through a tree: the faster way."""
    devices = len(clocks)
    parts, tree = clocks, clocks
    for _ in range(2 * (devices - 1)):
        parts = message(parts, 1, size / devices, machine)
    levels = int(np.ceil(np.log2(devices)))
    for level in (*range(levels), *reversed(range(levels))):
        tree = message(tree, 1 << level, size, machine)
    return min((parts, tree), key=np.max)


def gather_and_apply(clocks: np.ndarray, size: float, machine: Machine) -> np.ndarray:
    """Gather the maps, then apply one after the other."""
    return gathered(clocks, size, machine) + len(clocks) * machine.step


def scan(clocks: np.ndarray, size: float, machine: Machine) -> np.ndarray:
    """Compose the maps of all devices before each in log2 D exchanges; the last one tells the state after all."""
    hop = 1
    while hop < len(clocks):
        clocks = message(clocks, hop, size, machine) + machine.step
        hop *= 2
    return clocks + np.ceil(np.log2(len(clocks))) * machine.latency


FORMS = {"all-gather": gather_and_apply, "doubling scan": scan}


def cut(work: Work, length: int, devices: int, machine: Machine, form: str = "all-gather") -> float:
    """Return the seconds of a step, forward and backward, with time cut over devices."""
    shares = np.full(devices, length // devices) + (np.arange(devices) < length % devices)
    exchange, sizes = FORMS[form], sent(work)
    clocks = np.zeros(devices)
    # a scan has kept no maps of others, and composes them again backward
    again = sizes.forward if form == "doubling scan" else 0
    for own, more, size in zip(alone(work), beside(work), (sizes.forward, sizes.backward + again), strict=True):
        clocks = exchange(clocks + shares * more / machine.memory, size, machine)
        clocks = clocks + shares * own / machine.memory
    if sizes.gradients:
        clocks = added_up(clocks, sizes.gradients, machine)
    return float(clocks.max())


def whole(work: Work, length: int, machine: Machine) -> float:
    """Return the seconds of a step on one device, however large its memory would have to be."""
    return length * sum(alone(work)) / machine.memory


def passed_on(work: Work, length: int, devices: int, machine: Machine) -> float:
    """Return the seconds where each device waits for the state of the one before it, and needs no summaries."""
    return whole(work, length, machine) + 2 * (devices - 1) * (machine.latency + sent(work).backward / 2 / machine.link)


def sequence_gathered(work: Work, length: int, devices: int, machine: Machine) -> float:
    """Return the seconds where the devices gather x and what varies, cut the rows instead, and give y back."""
    share = length / devices / devices * work.numbers
    # x, y and coefficients, then their gradients
    count, clocks = 2 + work.taps, np.zeros(devices)
    for _ in range(2):
        # each sends every other its part of the rows: straight, or half of all parts in each of log2 D messages
        straight, halves = clocks, clocks
        for _ in range(devices - 1):
            straight = message(straight, 1, share * count, machine)
        for _ in range(int(np.ceil(np.log2(devices)))):
            halves = message(halves, 1, share * count * devices / 2, machine)
        clocks = min((straight, halves), key=np.max)
    return float(clocks.max()) + whole(work, length, machine) / devices


def shortest(work: Work, devices: int, machine: Machine, gain: float) -> int | None:
    """Return the shortest power of two of samples with which devices take less than one over `gain`."""
    for exponent in range(10, 36):
        if whole(work, 1 << exponent, machine) > gain * cut(work, 1 << exponent, devices, machine):
            return 1 << exponent
    return None


def table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """Return Markdown."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def amount(count: float) -> str:
    """Return bytes with a unit."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def power(length: int | None) -> str:
    return "never" if length is None else f"2^{length.bit_length() - 1}"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g}"


def of_bytes() -> str:
    """Return what a device sends, what it receives forward, and how many samples of its own are as many bytes."""
    rows, few = [], (DEVICES[0], DEVICES[-1])
    for work in WORKS:
        size = sent(work).forward
        received = (amount(count * size) for devices in few for count in (devices - 1, np.log2(devices)))
        samples = size / ((1 + work.taps) * work.numbers)
        rows.append([work.name, *map(amount, sent(work)), *received, f"{samples:.3g}"])
    received = (f"{form}, D = {devices}" for devices in few for form in FORMS)
    return table(["work", "forward", "backward", "gradients", *received, "samples"], rows)


def of_lengths(machine: Machine) -> str:
    """Return the shortest lengths that gain twice and a quarter of the devices."""
    goals = {"faster than one": lambda _: 1.0, "twice": lambda _: 2.0, "D/4 times": lambda devices: devices / 4}
    rows = [
        [work.name, goal, *(power(shortest(work, devices, machine, gain(devices))) for devices in DEVICES)]
        for work in WORKS
        for goal, gain in goals.items()
    ]
    return table(["work", "gain", *(f"D = {devices}" for devices in DEVICES)], rows)


def of_ways(machine: Machine, length: int) -> str:
    """Return the milliseconds of each way for one length."""
    ways = {
        **{form: partial(cut, form=form) for form in FORMS},
        "state passed on": passed_on,
        "sequence for rows": sequence_gathered,
    }
    rows = []
    for work in WORKS:
        one = milliseconds(whole(work, length, machine))
        for name, way in ways.items():
            taken = (milliseconds(way(work, length, devices, machine)) for devices in DEVICES)
            rows.append([work.name, name, one, *taken])
    return table(["work", "way", "D = 1", *(f"D = {devices}" for devices in DEVICES)], rows)


@click.command(help=__doc__)
@click.option("--latency", default=20.0, show_default=True, help="of a message, in microseconds")
@click.option("--link", default=25.0, show_default=True, help="GB/s of a device's link")
@click.option("--memory", default=3000.0, show_default=True, help="GB/s of a device's memory")
@click.option("--step", default=20.0, show_default=True, help="to apply or compose a map, in microseconds")
@click.option("--length", default=1 << 20, show_default=True, help="samples of the table of ways")
def command(latency: float, link: float, memory: float, step: float, length: int) -> None:
    machine = Machine(latency * 1e-6, link * 1e9, memory * 1e9, step * 1e-6)
    for part in (of_bytes(), of_lengths(machine), of_ways(machine, length)):
        click.echo(part + "\n")


if __name__ == "__main__":
    command()
