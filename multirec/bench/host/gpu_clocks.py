"""What an NVIDIA GPU says of its clocks, its heat and what slows it down: by NVML, else once by nvidia-smi.

No package is needed: the driver brings both.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

_LIBRARIES = ("libnvidia-ml.so.1", "nvml.dll")
_SM, _MEMORY, _TEMPERATURE = 1, 2, 0
# bits of nvml.h; an idle device is not slowed down, and settings of an administrator are no fault of the moment
_CAUSES = {
    0x2: "a clock that was set",
    0x4: "its power limit",
    0x8: "its hardware",
    0x10: "other GPUs that it follows",
    0x20: "its heat",
    0x40: "its heat (hardware)",
    0x80: "its power supply",
    0x100: "a display",
}
_QUERY = "clocks.sm,clocks.mem,temperature.gpu,power.draw,clocks_throttle_reasons.active"


class State(NamedTuple):
    """A GPU at a moment: MHz, °C, W, and what slows it down; None where it does not say."""

    sm_mhz: int | None
    memory_mhz: int | None
    temperature: int | None
    power: float | None
    slowed_by: list[str]


class Gpu(NamedTuple):
    """How to ask: the name of the way, what asks, and whether asking often costs nothing. Without a way, why."""

    source: str
    ask: Callable[[], State | None]
    cheap: bool = False


def gpu() -> Gpu:
    """Return a way to ask the first GPU that this process may use.

    Example
    -------
    >>> gpu().source.partition(":")[0] in ("NVML", "nvidia-smi", "unknown")
    True
    """
    which = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip() or "0"
    reasons = []
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
        except OSError as error:
            reasons.append(str(error))
            continue
        handle = _handle(library, which)
        if handle is not None:
            return Gpu("NVML", partial(_by_nvml, library, handle), cheap=True)
        reasons.append("NVML does not know the GPU")
    if _by_program(which) is not None:
        return Gpu("nvidia-smi", partial(_by_program, which))
    return Gpu(f"unknown: {reasons[0]}, and nvidia-smi does not answer", lambda: None)


def _handle(library: Any, which: str) -> ctypes.c_void_p | None:
    handle = ctypes.c_void_p()
    if library.nvmlInit_v2():
        return None
    if which.isdigit():
        fault = library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(int(which)), ctypes.byref(handle))
    else:
        fault = library.nvmlDeviceGetHandleByUUID(ctypes.c_char_p(which.encode()), ctypes.byref(handle))
    return None if fault else handle


def _by_nvml(library: Any, handle: ctypes.c_void_p) -> State:
    def number(name: str, *arguments: int, kind: Any = ctypes.c_uint) -> int | None:
        value = kind()
        # a function that an old driver does not have is an attribute that is not there
        ask = getattr(library, name, None)
        if ask is None or ask(handle, *map(ctypes.c_uint, arguments), ctypes.byref(value)):
            return None
        return int(value.value)

    milliwatts = number("nvmlDeviceGetPowerUsage")
    causes = number("nvmlDeviceGetCurrentClocksThrottleReasons", kind=ctypes.c_ulonglong)
    return State(
        number("nvmlDeviceGetClockInfo", _SM),
        number("nvmlDeviceGetClockInfo", _MEMORY),
        number("nvmlDeviceGetTemperature", _TEMPERATURE),
        None if milliwatts is None else milliwatts / 1000,
        slowed_by(causes or 0),
    )


def _by_program(which: str) -> State | None:
    command = ["nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits", "-i", which]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    fields = [field.strip() for field in done.stdout.splitlines()[0].split(",")] if done.stdout.strip() else []
    if len(fields) != 5:
        return None
    sm, memory, temperature, power = (_number(field) for field in fields[:4])
    causes = int(fields[4], 16) if fields[4].startswith("0x") else 0
    return State(_rounded(sm), _rounded(memory), _rounded(temperature), power, slowed_by(causes))


def slowed_by(bits: int) -> list[str]:
    """Return what slows a GPU down, of NVML's bits.

    Example
    -------
    >>> slowed_by(0x1), slowed_by(0x24)
    ([], ['its power limit', 'its heat'])
    """
    return [cause for bit, cause in _CAUSES.items() if bits & bit]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


class Watch:
    """The state before and after, and in between the lowest clock and all that slowed the GPU down.

    Example
    -------
    >>> states = iter([State(1980, 2619, 30, 90.0, []), State(1700, 2619, 60, 700.0, ["its power limit"]),
    ...                State(1900, 2619, 61, 500.0, [])])
    >>> watch = Watch(Gpu("NVML", lambda: next(states), cheap=True))
    >>> watch.look()
    >>> found = watch.end()
    >>> found["lowest_sm_mhz"], found["slowed_by"], found["after"]["temperature"]
    (1700, ['its power limit'], 61)
    """

    def __init__(self, found: Gpu | None = None) -> None:
        self._gpu = found or gpu()
        self._seen = [self._gpu.ask()]

    def look(self) -> None:
        """Look again, if that costs nothing."""
        if self._gpu.cheap:
            self._seen.append(self._gpu.ask())

    def end(self) -> dict[str, Any]:
        """Look for the last time, and return all of it, ready for JSON."""
        self._seen.append(self._gpu.ask())
        states = [state for state in self._seen if state is not None]
        clocks = [state.sm_mhz for state in states if state.sm_mhz is not None]
        causes = dict.fromkeys(cause for state in states for cause in state.slowed_by)
        before, after = (None if state is None else state._asdict() for state in (self._seen[0], self._seen[-1]))
        return {
            "source": self._gpu.source,
            "before": before,
            "after": after,
            "lowest_sm_mhz": min(clocks, default=None),
            "slowed_by": list(causes),
        }
