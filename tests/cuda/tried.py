"""Cases of kernels that are emulated on a CPU: built together, computed one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import checked
from cases.parts import Case
from emulated import SANITIZERS, EmulatedDevice, RecordingDevice, build
from multirec_backends.cupy._kernel import Kernel


class Trial(Protocol):
    """One problem with its operands."""

    def run(self, kernel: Any) -> Sequence[Any]:
        """Return all that a kernel computes."""

    def faults(self, kernel: Any) -> list[str]:
        """Return what of it is wrong."""


def device_for(made: Callable[..., Trial], cases: Sequence[Case], flags: tuple[str, ...] = ()) -> EmulatedDevice:
    """Build what cases need."""
    recording = RecordingDevice()
    for case in cases:
        made(**case).run(Kernel(recording))
    return EmulatedDevice(build(set(recording.launched), flags))


def faults_of(made: Callable[..., Trial], cases: Sequence[Case], flags: tuple[str, ...] = ()) -> list[tuple[Case, str]]:
    """Compute cases, and return what is wrong."""
    device = device_for(made, cases, flags)
    kernel, faults = Kernel(device), []
    for index, case in enumerate(cases):
        device.seed = checked.ORDERS_OF_THREADS[index % 3]
        faults += [(case, fault) for fault in made(**case).faults(kernel)]
    return faults


def report(made: Callable[..., Trial], cases: Sequence[Case]) -> None:
    """Compute cases with the sanitizers, and print what is wrong, a line each."""
    for case, fault in faults_of(made, cases, SANITIZERS):
        print(json.dumps({"name": str(case), "ok": False, "detail": fault}))
    print(json.dumps({"name": "all", "ok": True, "detail": ""}))
