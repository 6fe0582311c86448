"""Machine code that XLA calls, and that calls Python: whatever stops Python there becomes an error of XLA's.

Python handles signals as it enters a function, and may have no stack left to enter one. ctypes then returns whatever
happens to lie in memory, a stray pointer that no line of Python could have prevented. So Python writes its verdict to
where the machine code says, and where none was written the machine code makes XLA's error itself.
"""

from __future__ import annotations

import atexit
import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from ctypes import CFUNCTYPE, addressof, c_int64, c_void_p
from time import sleep
from typing import Any

import jax

from .xla_frame import CREATE_ERROR, new_error

__all__ = ["entry"]

_HANDLER = CFUNCTYPE(None, c_void_p, c_void_p)
_CODE = """
define i64 @entry(i64 %frame) {{
  %place = alloca i64
  store i64 {unwritten}, ptr %place
  %inside = inttoptr i64 {inside} to ptr
  %before = atomicrmw add ptr %inside, i64 1 seq_cst
  %at_closed = inttoptr i64 {closed} to ptr
  %closed = load atomic i64, ptr %at_closed seq_cst, align 8
  %is_closed = icmp ne i64 %closed, 0
  br i1 %is_closed, label %failed, label %open
open:
  %verdict = ptrtoint ptr %place to i64
  call void inttoptr (i64 {handler} to ptr)(i64 %frame, i64 %verdict)
  %written = load i64, ptr %place
  %is_stopped = icmp eq i64 %written, {unwritten}
  br i1 %is_stopped, label %failed, label %done
failed:
  %why = phi i64 [ {ending}, %0 ], [ {stopped}, %open ]
  %in_frame = add i64 %frame, {api}
  %at_api = inttoptr i64 %in_frame to ptr
  %api = load i64, ptr %at_api
  %in_api = add i64 %api, {create}
  %at_create = inttoptr i64 %in_api to ptr
  %create = load ptr, ptr %at_create
  %error = call i64 %create(i64 %why)
  br label %done
done:
  %answer = phi i64 [ %written, %open ], [ %error, %failed ]
  %after = atomicrmw sub ptr %inside, i64 1 seq_cst
  ret i64 %answer
}}
"""
# no object is at an odd address
_UNWRITTEN = 1


def entry(handler: Callable[[int], int]) -> int:
    """Return the address of a C function that calls `handler` with a frame's address, for its 0 or XLA's error.

    It is never freed: XLA may call it as long as the process lives. Needs llvmlite.
    """
    import llvmlite.binding as llvm

    def called(frame: int, verdict: int) -> None:
        c_void_p.from_address(verdict).value = handler(frame)

    callback, gate = _HANDLER(called), (c_int64 * 2)()
    stopped = new_error("KeyboardInterrupt, or what else Python printed as an ignored exception, stopped the call")
    ending = new_error("the interpreter ends, and no backend of NumPy can be called any more")
    for part in (callback, gate, stopped, ending):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(part))
    atexit.register(_close, gate, os.getpid())
    api, create = CREATE_ERROR
    code = _CODE.format(
        unwritten=_UNWRITTEN,
        handler=c_void_p.from_buffer(callback).value,
        api=api,
        create=create,
        stopped=addressof(stopped),
        ending=addressof(ending),
        inside=addressof(gate),
        closed=addressof(gate) + 8,
    )
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(code), machine)
    engine.finalize_object()
    address: int = engine.get_function_address("entry")
    # frees nothing as the interpreter ends
    engine.detach()
    return address


def _close(gate: Any, process: int) -> None:
    """Let what is held be computed, and no more; wait until nobody is in Python."""
    if os.getpid() != process:
        # the threads of XLA are gone in a forked child
        return
    arrays: list[Any] = jax.live_arrays()  # type: ignore[no-untyped-call]
    for array in arrays:
        with suppress(Exception):
            # errors of programs are of those who look at their results
            array.block_until_ready()
    gate[1] = 1
    while gate[0]:
        sleep(0.001)
