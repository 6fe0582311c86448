"""From a specialisation to machine code: generate, optimise for this processor, keep on disk.

The file name is a hash of the specialisation, of this package's source, of the compiler's version
and of the processor, so an edit or another machine never meets old code. A cache that cannot be read or
written, or whose files are damaged, costs the time of compiling again and nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import llvmlite
import llvmlite.binding as llvm
from llvmlite import ir

from multirec.backend import cache_folder, no_fork

from .._code.headers import HEADER

KernelFunction = Any
"""A ctypes function (arguments address, scratch address); calling it releases the GIL."""


class Spec(Protocol):
    """What a kernel is specialised for: frozen, and the same whenever its fields are."""

    def __hash__(self) -> int: ...

    @property
    def emitter(self) -> str:
        """The module, from this package on, whose `emit` writes the kernel into a module of LLVM."""


_PACKAGE = __package__.rpartition(".")[0]
_PROTOTYPE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_PASSES = (
    *("sroa", "simplify_cfg", "instruction_combine", "reassociate", "new_gvn"),
    *("instruction_combine", "simplify_cfg", "aggressive_dce"),
)
_ready: dict[Spec, KernelFunction] = {}
_engines: list[Any] = []


def compiled(spec: Spec) -> KernelFunction:
    """Return the machine code of `spec`, from memory, from disk, or made now."""
    function = _ready.get(spec)
    if function is not None:
        return function
    with no_fork:
        if spec not in _ready:
            _ready[spec] = _load(_object_code(spec))
        return _ready[spec]


@cache
def vector_bytes() -> int:
    """Return the bytes of one vector register of this processor, or of two where they are short."""
    with no_fork:
        return 64 if llvm.get_host_cpu_features().get("avx512f") else 32


@cache
def _machine() -> Any:
    with contextlib.suppress(RuntimeError):  # newer versions do this on import, and say so by raising
        llvm.initialize()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=3, jit=True)


@cache
def _fingerprint() -> str | None:
    """Return a hash of what kernels are made by and for; None where the source is not in files (a zip archive)."""
    sources = sorted(Path(__file__).parents[1].rglob("*.py"))
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.read_bytes())
    for part in (llvmlite.__version__, str(HEADER), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()):
        digest.update(part.encode())
    return digest.hexdigest() if sources else None


def _object_code(spec: Spec) -> bytes:
    folder, fingerprint = cache_folder("NUMBA_CACHE_DIR", "numba"), _fingerprint()
    if folder is None or fingerprint is None:
        return _build(spec)
    path = folder / f"{hashlib.sha256(f'{spec}{fingerprint}'.encode()).hexdigest()[:40]}.o"
    code = _read(path)
    if code is None:
        code = _build(spec)
        _write(path, code)
    return code


def _read(path: Path) -> bytes | None:
    with contextlib.suppress(OSError):
        content = path.read_bytes()
        digest, code = content[:32], content[32:]
        if hashlib.sha256(code).digest() == digest:
            return code
    return None


def _write(path: Path, code: bytes) -> None:
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # written aside and renamed, so that no other process ever reads half a file
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(code).digest() + code)
            Path(temporary).replace(path)
        except BaseException:  # an interrupt too leaves nothing behind
            Path(temporary).unlink(missing_ok=True)
            raise


def _build(spec: Spec) -> bytes:
    machine = _machine()
    return bytes(machine.emit_object(generated(spec, machine, _converts_half())))


def _converts_half() -> bool:
    """Say whether this processor converts float16, as all do but old ones and emulated ones of x86-64."""
    return not llvm.get_process_triple().startswith("x86_64") or bool(llvm.get_host_cpu_features().get("f16c"))


def generated(spec: Spec, machine: Any, converts_half: bool = True) -> Any:
    """Return the module of a kernel, optimised for a target machine, which may be another than this one."""
    module = ir.Module("multirec")
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    # where the processor does not, LLVM would call functions that are nowhere: see `_code.half`
    module.converts_half = converts_half
    import_module(f"{_PACKAGE}.{spec.emitter}").emit(module, "kernel", spec)
    parsed = llvm.parse_assembly(str(module))
    # vectors and unrolling are written out by the kernels: the rest of LLVM's own list costs time and finds nothing
    passes = llvm.create_new_module_pass_manager()
    for step in _PASSES:
        getattr(passes, f"add_{step}_pass")()
    passes.run(parsed, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
    return parsed


def _load(code: bytes) -> KernelFunction:
    _machine()
    # an engine owns its target machine, so it gets one of its own
    target = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    return _PROTOTYPE(engine.get_function_address("kernel"))
