"""What a compiler wrote: kernels for processors that are not here, and the innermost loops of their assembly."""

import re
from dataclasses import dataclass, replace

import llvmlite.binding as llvm
from multirec_backends.numba._recurrence.spec import Spec
from multirec_backends.numba._run.compile import generated

PROCESSORS = {
    "AVX2": ("x86_64-unknown-linux-gnu", "x86-64-v3"),
    "AVX2, Windows": ("x86_64-pc-windows-msvc", "x86-64-v3"),
    "Neoverse N1": ("aarch64-unknown-linux-gnu", "neoverse-n1"),
    "Apple M1": ("arm64-apple-macosx13", "apple-m1"),
    "arm64, Windows": ("aarch64-pc-windows-msvc", "cortex-a78"),
}
_STATIC = Spec(
    vjp=False, double=False, x="float32", y="float32", feedforward="float32", feedback="float32", input_order=2,
    order=2, shared=False, feedforward_varies=False, feedback_varies=False, vector_bytes=32,
)  # fmt: skip
_GATES = replace(_STATIC, feedforward=None, input_order=0, order=1, feedback_varies=True)
_BACK = {"vjp": True, "grad_x": True, "grad_feedback": True}
KERNELS = {
    "order 2 forward": _STATIC,
    "order 2 backward": replace(_STATIC, grad_feedforward=True, **_BACK),
    "gates forward": _GATES,
    "gates backward": replace(_GATES, **_BACK),
    "gates by rows forward": replace(_GATES, swept=True),
    "gates by rows backward": replace(_GATES, swept=True, **_BACK),
}
_BLOCK = re.compile(r"^(?:\.?L?(BB\d+_\d+):|\s*(?:#|//|;|##)\s*%bb\.\d+:)")


def assembly(processor: str, kernel: str) -> str:
    """Return the assembly of a kernel, with the compiler's comments about loops and registers."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    triple, name = PROCESSORS[processor]
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=name, opt=3, jit=True)
    machine.set_asm_verbosity(True)
    return machine.emit_assembly(generated(KERNELS[kernel], machine))


@dataclass
class Loop:
    """A loop of one block: its multiply-adds, how many of them are on whole vectors, and what moves to the stack."""

    multiply_adds: int
    whole: int
    moved: int


def loops(text: str) -> list[Loop]:
    """Return the innermost loops of the kernel itself that multiply and add, and have no branches inside."""
    kernel = re.split(r"^_?kernel:", text, flags=re.MULTILINE)[1]
    blocks: list[list[str]] = [[]]
    for line in kernel.splitlines():
        if re.match(r"^_?(load|store|stream|offsets|shared)_\w+:", line):
            break
        if _BLOCK.match(line):
            blocks.append([])
        blocks[-1].append(line)
    found = []
    for lines in blocks:
        text = "\n".join(lines)
        name = _BLOCK.match(lines[0]) if lines else None
        if name is None or "This Inner Loop Header" not in text or f"in Loop: Header={name[1]} " in kernel:
            continue
        adds = re.findall(r"^\t(?:vf(?:n?)m(?:add|sub)\d*[ps][sd]|fml[as](?:\.\w+)?)\s.*", text, re.MULTILINE)
        whole = [one for one in adds if re.search(r"ymm|\.4s|\.2d", one)]
        if adds:
            found.append(Loop(len(adds), len(whole), len(re.findall(r"(?:Spill|Reload)\b", text))))
    return found
