"""The CUDA source compiles, for every generation of GPU that is supported, without a GPU."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.util import find_spec

import pytest
from multirec_backends.cupy._source import OPTIONS, kernel_source, library_source

ARCHITECTURES = (75, 80, 90, 100)
NAMES = (
    "forward<float,float,float,float,2,2,false,false>",
    "backward<float,float,float,float,2,2,false,false>",
    "backward<BFloat,BFloat,float,float,1,0,false,true>",
    "forward<Half,Half,float,float,0,1,true,false>",
    "forward<float,Complex<float>,Complex<float>,float,3,1,false,false>",
    "carry<Complex<double>,Complex<double>,2,128,true>",
    "carry<float,float,2,512,false>",
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


def compile_with_nvrtc(architecture) -> str:
    # CuPy's own compile function asks a driver which GPU there is
    from cupy_backends.cuda.libs import nvrtc

    program = nvrtc.createProgram(source(), "kernels.cu", (), ())
    try:
        nvrtc.compileProgram(program, (*OPTIONS, f"--gpu-architecture=sm_{architecture}"))
    except nvrtc.NVRTCError as error:
        return f"error: {error}\n{nvrtc.getProgramLog(program)}"
    finally:
        nvrtc.destroyProgram(program)
    return ""


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compiles(architecture, tmp_path):
    nvcc = shutil.which("nvcc")
    if nvcc:
        log = compile_with_nvcc(nvcc, architecture, tmp_path)
    elif find_spec("cupy"):
        try:
            log = compile_with_nvrtc(architecture)
        except (ImportError, RuntimeError) as error:
            pytest.skip(f"nvcc is not installed, and CuPy cannot load NVRTC: {error}")
    else:
        pytest.skip("neither nvcc nor CuPy (for NVRTC) is installed, so nothing here can compile CUDA")
    assert not [line for line in log.splitlines() if "error" in line or "warning" in line], log
    if nvcc and architecture == 90:
        spilled = dict(re.findall(r"entry function 'kernel_(\d+)'.*?(\d+) bytes spill stores", log, re.DOTALL))
        assert (spilled["0"], spilled["1"]) == ("0", "0"), "the kernels of order 2 do not fit into registers"
