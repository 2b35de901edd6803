"""A stand-in NVML, compiled here, behind the real pynvml; and RAPL counters in a folder."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).with_name("standin_nvml.c")


class Standin:
    """Steers the stand-in's synthetic GPUs."""

    def __init__(self, lib: Any) -> None:
        self._lib = lib
        lib.standin_set.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_double]
        lib.standin_origin.restype = lib.standin_now.restype = ctypes.c_double
        lib.standin_queries.restype = ctypes.c_long

    def set(self, gpu: int = 0, **values: float) -> None:
        for key, value in values.items():
            if self._lib.standin_set(gpu, key.encode(), float(value)):
                raise KeyError(key)

    def origin(self, gpu: int = 0) -> float:
        """Time at which the sine began."""
        return float(self._lib.standin_origin(gpu))

    def now(self) -> float:
        """Its clock, s."""
        return float(self._lib.standin_now())

    def queries(self) -> int:
        return int(self._lib.standin_queries())

    def running(self) -> int:
        """How often NVML is initialised."""
        return int(self._lib.standin_running())

    @staticmethod
    def uuid(gpu: int = 0) -> str:
        return f"GPU-{0xA0 + 16 * gpu:02x}5f0000-0000-4000-8000-{gpu:012x}"


@pytest.fixture(scope="session")
def standin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for LD_LIBRARY_PATH."""
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("gcc is not here to compile the stand-in NVML")
    pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    folder = tmp_path_factory.mktemp("nvml")
    name = "libnvidia-ml.so.1"
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-Wl,-soname,{name}"]
    subprocess.run([gcc, *flags, "-o", str(folder / name), str(SOURCE), "-lm"], check=True)
    return folder


@pytest.fixture
def standin(standin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standin]:
    """The stand-in loaded into this process, as pynvml's library."""
    import pynvml

    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "LOCAL_RANK", "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)
    lib = ctypes.CDLL(str(standin_folder / "libnvidia-ml.so.1"))
    lib.standin_clear()
    monkeypatch.setattr(pynvml, "nvmlLib", lib)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    yield Standin(lib)
    lib.standin_clear()


class Powercap:
    """RAPL counters as Linux lays them out, in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def zone(self, name: str, label: str, energy_uj: int, wrap_uj: int = 262_143_328_850) -> Path:
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "name").write_text(label + "\n")
        (folder / "max_energy_range_uj").write_text(f"{wrap_uj}\n")
        self.put(name, energy_uj)
        return folder

    def put(self, name: str, energy_uj: int) -> None:
        # In one step, as the kernel's files change: a reader never meets an empty one.
        fresh = self.root / f".{name}"
        fresh.write_text(f"{energy_uj}\n")
        fresh.replace(self.root / name / "energy_uj")


@pytest.fixture
def powercap(tmp_path: Path) -> Powercap:
    """Two packages with memory, and the zones that must not be counted."""
    cap = Powercap(tmp_path / "powercap")
    for package in range(2):
        cap.zone(f"intel-rapl:{package}", f"package-{package}", 1_000_000 * (package + 1))
        cap.zone(f"intel-rapl:{package}:0", "core", 500_000)
        cap.zone(f"intel-rapl:{package}:1", "dram", 250_000, 65_712_999_613)
    cap.zone("intel-rapl:2", "psys", 9_000_000)
    cap.zone("intel-rapl-mmio:0", "package-0", 1_000_000)
    return cap
