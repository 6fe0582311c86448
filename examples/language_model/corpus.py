"""Two plays of Shakespeare as numbers: one stretch of text, or speeches packed into rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

PLAYS = Path(__file__).with_name("shakespeare.txt")
HELD_OUT = 0.1
"""The share of the text, at its end, that is not trained on."""


class Corpus(NamedTuple):
    """Training text and validation text (N,), each character as its place in `alphabet`."""

    alphabet: str
    train: Tensor
    valid: Tensor

    def encode(self, text: str) -> Tensor:
        """Return the numbers of characters, (N,)."""
        return torch.tensor([self.alphabet.index(letter) for letter in text])

    def decode(self, numbers: Tensor) -> str:
        """Return the characters of numbers (N,)."""
        return "".join(self.alphabet[number] for number in numbers.tolist())


class Rows(NamedTuple):
    """What a model reads, time first, (T, B) each: characters, those that follow, and where a speech begins."""

    inputs: Tensor
    targets: Tensor
    starts: Tensor

    def blocks(self, length: int) -> Iterator[Rows]:
        """Cut time into blocks."""
        for parts in zip(*(part.split(length) for part in self), strict=True):
            yield Rows(*parts)


def load() -> Corpus:
    """Read the plays; the first line of a speech has an empty line before it, in the first speech too."""
    text = "\n" + PLAYS.read_text(encoding="ascii")
    alphabet = "".join(sorted(set(text)))
    corpus = Corpus(alphabet, torch.empty(0), torch.empty(0))
    cut = text.index("\n\n", round(len(text) * (1 - HELD_OUT))) + 1
    return corpus._replace(train=corpus.encode(text[:cut]), valid=corpus.encode(text[cut:]))


def starts_of(text: Tensor, corpus: Corpus) -> Tensor:
    """Return whether each character is the line feed that a speech begins with: the last one of an empty line."""
    feed = text == corpus.alphabet.index("\n")
    before = torch.cat([feed.new_ones(1), feed[:-1]])
    return feed & before


def shuffled(text: Tensor, corpus: Corpus) -> Tensor:
    """Return the same speeches in another order, by torch's generator."""
    begins = starts_of(text, corpus).nonzero()[:, 0].tolist()
    speeches = [text[begin:end] for begin, end in zip(begins, [*begins[1:], len(text)], strict=True)]
    return torch.cat([speeches[index] for index in torch.randperm(len(speeches)).tolist()])


def packed(text: Tensor, corpus: Corpus, batch: int) -> Rows:
    """Cut text into `batch` rows of the same length, side by side, and leave out the few characters at its end."""
    length = (len(text) - 1) // batch
    inputs, targets, starts = (
        part[: length * batch].view(batch, length).T for part in (text[:-1], text[1:], starts_of(text, corpus)[:-1])
    )
    return Rows(inputs, targets, starts)
