"""Train a model by truncated backpropagation, measure it, and let it write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from corpus import Corpus, Rows, packed, shuffled
from torch import Tensor

from multirec import nn


class Settings(NamedTuple):
    """How to train: steps, rows side by side, characters a block, and the highest step size."""

    steps: int = 200
    batch: int = 32
    block: int = 128
    rate: float = 4e-3
    alone: bool = False
    """Whether each speech is read alone, from a state of zero, and in another order in each round."""


def loss_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy, in nats a character."""
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def rounds(corpus: Corpus, settings: Settings) -> Iterator[tuple[bool, Rows]]:
    """Yield blocks of the training text without end, and whether a block is the first of a round."""
    while True:
        text = shuffled(corpus.train, corpus) if settings.alone else corpus.train
        for index, block in enumerate(packed(text, corpus, settings.batch).blocks(settings.block)):
            yield index == 0, block


def whole(rows: Rows) -> Rows:
    """Return what one process reads: everything."""
    return rows


def train(
    model: torch.nn.Module, corpus: Corpus, settings: Settings, part_of: Callable[[Rows], Rows] = whole
) -> Iterator[float]:
    """Train, and yield the loss before each step, of the part of each block that this process reads."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.rate, weight_decay=0.01)
    # a steep beginning, and a straight line down
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / 20, 1.0) * (1 - 0.95 * step / settings.steps)
    )
    states = None
    for _, (first, block) in zip(range(settings.steps), rounds(corpus, settings), strict=False):
        block = part_of(block)
        # the state goes on from block to block, and the gradient does not
        states = None if first else nn.detach_state(states)
        resets = {"resets": block.starts} if settings.alone else {}
        logits, states = model(block.inputs, states, **resets)
        loss = loss_of(logits, block.targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        yield loss.item()


@torch.no_grad()
def validation_loss(model: nn.Chain, corpus: Corpus, alone: bool = False) -> float:
    """Return the loss on the text that is held out, in nats a character."""
    rows = packed(corpus.valid, corpus, 16)
    logits, _ = model(rows.inputs, None, **({"resets": rows.starts} if alone else {}))
    return loss_of(logits, rows.targets).item()


@torch.no_grad()
def write(model: nn.Chain, corpus: Corpus, length: int, start: str = "\n", temperature: float = 0.7) -> str:
    """Go on from `start`, one character a step, each drawn from the model's own probabilities."""
    *known, letter = corpus.encode(start)[:, None]
    states = None
    for before in known:
        _, states = model.step(before, states)
    letters = []
    for _ in range(length):
        logits, states = model.step(letter, states)
        letter = torch.multinomial(torch.softmax(logits / temperature, -1), 1)[:, 0]
        letters.append(letter)
    return corpus.decode(torch.cat(letters))
