"""The rows of a document by what they belong to."""

from __future__ import annotations

from typing import TypeAlias

from .format import Document, Floor, Ratio

Key: TypeAlias = tuple[int, str, str]
"""What tells cells of a document apart: the place of their case, their mode, their contestant."""


def ratios_of(document: Document) -> dict[Key, Ratio]:
    """Return the ratios by cell."""
    return {(row["case"], row["mode"], row["contestant"]): row for row in document["ratios"]}


def references_of(document: Document) -> dict[tuple[int, str], str]:
    """Return by case and mode what the ratios refer to; it has no ratio of its own."""
    found: dict[tuple[int, str], str] = {}
    for row in document["ratios"]:
        found[row["case"], row["mode"]] = row["reference"]
    for floor in document["floors"]:
        found[floor["case"], floor["mode"]] = floor["contestant"]
    return found


def floors_of(document: Document) -> dict[tuple[int, str], Floor]:
    """Return the floors by case and mode."""
    return {(row["case"], row["mode"]): row for row in document["floors"]}
