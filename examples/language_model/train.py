"""Train a character-level language model on two plays of Shakespeare, and let it write."""

from __future__ import annotations

from typing import NamedTuple

import click
import torch
from corpus import load
from models import UNITS, WEIGHTS, of_size, weights
from rich.console import Console
from rich.progress import track
from training import Settings, train, validation_loss, write

from multirec import nn


class Trained(NamedTuple):
    """The losses of the steps and on the text that is held out, the model, and what it wrote."""

    losses: list[float]
    valid: float
    model: nn.Chain
    wrote: str


def main(unit: str = "QRNN", settings: Settings | None = None, budget: int = WEIGHTS, length: int = 400) -> Trained:
    """Train a model with this unit and about so many weights, print its loss and what it writes, and return them."""
    settings = settings or Settings()
    corpus = load()
    model = of_size(UNITS[unit], len(corpus.alphabet), budget)
    work = train(model, corpus, settings)
    losses = list(track(work, f"{unit}, {weights(model)} weights", settings.steps, console=Console(stderr=True)))
    valid = validation_loss(model, corpus, settings.alone)
    print(f"{unit}: {losses[0]:.3f} nats a character at first, {losses[-1]:.3f} in the end, {valid:.3f} on unseen text")
    wrote = write(model, corpus, length)
    print(wrote)
    return Trained(losses, valid, model, wrote)


@click.command()
@click.option("--unit", type=click.Choice(list(UNITS)), default="QRNN", show_default=True)
@click.option("--steps", default=Settings().steps, show_default=True, help="Steps of the training.")
@click.option("--alone", is_flag=True, help="Read each speech alone, from a state of zero, in a new order each round.")
@click.option("--short", is_flag=True, help="A few steps of a small model.")
def command(unit: str, steps: int, alone: bool, short: bool) -> None:
    """Train a model of about 280 000 weights, one to two minutes on a CPU, and let it write."""
    torch.manual_seed(0)
    if short:
        main(unit, Settings(steps=40, batch=16, block=48, rate=0.01, alone=alone), budget=120_000, length=100)
    else:
        main(unit, Settings(steps=steps, alone=alone))


if __name__ == "__main__":
    command()
