"""What is to be done once a module that others may import has been imported."""

from __future__ import annotations

import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["when_loaded"]


def when_loaded(name: str, action: Callable[[], object]) -> None:
    """Call `action` now if the module `name` is there, else right after its first import."""
    if name in sys.modules:
        action()
    else:
        sys.meta_path.insert(0, _Watch(name, action))


# neither class is of `importlib.abc`, which imports the half of the standard library
class _Watch:
    """A finder that leaves the finding to the others, and puts a loader of ours around theirs."""

    def __init__(self, name: str, action: Callable[[], object]) -> None:
        self._name, self._action = name, action
        self._asking = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        # another finder of this kind asks all others, too
        if fullname != self._name or getattr(self._asking, "now", False):
            return None
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        self._asking.now = True
        try:
            spec = next(filter(None, (finder.find_spec(fullname, path, target) for finder in others)), None)
        finally:
            self._asking.now = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._done)  # type: ignore[assignment]
        return spec

    def _done(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
            self._action()


class _Loader:
    """Another loader, and what is to be done after it."""

    def __init__(self, loader: Loader, done: Callable[[], None]) -> None:
        self._loader, self._done = loader, done

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # the module and its resources know the loader that they had without us
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._done()

    def __getattr__(self, name: str) -> object:
        # of a module that is found and not loaded, others ask where its files are
        return getattr(self._loader, name)
