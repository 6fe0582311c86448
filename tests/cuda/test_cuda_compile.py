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
from multirec_backends.cupy._source import OPTIONS, kernel_source, library_source

ARCHITECTURES = (75, 80, 90, 100)
NAMES = (
    "forward<float,float,float,float,2,2,false,false,64>",
    "forward<float,float,float,float,2,2,false,false,128>",
    "backward<float,float,float,float,2,2,false,false,64,false>",
    "backward<float,float,float,float,2,2,false,false,128,false>",
    "forward<float,Complex<float>,Complex<float>,Complex<float>,4,0,false,false,64>",
    "backward<BFloat,BFloat,float,float,1,0,false,true,64,true>",
    "forward<Half,Half,float,float,0,1,true,false,64>",
    "backward<Half,Complex<float>,Complex<float>,float,1,0,false,false,64,false>",
    "carry<Complex<double>,Complex<double>,2,128,true>",
    "carry<float,float,2,1024,false>",
    "carry_varying<Complex<float>,float,true>",
    "sequential_forward<double,double,double,double>",
    "sequential_backward<Complex<double>,Complex<double>,double,Complex<double>>",
    "fold<double,float>",
    "fold<Complex<float>,BFloat>",
)


def source() -> str:
    kernels = (kernel_source(name, f"kernel_{index}") for index, name in enumerate(NAMES))
    return library_source() + "".join(kernels)


def compile_with_nvcc(nvcc, architecture, folder) -> str:
    unit = folder / "kernels.cu"
    unit.write_text(source())
    target = ("-cubin", "-Xptxas=-v", "-o", str(folder / "kernels.cubin"))
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


def compile_with_nvrtc(library, architecture) -> str:
    # with what CuPy adds to the backend's options
    options = (*OPTIONS, "-ftz=true", "--device-as-default-execution-space", f"-arch=sm_{architecture}")
    given = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    assert library.nvrtcCreateProgram(ctypes.byref(program), source().encode(), b"kernels.cu", 0, None, None) == 0
    code = library.nvrtcCompileProgram(program, len(options), given)
    assert library.nvrtcGetProgramLogSize(program, ctypes.byref(size)) == 0
    log = ctypes.create_string_buffer(size.value)
    assert library.nvrtcGetProgramLog(program, log) == 0
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return log.value.decode() + ("" if code == 0 else f"error {code}")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compiles(architecture, tmp_path):
    nvcc = shutil.which("nvcc")
    if nvcc:
        log = compile_with_nvcc(nvcc, architecture, tmp_path)
    elif library := nvrtc():
        log = compile_with_nvrtc(library, architecture)
    else:
        pytest.skip("neither nvcc nor NVRTC is installed, so nothing here can compile CUDA")
    assert not [line for line in log.splitlines() if "error" in line or "warning" in line], log
    if nvcc and architecture == 90:
        spilled = dict(re.findall(r"entry function 'kernel_(\d+)'.*?(\d+) bytes spill stores", log, re.DOTALL))
        assert {spilled[str(n)] for n in range(4)} == {"0"}, "the kernels of order 2 do not fit into registers"
        # with the registers of order 2 it would be hundreds
        assert int(spilled["4"]) <= 32, "a complex kernel of order 4 does not fit into registers"
