"""What each backend needs of this machine, tried out: imports its library and asks for devices."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from typing import Any, Literal

from .._core.declaration import DEVICES
from ..backend import BackendInfo, ProbingKernel, Target
from .discovery import install_line, needs, shortfall, version_of
from .registry import registry


@dataclass(frozen=True, kw_only=True)
class BackendStatus:
    """What `multirec.backends()` says of one backend after trying it on this machine.

    Attributes
    ----------
    status
        ``"ready"``, ``"missing"`` (something it needs is not here) or ``"broken"`` (it fails to load).
    reason, fix
        Why it is not ready, and what to do; empty when it is ready.
    version
        The library it computes with, and its version; or several, and for whose arrays.
    devices
        The devices it can compute on, on this machine.
    """

    name: str
    status: Literal["ready", "missing", "broken"]
    reason: str = ""
    fix: str = ""
    version: str = ""
    devices: tuple[str, ...] = ()
    summary: str = ""
    promise: str = ""
    distribution: str = ""


def backends() -> dict[str, BackendStatus]:
    """Try every registered backend on this machine and say how it fares; a broken one stops no other.

    Example
    -------
    >>> import multirec as mr
    >>> mr.backends()["reference"].status
    'ready'
    """
    return {name: status_of(name) for name in registry.names()}


def status_of(name: str) -> BackendStatus:
    """Try a backend on this machine: import it and ask for its devices."""
    entry = registry.entry(name)
    if entry.info is None:
        return BackendStatus(
            name=name,
            status="broken",
            reason=entry.error,
            fix="Uninstall or repair it.",
            distribution=entry.distribution,
        )
    info = entry.info
    about = BackendStatus(
        name=name, status="ready", summary=info.summary, promise=info.promise, distribution=entry.distribution
    )
    reason = shortfall(info)
    if reason:
        return replace(about, status="missing", reason=reason, fix=install_line(info))
    about = replace(about, version=_version(info))
    try:
        kernel = registry.kernel(info)
        found = kernel.probe() if isinstance(kernel, ProbingKernel) else None
        devices = found.devices if found else tuple(d for d in _devices(info.family) if d in info.devices)
    except _NoDriverError as error:
        fix = "Install a driver for this CUDA version, or the package for the CUDA version that the driver supports."
        return replace(about, status="missing", reason=f"no usable CUDA driver: {error}", fix=fix)
    except Exception as error:
        return replace(about, status="broken", reason=str(error), fix="Reinstall it, or report it.")
    if found:
        about = replace(about, version=found.version)
        if found.reason:
            return replace(about, status="missing", reason=found.reason, fix=found.fix)
    if not devices:
        reason = f"no device of type {', '.join(info.devices)} is usable here"
        return replace(about, status="missing", reason=reason, fix="Check the device and its driver.")
    return replace(about, devices=devices)


def _version(info: BackendInfo) -> str:
    module = needs(info)[0][0] if info.requires else "numpy"
    version = version_of(module)
    return f"{module} {version}" if version else ""


def _devices(family: Target) -> tuple[str, ...]:
    """Return the device types of a family that are usable on this machine."""
    known = DEVICES[family]
    if family == "numpy":
        return known
    if family == "torch":
        torch = importlib.import_module("torch")
        return tuple(name for name in known if name == "cpu" or _is_available(getattr(torch, name, None)))
    if family == "jax":
        jax = importlib.import_module("jax")
        platforms = {"cuda" if device.platform == "gpu" else device.platform for device in jax.devices()}
        return tuple(name for name in known if name in {"cpu", *platforms})
    return _cuda_devices(importlib.import_module("cupy"))


def _is_available(device: Any) -> bool:
    return device is not None and bool(device.is_available())


class _NoDriverError(Exception):
    """CUDA is installed, and finds no driver that it could use."""


def _cuda_devices(cupy: Any) -> tuple[str, ...]:
    try:
        return ("cuda",) if cupy.cuda.runtime.getDeviceCount() else ()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        if "cudaErrorNoDevice" in str(error):
            return ()
        raise _NoDriverError(str(error)) from error
