"""Which backends there are: found through entry points, checked without importing, bound on first use."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Literal

from .backend import BackendInfo, ForwardKernel, no_fork
from .errors import ArgumentError, BackendBrokenError, BackendMissingError, UnknownBackendError

GROUP = "multirec.backends"


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
        The library it computes with, and its version.
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


@dataclass(frozen=True)
class _Entry:
    name: str
    info: BackendInfo | None
    error: str
    distribution: str


class Registry:
    """The one collection of backends of this process."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] | None = None
        self._added: dict[str, _Entry] = {}
        self._kernels: dict[BackendInfo, ForwardKernel] = {}

    def names(self) -> list[str]:
        """Return the registered names, sorted."""
        return sorted(self._found())

    def add(self, info: BackendInfo) -> None:
        """Register a backend for this process."""
        if not isinstance(info, BackendInfo):
            raise ArgumentError(f"register_backend needs a multirec.backend.BackendInfo, got {type(info).__name__}.")
        with no_fork:
            known = self._found().get(info.name)
            if known is not None and known.info != info:
                raise ArgumentError(
                    f"a backend named {info.name!r} is already registered by {known.distribution}. Choose another name."
                )
            self._added[info.name] = _Entry(info.name, info, "", "this process")
            self._entries = None

    def info(self, name: str) -> BackendInfo:
        """Return a backend that is registered, loads, and has what it needs installed; or raise."""
        entry = self._entry(name)
        if entry.info is None:
            raise BackendBrokenError(
                f"backend {name!r} is registered by {entry.distribution} but is broken: {entry.error}"
            )
        missing = lacking(entry.info)
        if missing:
            raise BackendMissingError(f"backend {name!r} is registered but cannot run here: {missing}")
        return entry.info

    def installed(self) -> Iterable[tuple[str, BackendInfo | None, str]]:
        """Yield (name, info or None, why not) of every backend, without importing any."""
        for name in self.names():
            entry = self._found()[name]
            if entry.info is None:
                yield name, None, f"broken: {entry.error}"
                continue
            missing = lacking(entry.info)
            yield name, None if missing else entry.info, missing

    def kernel(self, info: BackendInfo) -> ForwardKernel:
        """Import and return a backend's kernel; remembered."""
        found = self._kernels.get(info)
        if found is None:
            with no_fork:
                found = self._kernels[info] = self._import_kernel(info)
        return found

    @staticmethod
    def _import_kernel(info: BackendInfo) -> ForwardKernel:
        module, _, attribute = info.kernel.partition(":")
        try:
            kernel = getattr(importlib.import_module(module), attribute)
        except Exception as error:
            raise BackendBrokenError(
                f"backend {info.name!r} is installed but fails to load {info.kernel}: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(kernel, ForwardKernel):
            raise BackendBrokenError(
                f"backend {info.name!r}: {info.kernel} has no method forward(problem, operands, allocate)."
            )
        return kernel

    def status(self, name: str) -> BackendStatus:
        """Try a backend on this machine: import it and ask for its devices."""
        entry = self._entry(name)
        if entry.info is None:
            return BackendStatus(
                name=name,
                status="broken",
                reason=entry.error,
                fix="Uninstall or mend it.",
                distribution=entry.distribution,
            )
        info = entry.info
        about = BackendStatus(
            name=name, status="ready", summary=info.summary, promise=info.promise, distribution=entry.distribution
        )
        reason = _shortfall(info)
        if reason:
            return replace(about, status="missing", reason=reason, fix=_install(info))
        about = replace(about, version=_version(info))
        try:
            self.kernel(info)
            devices = tuple(d for d in _devices(info.family) if d in info.devices)
        except _NoDriverError as error:
            fix = (
                "Install a driver for this CUDA version, or the package for the CUDA version that the driver supports."
            )
            return replace(about, status="missing", reason=f"no usable CUDA driver: {error}", fix=fix)
        except Exception as error:
            return replace(about, status="broken", reason=str(error), fix="Reinstall it, or report it.")
        if not devices:
            reason = f"no device of type {', '.join(info.devices)} is usable here"
            return replace(about, status="missing", reason=reason, fix="Check the device and its driver.")
        return replace(about, devices=devices)

    def _entry(self, name: str) -> _Entry:
        if not isinstance(name, str):
            raise ArgumentError(f"backend is a name such as 'auto' or 'numba', got {name!r}.")
        found = self._found()
        if name not in found:
            # imported here as importlib.metadata below: they would be most of the time that `import multirec` takes
            from difflib import get_close_matches

            close = get_close_matches(name, [*found, "auto"], n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise UnknownBackendError(f"no backend named {name!r}.{hint} Registered: {', '.join(sorted(found))}.")
        return found[name]

    def _found(self) -> dict[str, _Entry]:
        if self._entries is None:
            with no_fork:
                self._entries = {**_discover(), **self._added}
        return self._entries


def _discover() -> dict[str, _Entry]:
    found: dict[str, _Entry] = {}
    for name, points in _by_name().items():
        if len(points) > 1:
            owners = " and ".join(f"{owner} ({value})" for value, owner in sorted(points))
            found[name] = _Entry(name, None, f"two plugins have this name: {owners}. Uninstall one.", owners)
            continue
        ((value, owner),) = points
        found[name] = _load(name, value, owner)
    return found


def _by_name() -> dict[str, set[tuple[str, str]]]:
    import importlib.metadata

    points: dict[str, set[tuple[str, str]]] = {}
    for point in importlib.metadata.entry_points(group=GROUP):
        owner = point.dist.name if point.dist is not None else "an unknown distribution"
        points.setdefault(point.name, set()).add((point.value, owner))
    return points


def _load(name: str, value: str, owner: str) -> _Entry:
    import importlib.metadata

    try:
        info = importlib.metadata.EntryPoint(name, value, GROUP).load()
    except Exception as error:
        return _Entry(name, None, f"{value} fails to load: {type(error).__name__}: {error}", owner)
    if not isinstance(info, BackendInfo):
        return _Entry(name, None, f"{value} is a {type(info).__name__}, not a multirec.backend.BackendInfo", owner)
    if info.name != name:
        return _Entry(name, None, f"{value} calls itself {info.name!r}, its entry point {name!r}", owner)
    return _Entry(name, info, "", owner)


@lru_cache(maxsize=256)
def _is_installed(module: str) -> bool:
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


@lru_cache(maxsize=256)
def _older(module: str, oldest: str) -> str:
    """Return the version of a module that is older than `oldest`, or nothing."""
    import importlib.metadata

    try:
        version = importlib.metadata.version(module)
    except importlib.metadata.PackageNotFoundError:
        return ""
    found, needed = ([int(part) for part in re.findall(r"\d+", text)] for text in (version, oldest))
    return version if found < needed else ""


def _needs(info: BackendInfo) -> list[tuple[str, str]]:
    """Return the modules that a backend requires, each with its oldest version or nothing."""
    return [(module, oldest) for module, _, oldest in (need.partition(">=") for need in info.requires)]


def _shortfall(info: BackendInfo) -> str:
    """Say what is missing or too old, or nothing."""
    for module, oldest in _needs(info):
        if not _is_installed(module):
            return f"module {module!r} is not installed"
        version = _older(module, oldest) if oldest else ""
        if version:
            return f"{module} {version} is too old, it needs {oldest} or newer"
    return ""


def _install(info: BackendInfo) -> str:
    return f"Install it with: pip install {info.install or ' '.join(module for module, _ in _needs(info))}"


def lacking(info: BackendInfo) -> str:
    """Say what is not installed and how to install it; empty if nothing is lacking."""
    reason = _shortfall(info)
    return f"{reason}. {_install(info)}." if reason else ""


def _version(info: BackendInfo) -> str:
    import importlib.metadata

    module = _needs(info)[0][0] if info.requires else "numpy"
    owners = importlib.metadata.packages_distributions().get(module, [module])
    try:
        return f"{module} {importlib.metadata.version(owners[0])}"
    except importlib.metadata.PackageNotFoundError:
        return ""


def _devices(family: str) -> tuple[str, ...]:
    if family == "numpy":
        return ("cpu",)
    if family == "torch":
        torch = importlib.import_module("torch")
        others = [
            name
            for name in ("cuda", "mps", "xpu")
            if getattr(torch, name, None) and getattr(torch, name).is_available()
        ]
        return ("cpu", *others)
    if family == "jax":
        platforms = {device.platform for device in importlib.import_module("jax").devices()}
        return ("cpu", *(["cuda"] if platforms & {"gpu", "cuda"} else []))
    return _cuda_devices(importlib.import_module("cupy"))


class _NoDriverError(Exception):
    """CUDA is installed, and finds no driver that it could use."""


def _cuda_devices(cupy: Any) -> tuple[str, ...]:
    try:
        return ("cuda",) if cupy.cuda.runtime.getDeviceCount() else ()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        if "cudaErrorNoDevice" in str(error):
            return ()
        raise _NoDriverError(str(error)) from error


registry = Registry()


def register_backend(info: BackendInfo) -> None:
    """Register a backend for this process, under `info.name`.

    Packages use the entry-point group ``multirec.backends`` instead.

    Raises
    ------
    ArgumentError
        Another backend has that name.
    """
    from ._select import forget_plans

    registry.add(info)
    forget_plans()


def backends() -> dict[str, BackendStatus]:
    """Try every registered backend on this machine and say how it fares; a broken one stops no other.

    Example
    -------
    >>> import multirec as mr
    >>> mr.backends()["reference"].status
    'ready'
    """
    return {name: registry.status(name) for name in registry.names()}
