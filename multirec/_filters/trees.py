"""Banks and cascades as trees of arrays, for JAX."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .._core.trees import TREES, Tree
from .bank import RecurrenceBank
from .cascade import RecurrenceCascade
from .judgement import Judgement

__all__: list[str] = []


def _bank_apart(bank: RecurrenceBank) -> tuple[list[tuple[str | int, Any]], Any]:
    # all are arrays: sections of JAX's are transfer functions of their own
    source = bank._source
    choices = bank.layout, bank.reverse, bank.backend, bank.compute_dtype
    return list(zip(source._fields, source, strict=True)), (type(source), bank._judgement.name, choices)


def _bank_of(structure: Any, leaves: Iterable[Any]) -> RecurrenceBank:
    # leaves may be anything while a library takes trees apart, so nothing is checked
    bank = object.__new__(RecurrenceBank)
    kind, name, choices = structure
    bank.layout, bank.reverse, bank.backend, bank.compute_dtype = choices
    bank._judgement = Judgement(bank.backend, name)
    bank._source = kind(*leaves)
    return bank


def _cascade_apart(cascade: RecurrenceCascade) -> tuple[list[tuple[str | int, Any]], Any]:
    return list(enumerate(cascade.sections)), None


def _cascade_of(_: None, banks: Iterable[Any]) -> RecurrenceCascade:
    return RecurrenceCascade(list(banks))


TREES.append(Tree(RecurrenceBank, _bank_apart, _bank_of))
TREES.append(Tree(RecurrenceCascade, _cascade_apart, _cascade_of))
