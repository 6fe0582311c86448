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
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
from llvmlite import ir

from multirec.backend import no_fork

from . import (
    _activated_forward,
    _activated_vjp,
    _cascade_forward,
    _cascade_vjp,
    _cascade_wave,
    _cascade_wave_vjp,
    _cell_emit,
    _fir_emit,
    _forward,
    _frames_forward,
    _frames_vjp,
    _sequence_forward,
    _sequence_vjp,
    _sweep_forward,
    _sweep_vjp,
    _vjp,
)
from ._activated_spec import ActivatedSpec
from ._cascade_spec import CascadeSpec, WaveSpec
from ._cell_spec import CellSpec
from ._frames_spec import FramesSpec
from ._headers import HEADER
from ._spec import Spec

AnySpec = Spec | CascadeSpec | WaveSpec | ActivatedSpec | FramesSpec | CellSpec
KernelFunction = Any
"""A ctypes function (arguments address, scratch address); calling it releases the GIL."""

_PROTOTYPE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_PASSES = (
    *("sroa", "simplify_cfg", "instruction_combine", "reassociate", "new_gvn"),
    *("instruction_combine", "simplify_cfg", "aggressive_dce"),
)
_ready: dict[AnySpec, KernelFunction] = {}
_engines: list[Any] = []


def compiled(spec: AnySpec) -> KernelFunction:
    """Return the machine code of `spec`, from memory, from disk, or made now."""
    function = _ready.get(spec)
    if function is not None:
        return function
    with no_fork:
        if spec not in _ready:
            _ready[spec] = _load(_object_code(spec))
        return _ready[spec]


def cache_folder() -> Path | None:
    """Return where compiled kernels are kept: NUMBA_CACHE_DIR, else XDG_CACHE_HOME, else ~/.cache."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return Path(chosen) / "multirec"
    base = os.environ.get("XDG_CACHE_HOME")
    with contextlib.suppress(RuntimeError):  # no home folder
        return (Path(base) if base else Path.home() / ".cache") / "multirec" / "numba"
    return None


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
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=3, jit=True)


@cache
def _fingerprint() -> str | None:
    """Return a hash of what kernels are made by and for; None where the source is not in files (a zip archive)."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.read_bytes())
    for part in (llvmlite.__version__, str(HEADER), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()):
        digest.update(part.encode())
    return digest.hexdigest() if sources else None


def _object_code(spec: AnySpec) -> bytes:
    folder, fingerprint = cache_folder(), _fingerprint()
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


def _build(spec: AnySpec) -> bytes:
    machine = _machine()
    module = ir.Module("multirec")
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    if isinstance(spec, WaveSpec):
        (_cascade_wave_vjp.emit_wave_vjp if spec.vjp else _cascade_wave.emit_wave)(module, "kernel", spec)
    elif isinstance(spec, CascadeSpec):
        (_cascade_vjp.emit_vjp if spec.vjp else _cascade_forward.emit_forward)(module, "kernel", spec)
    elif isinstance(spec, ActivatedSpec):
        (_activated_vjp.emit_vjp if spec.vjp else _activated_forward.emit_forward)(module, "kernel", spec)
    elif isinstance(spec, FramesSpec):
        (_frames_vjp.emit_frames_vjp if spec.vjp else _frames_forward.emit_frames)(module, "kernel", spec)
    elif isinstance(spec, CellSpec):
        _cell_emit.emit_cell(module, "kernel", spec)
    elif spec.along_time:
        _fir_emit.emit_fir(module, "kernel", spec)
    elif spec.swept:
        (_sweep_vjp.emit_vjp if spec.vjp else _sweep_forward.emit_forward)(module, "kernel", spec)
    elif spec.sequences:
        (_sequence_vjp.emit_vjp if spec.vjp else _sequence_forward.emit_forward)(module, "kernel", spec)
    else:
        (_vjp.emit_vjp if spec.vjp else _forward.emit_forward)(module, "kernel", spec)
    parsed = llvm.parse_assembly(str(module))
    # vectors and unrolling are written out by the kernels: what is left takes a quarter of what LLVM's own list takes
    passes = llvm.create_new_module_pass_manager()
    for step in _PASSES:
        getattr(passes, f"add_{step}_pass")()
    passes.run(parsed, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
    return bytes(machine.emit_object(parsed))


def _load(code: bytes) -> KernelFunction:
    _machine()
    # an engine owns its target machine, so it gets one of its own
    target = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    return _PROTOTYPE(engine.get_function_address("kernel"))
