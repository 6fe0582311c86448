"""A CuPy that is none: it records what is compiled and launched."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

BOUND = tuple(f"multirec_backends.cupy.{module}" for module in ("_device", "_launch.with_cupy"))
"""What holds on to CuPy."""


class CompileError(Exception):
    pass


class DriverError(RuntimeError):
    pass


class FakeCupy(SimpleNamespace):
    """Device 0 is current."""

    def __init__(self) -> None:
        self.current, self.compiled, self.launched, self.log, self.count = 0, [], [], "", 1
        self.kind = CompileError
        runtime = SimpleNamespace(
            getDevice=lambda: self.current, getDeviceCount=self.device_count, CUDARuntimeError=DriverError
        )
        super().__init__(
            __version__="14.2.0",
            ndarray=type("ndarray", (), {}),
            cuda=SimpleNamespace(
                runtime=runtime,
                compiler=SimpleNamespace(CompileException=CompileError),
                Device=self.device,
                get_current_stream=lambda index: SimpleNamespace(ptr=1000 + index),
            ),
        )

    def device_count(self) -> int:
        if isinstance(self.count, Exception):
            raise self.count
        return self.count

    @contextmanager
    def device(self, index):
        before, self.current = self.current, index
        yield
        self.current = before

    def RawKernel(self, code, name, options=()):
        fake = self

        class Raw:
            @property
            def kernel(self):
                fake.compiled.append(code)
                if fake.log:
                    raise fake.kind(fake.log)

                def launch(grid, block, args, shared, stream):
                    fake.launched.append((grid, block, args[0].size, args[0].nbytes, shared, stream.ptr, fake.current))

                return launch

        return Raw()
