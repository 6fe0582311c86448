"""What packages register: found through entry points, and checked for what it needs without importing that."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import get_args

from .._core.problem import Family
from .._machine.threads import no_fork
from ..backend import BackendInfo

GROUP = "multirec.backends"


@dataclass(frozen=True)
class Entry:
    """One registered name: its backend, or why there is none."""

    name: str
    info: BackendInfo | None
    error: str
    distribution: str


def discover() -> dict[str, Entry]:
    """Return what the installed packages register, by name."""
    found: dict[str, Entry] = {}
    for name, points in _by_name().items():
        if len(points) > 1:
            owners = " and ".join(f"{owner} ({value})" for value, owner in sorted(points))
            found[name] = Entry(name, None, f"two plugins have this name: {owners}. Uninstall one.", owners)
            continue
        ((value, owner),) = points
        found[name] = _load(name, value, owner)
    return found


def _by_name() -> dict[str, set[tuple[str, str]]]:
    # imported here: it would be most of the time that `import multirec` takes
    import importlib.metadata

    points: dict[str, set[tuple[str, str]]] = {}
    for point in importlib.metadata.entry_points(group=GROUP):
        owner = point.dist.name if point.dist is not None else "an unknown distribution"
        points.setdefault(point.name, set()).add((point.value, owner))
    return points


def _load(name: str, value: str, owner: str) -> Entry:
    import importlib.metadata

    try:
        info = importlib.metadata.EntryPoint(name, value, GROUP).load()
    except (Exception, SystemExit) as error:
        return Entry(name, None, f"{value} fails to load: {type(error).__name__}: {error}", owner)
    if not isinstance(info, BackendInfo):
        return Entry(name, None, f"{value} is a {type(info).__name__}, not a multirec.backend.BackendInfo", owner)
    if info.name != name:
        return Entry(name, None, f"{value} calls itself {info.name!r}, its entry point {name!r}", owner)
    return Entry(name, info, "", owner)


@lru_cache(maxsize=256)
def _is_installed(module: str) -> bool:
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def version_of(module: str) -> str:
    """Return the version of the distribution that brings a module, or nothing: of cupy-cuda13x for cupy."""
    import importlib.metadata

    try:
        return importlib.metadata.version(module)
    except importlib.metadata.PackageNotFoundError:
        pass
    # reads the files of every distribution
    for distribution in importlib.metadata.packages_distributions().get(module, []):
        return importlib.metadata.version(distribution)
    return ""


@lru_cache(maxsize=256)
def _older(module: str, oldest: str) -> str:
    """Return the version of a module that is older than `oldest`, or nothing."""
    # imported here: few backends ask for it; a child must not find it half imported
    with no_fork:
        from packaging.version import InvalidVersion, Version

        version = version_of(module)
    try:
        return version if version and Version(version) < Version(oldest) else ""
    except InvalidVersion:
        # somebody's own build: it shows when it is used
        return ""


def forget_modules() -> None:
    """Forget what was installed."""
    for remembered in (_is_installed, _older, _manages):
        remembered.cache_clear()


def needs(info: BackendInfo) -> list[tuple[str, str]]:
    """Return the modules that a backend requires, each with its oldest version or nothing."""
    return [(module, oldest) for module, _, oldest in (need.partition(">=") for need in info.requires)]


def shortfall(info: BackendInfo, family: Family | None = None) -> str:
    """Say what is missing or too old for the arrays of a library, or of all libraries; or nothing."""
    missing = _missing(info)
    if missing:
        try:
            if any(_manages(info, each) for each in ((family,) if family else get_args(Family))):
                return ""
        except Exception as error:
            return f"{missing}, and whether it does without fails with {type(error).__name__}: {error}"
    return missing


@lru_cache(maxsize=256)
def _manages(info: BackendInfo, family: Family) -> bool:
    with no_fork:
        return bool(info.without(family))


def _missing(info: BackendInfo) -> str:
    for module, oldest in needs(info):
        if not _is_installed(module):
            return f"module {module!r} is not installed"
        version = _older(module, oldest) if oldest else ""
        if version:
            return f"{module} {version} is too old, it needs {oldest} or newer"
    return ""


def install_line(info: BackendInfo) -> str:
    """Say how to install what a backend needs."""
    return f"Install it with: pip install {info.install or ' '.join(module for module, _ in needs(info))}"


def lacking(info: BackendInfo, family: Family | None = None) -> str:
    """Say what is not installed for the arrays of a library, or of all, and how to install it; or nothing."""
    reason = shortfall(info, family)
    return f"{reason}. {install_line(info)}." if reason else ""
