"""Files that commands write: looked at before any work is done, replaced as a whole."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click


def check_writable(output: Path, replace: bool, hint: str = "add --force to replace it") -> None:
    """Raise a usage error unless `output` can be written."""
    if output.is_dir():
        raise click.UsageError(f"--output {output} is a folder. Name a file in it.")
    if output.exists() and not replace:
        raise click.UsageError(f"--output {output} exists. Name another file, or {hint}.")
    folder = output.parent
    if not folder.is_dir():
        raise click.UsageError(f"--output {output}: there is no folder {folder}. Create it first.")
    try:
        # a trial: permissions alone do not show that a file system is read-only
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise click.UsageError(f"--output {output}: the folder {folder} is not writable ({error.strerror}).") from None


def save(output: Path, content: str | bytes) -> None:
    """Write a file as a whole or not at all."""
    part = output.with_name(f".{output.name}.{os.getpid()}")
    part.write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())
    part.replace(output)
