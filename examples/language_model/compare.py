"""Train the same model with one recurrent unit after the other, and make a table of their losses and times."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch
from corpus import Corpus, load
from models import UNITS, of_size, weights
from rich.console import Console
from rich.progress import track
from training import Settings, train, validation_loss

import multirec

ROUNDS = 9
"""Steps of each unit that are timed, a step of one after a step of the other."""


def losses(name: str, corpus: Corpus, settings: Settings) -> dict[str, Any]:
    """Train one model and return its losses on held-out text, step by step."""
    torch.manual_seed(0)
    model = of_size(UNITS[name], len(corpus.alphabet))
    points = []
    work = enumerate(train(model, corpus, settings), 1)
    for step, _ in track(work, f"{name:16}", settings.steps, console=Console(stderr=True)):
        if step % 25 == 0 or step == settings.steps:
            points.append([step, validation_loss(model, corpus)])
    return {"weights": weights(model), "points": points}


def times(names: list[str], corpus: Corpus, settings: Settings) -> dict[str, float]:
    """Return the median processor time of a step with each unit, in seconds; their steps take turns."""
    of_rounds = settings._replace(steps=ROUNDS + 1)
    works = {name: train(of_size(UNITS[name], len(corpus.alphabet)), corpus, of_rounds) for name in names}
    taken: dict[str, list[float]] = {name: [] for name in names}
    for _ in track(range(ROUNDS + 1), "times", console=Console(stderr=True)):
        for name, work in works.items():
            start = time.process_time()
            next(work)
            taken[name].append(time.process_time() - start)
    # the first step compiles
    return {name: median(seconds[1:]) for name, seconds in taken.items()}


def document(names: list[str], settings: Settings, kept: Path | None) -> dict[str, Any]:
    """Measure models, and write what is known into a file after each."""
    torch.set_num_threads(1)
    multirec.set_num_threads(1)
    corpus = load()
    found: dict[str, Any] = {
        "about": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "multirec": multirec.__version__,
            "settings": settings._asdict(),
        },
        "step_seconds": times(names, corpus, settings),
        "units": {},
    }
    for name in names:
        found["units"][name] = losses(name, corpus, settings)
        if kept is not None:
            kept.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


HEAD = ("unit", "weights", "loss, nats", "of nn.GRU's", "ms a step", "of nn.GRU's")


def rows(found: dict[str, Any]) -> list[list[str]]:
    """Return the rows below HEAD, the lowest loss first."""
    of = {name: (unit["points"][-1][1], found["step_seconds"][name]) for name, unit in found["units"].items()}
    gru = of.get("nn.GRU")
    lines = []
    for name, (loss, seconds) in sorted(of.items(), key=lambda item: item[1]):
        ratios = ["", ""] if gru is None else [f"{loss / gru[0]:.2f}", f"{seconds / gru[1]:.2f}"]
        weighs = str(found["units"][name]["weights"])
        lines.append([name, weighs, f"{loss:.3f}", ratios[0], f"{1e3 * seconds:.0f}", ratios[1]])
    return lines


@click.command()
@click.option("--steps", default=Settings().steps, show_default=True, help="Steps of each training.")
@click.option("--unit", "names", multiple=True, type=click.Choice(list(UNITS)), help="Only these; all by default.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Keep the results here, as JSON.")
def command(steps: int, names: tuple[str, ...], output: Path | None) -> None:
    """Compare recurrent units in a language model: one thread, about a minute a unit."""
    found = document(list(names or UNITS), Settings(steps=steps), output)
    for line in (HEAD, ["---"] * len(HEAD), *rows(found)):
        print("| " + " | ".join(line) + " |")


if __name__ == "__main__":
    command()
