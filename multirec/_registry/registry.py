"""The backends of this process: those that packages register and those added by hand, bound on first use."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable

from ..backend import BackendInfo, Family, ForwardKernel, no_fork
from ..errors import ArgumentError, BackendBrokenError, BackendMissingError, UnknownBackendError
from .discovery import Entry, discover, forget_modules, lacking

_HERE = "this process"
RECORD = "MULTIREC_RECORD"
"""The variable that names the folder for counts of calls, in a process that `multirec bench record` started."""


class Registry:
    """The one collection of backends of this process.

    Attributes
    ----------
    watchers
        Called without arguments whenever the set of backends has changed.
    """

    def __init__(self) -> None:
        self.watchers: list[Callable[[], None]] = []
        self._entries: dict[str, Entry] | None = None
        self._added: dict[str, Entry] = {}
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
            self._added[info.name] = Entry(info.name, info, "", _HERE)
            self._changed()

    def remove(self, name: str) -> None:
        """Take back a backend that `add` registered."""
        entry = self.entry(name)
        with no_fork:
            if self._added.pop(name, None) is None:
                raise ArgumentError(
                    f"backend {name!r} is registered by the package {entry.distribution}, not by register_backend. "
                    "Uninstall that package to be without it."
                )
            if entry.info is not None:
                self._kernels.pop(entry.info, None)
            self._changed()

    def look_again(self) -> None:
        """Forget what packages were found and loaded, so that those installed since then are found, too."""
        with no_fork:
            forget_modules()
            self._kernels.clear()
            self._changed()

    def _changed(self) -> None:
        self._entries = None
        for watcher in self.watchers:
            watcher()

    def info(self, name: str, family: Family | None = None) -> BackendInfo:
        """Return a backend that is registered, loads, and has installed what it needs for a library's arrays; or raise.

        Without a library it is enough if the arrays of one can be computed.
        """
        entry = self.entry(name)
        if entry.info is None:
            raise BackendBrokenError(
                f"backend {name!r} is registered by {entry.distribution} but is broken: {entry.error}"
            )
        missing = lacking(entry.info, family)
        if missing:
            raise BackendMissingError(f"backend {name!r} is registered but cannot run here: {missing}")
        return entry.info

    def installed(self, family: Family | None = None) -> Iterable[tuple[str, BackendInfo | None, str]]:
        """Yield (name, info or None, why not) of every backend, for a library's arrays, without importing any."""
        for name in self.names():
            entry = self._found()[name]
            if entry.info is None:
                yield name, None, f"broken: {entry.error}"
                continue
            missing = lacking(entry.info, family)
            yield name, None if missing else entry.info, missing

    def kernel(self, info: BackendInfo) -> ForwardKernel:
        """Import and return a backend's kernel; remembered."""
        found = self._kernels.get(info)
        if found is None:
            with no_fork:
                found = self._kernels[info] = self._loaded(info)
        return found

    def _loaded(self, info: BackendInfo) -> ForwardKernel:
        kernel, folder = self._import_kernel(info), os.environ.get(RECORD)
        if folder is None:
            return kernel
        from .recorded import watched

        return watched(info, kernel, folder)

    @staticmethod
    def _import_kernel(info: BackendInfo) -> ForwardKernel:
        module, _, attribute = info.kernel.partition(":")
        try:
            kernel = getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as error:
            raise BackendBrokenError(
                f"backend {info.name!r} is installed but fails to load {info.kernel}: {type(error).__name__}: {error}"
            ) from error
        if isinstance(kernel, type):
            raise BackendBrokenError(f"backend {info.name!r}: {info.kernel} is a class. Name an object of that class.")
        if not isinstance(kernel, ForwardKernel):
            raise BackendBrokenError(
                f"backend {info.name!r}: {info.kernel} has no method forward(problem, operands, allocate)."
            )
        return kernel

    def entry(self, name: str) -> Entry:
        """Return what is registered under a name, or raise."""
        if not isinstance(name, str):
            raise ArgumentError(f"backend is a name such as 'auto' or 'numba', got {name!r}.")
        found = self._found()
        if name not in found:
            # imported here: it takes longer than all of `import multirec` should
            from difflib import get_close_matches

            close = get_close_matches(name, [*found, "auto"], n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise UnknownBackendError(f"no backend named {name!r}.{hint} Registered: {', '.join(sorted(found))}.")
        return found[name]

    def _found(self) -> dict[str, Entry]:
        if self._entries is None:
            with no_fork:
                self._entries = {**discover(), **self._added}
        return self._entries


registry = Registry()


def register_backend(info: BackendInfo) -> None:
    """Register a backend for this process, under `info.name`.

    Packages use the entry-point group ``multirec.backends`` instead.

    Raises
    ------
    ArgumentError
        Another backend has that name.
    """
    registry.add(info)


def unregister_backend(name: str) -> None:
    """Take back what `register_backend` registered under `name`.

    Raises
    ------
    UnknownBackendError
        No backend has that name.
    ArgumentError
        The backend is a package's.

    Example
    -------
    >>> import multirec as mr
    >>> from multirec.backend import BackendInfo
    >>> info = BackendInfo(name="mine", summary="an example", kernel="multirec.reference:kernel", family="numpy")
    >>> mr.register_backend(info)
    >>> mr.unregister_backend("mine")
    >>> "mine" in mr.backends()
    False
    """
    registry.remove(name)
