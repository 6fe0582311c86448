"""Figures in words: no more digits than they are worth."""

from __future__ import annotations


def seconds_text(seconds: float) -> str:
    """Return a duration with three digits.

    Example
    -------
    >>> seconds_text(0.0274), seconds_text(1.5), seconds_text(3e-6), seconds_text(600)
    ('27.4 ms', '1.50 s', '3.00 µs', '10.0 min')
    """
    for unit, size in (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        # minutes only where seconds would be hard to read
        if seconds >= size * (2 if size > 1 else 1):
            return f"{_three(seconds / size)} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def bytes_text(size: float) -> str:
    """Return a size with three digits in powers of 1024.

    Example
    -------
    >>> bytes_text(262_144_000), bytes_text(0)
    ('250 MiB', '0 B')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{_three(size)} {unit}"
        size /= 1024
    return f"{_three(size)} TiB"


def ratio_text(ratio: float) -> str:
    """Return a ratio with three digits.

    Example
    -------
    >>> ratio_text(20.13), ratio_text(0.0456)
    ('20.1×', '0.046×')
    """
    return f"{_three(ratio)}×" if ratio >= 1 else f"{ratio:.2g}×"


def _three(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
