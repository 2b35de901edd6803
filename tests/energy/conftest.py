"""A stand-in NVML, compiled once, behind the real pynvml; and RAPL counters in a folder.

Meters get the stand-in's clock, which a test moves: no energy depends on how fast a machine is.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.energy import EnergyMeter, rapl

SOURCE = Path(__file__).with_name("standin_nvml.c")
#: The longest that a test waits for what must happen anyway.
SAFETY_S = 600.0

_ENVIRONMENT = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "LOCAL_RANK", "SLURM_LOCALID",
                "OMPI_COMM_WORLD_LOCAL_RANK")  # fmt: skip


class Standin:
    """The stand-in's synthetic GPUs, and a clock of theirs."""

    def __init__(self, lib: Any) -> None:
        self._lib = lib
        lib.standin_set.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_double]
        lib.standin_now.restype = ctypes.c_double

    def set(self, gpu: int = 0, **values: float) -> None:
        for key, value in values.items():
            if self._lib.standin_set(gpu, key.encode(), float(value)):
                raise KeyError(key)

    def now(self) -> float:
        return float(self._lib.standin_now())

    def sleep(self, seconds: float) -> None:
        """Move the clock."""
        self.set(clock=self.now() + seconds)

    def running(self) -> int:
        """How often NVML is initialised."""
        return int(self._lib.standin_running())

    @staticmethod
    def uuid(gpu: int = 0) -> str:
        return f"GPU-{0xA0 + 16 * gpu:02x}5f0000-0000-4000-8000-{gpu:012x}"

    def meter(self, **options: Any) -> EnergyMeter:
        """A meter of GPUs on the clock."""
        defaults = {"cpu": False, "patience_s": SAFETY_S, "clock": self.now, "sleep": self.sleep}
        return EnergyMeter(**{**defaults, **options})

    def elapse(self, meter: EnergyMeter, seconds: float, *, samples: int = 1) -> None:
        """Move the clock in steps, with a sample of the meter's thread after each."""
        for _ in range(samples):
            self.sleep(seconds / samples)
            meter._thread.ask(meter._thread.sample, timeout_s=SAFETY_S)


@pytest.fixture(scope="session")
def standin_folder(shared: Any) -> Path:
    """A folder for LD_LIBRARY_PATH."""
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("gcc is not here to compile the stand-in NVML")
    pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    name = "libnvidia-ml.so.1"
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-Wl,-soname,{name}"]

    def build(folder: Path) -> None:
        subprocess.run([gcc, *flags, "-o", str(folder / name), str(SOURCE), "-lm"], check=True)

    return Path(shared.folder("nvml", build))


@pytest.fixture
def standin(standin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standin]:
    """The stand-in loaded into this process, as pynvml's library; its clock shows 1000 s."""
    import pynvml

    for name in _ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    lib = ctypes.CDLL(str(standin_folder / "libnvidia-ml.so.1"))
    lib.standin_clear()
    monkeypatch.setattr(pynvml, "nvmlLib", lib)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    standin = Standin(lib)
    standin.set(clock=1000.0)
    for gpu in range(4):
        standin.set(gpu, power=100)  # from the clock's time on
    yield standin
    lib.standin_clear()


@pytest.fixture
def environment(standin_folder: Path) -> dict[str, str]:
    """Of a process that finds the stand-in as it would find a driver's library."""
    kept = {name: value for name, value in os.environ.items() if name not in _ENVIRONMENT}
    return {**kept, "LD_LIBRARY_PATH": str(standin_folder), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def clock() -> Callable[[], float]:
    """A time in s that a test moves."""

    def clock() -> float:
        return clock.now

    clock.now = 1000.0
    return clock


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
def powercap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Powercap:
    """Two packages with memory, and the zones that must not be counted."""
    for name in _ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # the lock's folder
    cap = Powercap(tmp_path / "powercap")
    monkeypatch.setattr(rapl, "POWERCAP", cap.root)
    for package in range(2):
        cap.zone(f"intel-rapl:{package}", f"package-{package}", 1_000_000 * (package + 1))
        cap.zone(f"intel-rapl:{package}:0", "core", 500_000)
        cap.zone(f"intel-rapl:{package}:1", "dram", 250_000, 65_712_999_613)
    cap.zone("intel-rapl:2", "psys", 9_000_000)
    cap.zone("intel-rapl-mmio:0", "package-0", 1_000_000)
    return cap
