"""NVRTC, CUDA's compiler as a library: from source to what a device can load."""

from __future__ import annotations

from ctypes import CDLL
from typing import Any

from multirec.errors import BackendBrokenError

from .calls import calls
from .toolkit import Toolkit, builtins_of, dotted

_COMPILATION = 6
"""The status of a program that does not compile."""


class CompileError(Exception):
    """A program that does not compile; its text is the compiler's log."""


class Nvrtc:
    """One NVRTC.

    Attributes
    ----------
    version
        Of CUDA, as (13, 0).
    """

    def __init__(self, toolkit: Toolkit) -> None:
        try:
            # by its path, before anything that would look for another one; what it loads later by name lies beside it
            self._builtins = [CDLL(str(path)) for path in builtins_of(toolkit.path)]
            self._library = CDLL(str(toolkit.path))
            self._calls = calls("nvrtc", self._library, toolkit.bindings)
            self.version: tuple[int, int] = self._call("nvrtcVersion")
            self._archs: list[int] = sorted(*self._call("nvrtcGetSupportedArchs"))
        except (OSError, AttributeError) as error:
            raise BackendBrokenError(
                f"backend 'cupy': {toolkit} fails to load: {error}. Install it again, with torch."
            ) from error

    def target(self, capability: tuple[int, int]) -> str:
        """Return what to compile to: the device's own code, or, where NVRTC is older than it, PTX for the driver."""
        own = 10 * capability[0] + capability[1]
        if own in self._archs:
            return f"sm_{own}"
        older = [arch for arch in self._archs if arch < own]
        if not older:
            raise BackendBrokenError(
                f"backend 'cupy': NVRTC {dotted(self.version)} compiles for compute capability "
                f"{dotted(divmod(self._archs[0], 10))} and newer, and this GPU's is {dotted(capability)}."
            )
        return f"compute_{older[-1]}"

    def compile(self, source: str, target: str, options: tuple[str, ...]) -> bytes:
        """Return a cubin for a target "sm_…", PTX for "compute_…"; raises CompileError."""
        given = [option.encode() for option in (*options, f"--gpu-architecture={target}")]
        (program,) = self._call("nvrtcCreateProgram", source.encode(), b"multirec.cu", 0, [], [])
        try:
            status = int(self._calls.nvrtcCompileProgram(program, len(given), given)[0])
            if status == _COMPILATION:
                raise CompileError(self._text("ProgramLog", program).decode("utf-8", "replace").strip("\0\n"))
            _check("nvrtcCompileProgram", status)
            return self._text("CUBIN" if target.startswith("sm_") else "PTX", program)
        finally:
            self._calls.nvrtcDestroyProgram(program)

    def _text(self, what: str, program: Any) -> bytes:
        (size,) = self._call(f"nvrtcGet{what}Size", program)
        text = bytearray(size)
        self._call(f"nvrtcGet{what}", program, text)
        return bytes(text)

    def _call(self, name: str, *given: Any) -> Any:
        status, *found = getattr(self._calls, name)(*given)
        _check(name, int(status))
        return tuple(found)


def _check(name: str, status: int) -> None:
    if status:
        raise BackendBrokenError(f"backend 'cupy': NVRTC's {name} fails with status {status}. Report it.")
