"""Kernels of torch's launcher on disk: whatever happens to the folder costs time and nothing else."""

from __future__ import annotations

import pytest
from fake_cuda import NEEDS
from multirec_backends.cupy._launch.kernels import Kernels
from multirec_backends.cupy._launch.with_torch import TorchQueue

pytestmark = NEEDS
PARAMS = (42).to_bytes(8, "little") + bytes(24)
NAME = "carry<float,float,2,1024,false>"


def launch(queue, name=NAME):
    queue.launch(name, 7, 32, 512, PARAMS)


def kept(tmp_path):
    return sorted(path for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_a_second_process_neither_compiles_nor_loads_the_compiler(cuda, tmp_path):
    launch(TorchQueue(Kernels(cuda.toolkit), 0))
    (file,) = kept(tmp_path)
    second = Kernels(cuda.toolkit)
    launch(TorchQueue(second, 0))
    assert (cuda.compiled, cuda.loaded, second._nvrtc) == (1, 2, None)
    assert kept(tmp_path) == [file]


def test_each_kernel_device_and_compiler_has_its_own(cuda, tmp_path):
    launch(TorchQueue(Kernels(cuda.toolkit), 0))
    launch(TorchQueue(Kernels(cuda.toolkit), 0), "carry<float,float,3,1024,false>")
    launch(TorchQueue(Kernels(cuda.toolkit._replace(version=(13, 1))), 0))
    cuda.major_capability = 10
    launch(TorchQueue(Kernels(cuda.toolkit), 0))
    assert cuda.compiled == len(kept(tmp_path)) == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:20],
        lambda content: content[:-1],
        lambda content: content[:40] + bytes([content[40] ^ 1]) + content[41:],
        lambda content: bytes(len(content)),
    ],
    ids=["empty", "no checksum", "truncated", "one bit", "zeros"],
)
def test_a_damaged_file_is_made_again(cuda, tmp_path, damage):
    launch(TorchQueue(Kernels(cuda.toolkit), 0))
    (file,) = kept(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    launch(TorchQueue(Kernels(cuda.toolkit), 0))
    assert cuda.compiled == 2
    assert kept(tmp_path) == [file]
    assert file.read_bytes() == whole


@pytest.mark.parametrize("kind", ["cannot be made", "is a file", "read-only", "a folder in place", "no home"])
def test_a_folder_that_cannot_be_used_costs_time_alone(cuda, tmp_path, monkeypatch, kind):
    folder = tmp_path / "cache"
    if kind == "cannot be made":
        monkeypatch.setenv("CUPY_CACHE_DIR", "/proc/self/cache")
    elif kind == "is a file":
        folder.write_text("not a folder")
    elif kind == "read-only":
        (folder / "multirec").mkdir(parents=True)
        (folder / "multirec").chmod(0o500)
    elif kind == "a folder in place":
        launch(TorchQueue(Kernels(cuda.toolkit), 0))
        (file,) = kept(tmp_path)
        file.unlink()
        file.mkdir()
        cuda.compiled = 0
    else:
        for name, value in {"CUPY_CACHE_DIR": "", "XDG_CACHE_HOME": "", "HOME": "/proc/self/home"}.items():
            monkeypatch.setenv(name, value)
    launch(TorchQueue(Kernels(cuda.toolkit), 0))
    assert (cuda.compiled, cuda.last.first) == (1, 42)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_and_an_interrupt_leave_nothing(cuda, tmp_path, monkeypatch, error):
    def refuse(self, target):
        raise error

    monkeypatch.setattr("pathlib.Path.replace", refuse)
    queue = TorchQueue(Kernels(cuda.toolkit), 0)
    if isinstance(error, OSError):
        launch(queue)
    else:
        with pytest.raises(KeyboardInterrupt):
            launch(queue)
    assert kept(tmp_path) == []


def test_beside_the_other_kernels_of_multirec_unless_cupy_has_a_folder(cuda, tmp_path, monkeypatch):
    monkeypatch.setenv("CUPY_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    launch(TorchQueue(Kernels(cuda.toolkit), 0))
    (file,) = (tmp_path / "home").rglob("*.cubin")
    assert file.parent == tmp_path / "home" / "multirec" / "cuda"
