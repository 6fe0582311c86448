"""Option types that commands share."""

from __future__ import annotations

import re
from typing import Any

import click

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


class Duration(click.ParamType[float]):
    """Seconds, written 90, 90s, 2m or 1h."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h)?", str(value).strip())
        seconds = float(found[1]) * _UNITS[found[2] or ""] if found else 0.0
        if seconds <= 0:
            self.fail(f"{value!r} is not a duration above 0. Write 90, 90s, 2m or 1h.", param, ctx)
        return seconds


class Percent(click.FloatRange):
    """A number of per cent, written 5 or 5%."""

    name = "percentage"

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        bare: Any = str(value).removesuffix("%")
        return float(super().convert(bare, param, ctx))


COUNT = click.IntRange(min=1)
