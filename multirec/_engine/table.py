"""What is worked out once for a key and looked up at each call: bounded, for any number of threads, never stale."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from .._machine.threads import no_fork
from .._registry.registry import registry

__all__ = ["Table"]

_LIMIT = 1024
_Value = TypeVar("_Value")


class Table(Generic[_Value]):
    """Values by key; the oldest makes room for the newest, and all are forgotten when the set of backends changes."""

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit, self._age = limit, 0
        self._values: dict[Hashable, _Value] = {}
        self.get = self._values.get
        registry.watchers.append(self.forget)

    def find(self, key: Hashable, work_out: Callable[[], _Value]) -> _Value:
        """Return the value of a key, worked out if it is not known."""
        value = self.get(key)
        if value is not None:
            return value
        age = self._age
        value = work_out()
        with no_fork:
            # what was worked out while backends changed may be of one that is gone
            if age == self._age:
                if len(self._values) >= self._limit:
                    del self._values[next(iter(self._values))]
                self._values[key] = value
        return value

    def forget(self) -> None:
        """Forget everything."""
        with no_fork:
            self._age += 1
            self._values.clear()

    def __len__(self) -> int:
        return len(self._values)
