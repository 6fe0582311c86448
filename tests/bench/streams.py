"""A device whose work takes as long as it is told to, on streams that do not wait for each other."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any


class Device:
    """Streams and events, on a clock that stands still but for what is told; or on another one, with its sleep."""

    def __init__(self, clock: Callable[[], float] | None = None, sleep: Callable[[float], None] | None = None) -> None:
        self.now = 0.0
        self.clock = clock or (lambda: self.now)
        self.sleep = sleep or self.passes
        self.streams: list[Stream] = []
        self.current = self.stream()

    def passes(self, seconds: float) -> None:
        """The host is busy."""
        self.now += seconds

    def stream(self, *_: Any, **__: Any) -> Stream:
        """Return a new stream."""
        self.streams.append(Stream(self))
        return self.streams[-1]

    def queue(self, seconds: float) -> None:
        """Give work to the current stream; the host goes on."""
        self.current.until = max(self.clock(), self.current.until) + seconds

    def call(self, host: float, seconds: float) -> None:
        """Work for the host, and then for the device."""
        self.passes(host)
        self.queue(seconds)

    def memory(self, seconds: float) -> Any:
        """Return memory that takes so long to fill."""
        return SimpleNamespace(zero_=lambda: self.queue(seconds))

    def wait(self, until: float) -> None:
        """The host waits."""
        if until > self.clock():
            self.sleep(until - self.clock())

    def synchronize(self, *_: Any) -> None:
        """Wait for all streams."""
        self.wait(max(stream.until for stream in self.streams))

    def torch_names(self) -> dict[str, Any]:
        """Return what torch.cuda calls all this."""
        return {
            "Event": lambda enable_timing=False: Event(self),
            "Stream": self.stream,
            "stream": lambda stream: stream,
            "current_stream": lambda index=0: self.current,
            "synchronize": self.synchronize,
            "get_device_properties": lambda index: SimpleNamespace(L2_cache_size=1 << 12),
        }


class Stream:
    """Work that is done one after the other, until a moment; inside of it, it is the current one."""

    id = ptr = cuda_stream = 0

    def __init__(self, device: Device) -> None:
        self.device, self.until = device, 0.0
        self._before: list[Stream] = []

    def __enter__(self) -> Stream:
        self._before.append(self.device.current)
        self.device.current = self
        return self

    def __exit__(self, *_: Any) -> None:
        self.device.current = self._before.pop()

    def synchronize(self) -> None:
        self.device.wait(self.until)

    def wait_stream(self, other: Stream) -> None:
        self.until = max(self.until, other.until)


class Event:
    """The moment at which the current stream has done what it was given so far."""

    def __init__(self, device: Device) -> None:
        self.device, self.at = device, 0.0

    def record(self) -> None:
        self.at = max(self.device.clock(), self.device.current.until)

    def elapsed_time(self, other: Event) -> float:
        return 1e3 * (other.at - self.at)
