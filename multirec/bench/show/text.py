"""Figures in words: no more digits than their interval supports, and never more than three."""

from __future__ import annotations

from math import floor, isfinite, log10

_TIMES = (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))
DASH = "–"


def seconds_text(seconds: float, half_width: float | None = None) -> str:
    """Return a duration; `half_width` is that of its interval, in seconds.

    Example
    -------
    >>> seconds_text(0.0274), seconds_text(1.5), seconds_text(3e-6), seconds_text(600)
    ('27.4 ms', '1.50 s', '3.00 µs', '10.0 min')
    >>> seconds_text(0.0274, 0.003), seconds_text(0.0274, 0.012)
    ('27 ms', '30 ms')
    """
    for unit, size in _TIMES:
        # minutes only where seconds would be hard to read
        if seconds >= size * (2 if size > 1 else 1) or unit == "ns":
            return f"{digits(seconds / size, None if half_width is None else half_width / size)} {unit}"
    raise AssertionError("nanoseconds are the last unit")


def bytes_text(size: float) -> str:
    """Return a size with three digits in powers of 1024.

    Example
    -------
    >>> bytes_text(262_144_000), bytes_text(0)
    ('250 MiB', '0 B')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{digits(size)} {unit}"
        size /= 1024
    return f"{digits(size)} TiB"


def ratio_text(ratio: float, half_width: float | None = None) -> str:
    """Return a ratio; `half_width` is that of its interval.

    Example
    -------
    >>> ratio_text(20.13), ratio_text(0.0456), ratio_text(20.13, 2.0)
    ('20.1×', '0.0456×', '20×')
    """
    return f"{digits(ratio, half_width)}×"


def percent_text(fraction: float) -> str:
    """Return a fraction in per cent with two digits.

    Example
    -------
    >>> percent_text(0.361), percent_text(0.042), percent_text(0.0004), percent_text(1.2), percent_text(1e-5)
    ('36%', '4.2%', '0.04%', '120%', '<0.01%')
    """
    percent = 100 * fraction
    if percent >= 9.95:
        return f"{percent:.0f}%"
    if percent >= 0.095:
        return f"{percent:.1f}%"
    return f"{percent:.2f}%" if percent >= 0.005 or not percent else "<0.01%"


def digits(value: float, half_width: float | None = None) -> str:
    """Return a number with three digits, or fewer where `half_width` makes the last ones worthless.

    Example
    -------
    >>> digits(27.43), digits(27.43, 0.8), digits(27.43, 3.0), digits(27.43, 12.0), digits(1234.0)
    ('27.4', '27.4', '27', '30', '1234')
    """
    if not value or not isfinite(value):
        return f"{value:.0f}"
    leading = floor(log10(abs(value)))
    # whole numbers are not rounded without a cause
    last = min(leading - 2, 0)
    if half_width:
        # one digit is left in any case
        last = min(max(last, floor(log10(half_width))), leading)
    return f"{round(value, -last):.{max(-last, 0)}f}"


def half_width(value: float, low: float | None, high: float | None) -> float:
    """Return half of an interval; where there is none, as of a single sample, what leaves the value two digits.

    Example
    -------
    >>> half_width(744.1, 700.0, 800.0), half_width(744.1, 744.1, 744.1), digits(744.1, half_width(744.1, None, None))
    (50.0, 74.41, '740')
    """
    return (high - low) / 2 if low is not None and high is not None and high > low else value / 10


def interval_text(low: float | None, high: float | None, value: float | None) -> str:
    """Return half of an interval in per cent of the value; nothing where there is none, as of a single sample.

    Example
    -------
    >>> interval_text(0.9, 1.1, 1.0), interval_text(0.998, 1.002, 1.0), interval_text(0.1, 4.1, 1.0)
    ('10%', '0.2%', '>100%')
    >>> interval_text(1.0, 1.0, 1.0)
    ''
    """
    if low is None or high is None or high <= low or not value:
        return ""
    half = (high - low) / 2 / value
    if half > 1:
        return ">100%"
    return f"{100 * half:.0f}%" if half >= 0.01 else f"{100 * half:.1f}%"
