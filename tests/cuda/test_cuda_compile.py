"""The CUDA source compiles, for every generation of GPU that is supported, without a GPU."""

from __future__ import annotations

import ctypes
import ctypes.util
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from multirec_backends.cupy._source import OPTIONS, kernel_source, library_source, whole_source

ARCHITECTURES = (75, 80, 90, 100, 120)
MAIN = (
    "tiles_forward<float,float,float,float,2,2,false,false,128>",
    "lanes_forward<float,float,float,float,4,4>",
    "channels_forward<float,float,float,float,2,2,false,false,32,true>",
    "channels_backward<float,float,float,float,2,2,false,false,16,true,false>",
    "products_forward<float,float,float,float,2>",
    "carry<float,float,2,1024,false>",
    "sequential_forward<float,float,float,float>",
    "sequences_gates_forward<float,float,float,float,false>",
    "activated_forward<float,float,Independent<TANH,1>,true,false>",
    "fold<float,float,float,float>",
)
"""One of each kind at least, for every run of the tests."""
MOST_SPILLED = {
    "lanes": 64,
    "channels_backward<float,float,float,float,2,2,false,false,16,false": 32,
    "tiles_backward<double": 32,
    "tiles_forward<float,Complex": 32,
    "sequences_gates_backward<Complex<double>": 128,
    "sequences_gates_backward<BFloat": 32,
    "activated_backward<double": 64,
}
"""Bytes, outside of loops over samples, by how names begin; the others spill nothing."""
UNUSED = "-diag-suppress=177"
"""Constants that only kernels which are not among the names use."""
NAMES = (
    "tiles_forward<float,float,float,float,2,2,false,false,64>",
    "tiles_forward<float,float,float,float,2,2,false,false,128>",
    "tiles_backward<float,float,float,float,2,2,false,false,64,false>",
    "tiles_backward<float,float,float,float,2,2,false,false,128,false>",
    "tiles_forward<float,Complex<float>,Complex<float>,Complex<float>,4,0,false,false,64>",
    "tiles_backward<BFloat,BFloat,float,float,1,0,false,true,64,true>",
    "tiles_forward<Half,Half,float,float,0,1,true,false,64>",
    "tiles_backward<Half,Complex<float>,Complex<float>,float,1,0,false,false,64,false>",
    "tiles_forward<Complex<float>,Complex<float>,Complex<float>,Complex<float>,1,0,false,false,128>",
    "tiles_backward<Half,Half,float,float,2,2,false,false,64,true>",
    "tiles_backward<double,double,double,double,2,2,false,false,64,false>",
    "lanes_forward<float,float,float,float,4,4>",
    "lanes_together<float,float,float,float,4,4>",
    "lanes_backward<float,float,float,float,16,16>",
    "lanes_trust<float,float,4>",
    "lanes_carry<Complex<double>,double,5,true>",
    "channels_forward<float,float,float,float,2,2,false,false,32,true>",
    "channels_forward<float,float,float,float,2,2,false,false,32,false>",
    "channels_forward<float,float,float,float,1,0,false,true,16,false>",
    "channels_backward<float,float,float,float,2,2,false,false,16,true,false>",
    "channels_backward<float,float,float,float,2,2,false,false,16,false,false>",
    "channels_backward<float,float,float,float,1,0,false,true,8,false,true>",
    "channels_forward<BFloat,Two<BFloat>,Two<float>,Two<float>,2,2,false,false,32,true>",
    "channels_forward<Two<Half>,Two<Half>,Two<float>,Two<float>,2,2,false,false,24,false>",
    "channels_backward<BFloat,Two<BFloat>,Two<float>,Two<float>,2,2,false,false,16,true,true>",
    "channels_backward<Two<BFloat>,Two<BFloat>,Two<float>,Two<float>,2,2,false,false,16,false,true>",
    "channels_backward<Two<Half>,Two<Half>,Two<float>,Two<float>,1,0,false,true,8,false,true>",
    "channels_forward<Half,Complex<float>,Complex<float>,float,1,2,true,false,8,false>",
    "carry<Complex<double>,Complex<double>,2,128,true>",
    "carry<float,float,2,1024,false>",
    "carry_varying<Complex<float>,float,true>",
    "products_ends<float,float,float,float,16,true>",
    "products_carry<float,float,float,float,8,false>",
    "products_forward<float,float,float,float,16>",
    "products_backward<float,float,float,float,8>",
    "products_backward<Half,Complex<float>,Complex<float>,float,2>",
    "products_forward<float,float,Framed<float>,Framed<float>,16>",
    "products_backward<float,float,Framed<float>,Framed<float>,16>",
    "products_ends<double,double,Framed<double>,Framed<double>,4,true>",
    "products_frames<float,Complex<float>,Framed<Complex<float>>,Framed<float>,2>",
    "sequential_forward<double,double,double,double>",
    "sequential_backward<Complex<double>,Complex<double>,double,Complex<double>>",
    "sequences_gates_forward<float,float,float,float,false>",
    "sequences_gates_backward<float,float,float,float,false>",
    "sequences_gates_backward<BFloat,BFloat,float,float,true>",
    "sequences_gates_backward<Complex<double>,Complex<double>,Complex<double>,Complex<double>,true>",
    "sequences_walk_forward<float,float,float,float,2,2>",
    "sequences_walk_backward<float,float,float,float,4,4>",
    "sequences_walk_backward<Half,Complex<float>,Complex<float>,float,2,2>",
    "sequences_forward<double,double,double,double>",
    "sequences_backward<Complex<double>,Complex<double>,double,Complex<double>>",
    "activated_forward<BFloat,float,Sru<TANH,1>,false,true>",
    "activated_forward<double,double,Independent<SIGMOID,32>,true,false>",
    "activated_backward<float,float,Independent<RELU,4>,false,true>",
    "activated_backward<double,double,Sru<IDENTITY,1>,true,true>",
    "activated_backward<Half,float,Envelope<1>,true,false>",
    "fold<float,float,float,float>",
    "fold<Half,Complex<float>,Complex<float>,float>",
)


def source(names: tuple[str, ...]) -> str:
    kernels = (kernel_source(name, f"kernel_{index}") for index, name in enumerate(names))
    return library_source() + "".join(kernels)


def compile_with_nvcc(nvcc, architecture, folder, text) -> str:
    unit = folder / "kernels.cu"
    unit.write_text(text)
    target = (UNUSED, "-cubin", "-Xptxas=-v", "-o", str(folder / "kernels.cubin"))
    command = [nvcc, *OPTIONS, f"-arch=sm_{architecture}", *target, str(unit)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def nvrtc() -> ctypes.CDLL | None:
    """Return the compiler of CUDA's own package or of torch's with CUDA, or one that is installed for all."""
    spec = find_spec("nvidia")
    folders = map(Path, spec.submodule_search_locations or ()) if spec else ()
    found = [str(path) for folder in folders for path in folder.glob("*/lib/libnvrtc.so.*")]
    path = next(iter(sorted(found)), ctypes.util.find_library("nvrtc"))
    for builtins in Path(path or "").parent.glob("libnvrtc-builtins.so.*"):
        ctypes.CDLL(str(builtins))
    return ctypes.CDLL(path) if path else None


def compile_with_nvrtc(library, architecture, text) -> str:
    # with what CuPy adds to the backend's options
    options = (*OPTIONS, UNUSED, "-ftz=true", "--device-as-default-execution-space", f"-arch=sm_{architecture}")
    given = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    assert library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None) == 0
    code = library.nvrtcCompileProgram(program, len(options), given)
    assert library.nvrtcGetProgramLogSize(program, ctypes.byref(size)) == 0
    log = ctypes.create_string_buffer(size.value)
    assert library.nvrtcGetProgramLog(program, log) == 0
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return log.value.decode() + ("" if code == 0 else f"error {code}")


def compiled(architecture, folder, text) -> str:
    """Compile text without an error or a warning; return what the compiler says."""
    nvcc = shutil.which("nvcc")
    if nvcc:
        log = compile_with_nvcc(nvcc, architecture, folder, text)
    elif library := nvrtc():
        log = compile_with_nvrtc(library, architecture, text)
    else:
        pytest.skip("neither nvcc nor NVRTC is installed, so nothing here can compile CUDA")
    assert not [line for line in log.splitlines() if "error" in line or "warning" in line], log
    return log


def spills(architecture, folder, names) -> dict[str, int]:
    """Compile kernels; return the bytes that each one spills, as far as nvcc says it."""
    log = compiled(architecture, folder, source(names))
    found = re.findall(r"entry function 'kernel_(\d+)'.*?(\d+) bytes spill stores", log, re.DOTALL)
    return {names[int(index)]: int(count) for index, count in found}


def too_large(spilled: dict[str, int]) -> dict[str, int]:
    """Return those that spill more than they may."""
    return {
        name: count
        for name, count in spilled.items()
        if count > next((most for start, most in MOST_SPILLED.items() if name.startswith(start)), 0)
    }


def test_the_main_kernels_compile_and_fit_into_registers(tmp_path):
    assert not too_large(spills(90, tmp_path, MAIN))


@pytest.mark.long
@pytest.mark.parametrize("name", MAIN)
def test_each_kind_has_all_that_it_needs(name, tmp_path):
    compiled(90, tmp_path, whole_source(name))


@pytest.mark.long
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compiles(architecture, tmp_path):
    spilled = spills(architecture, tmp_path, NAMES)
    assert architecture != 90 or not too_large(spilled)
