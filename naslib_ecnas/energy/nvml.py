"""NVIDIA's management library through `pynvml`, which only this file imports, and lazily.

Every error of the library becomes a typed fault; every answer has its unit in its name; the bit
patterns that stand for "not available" become faults as well, never numbers.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from naslib_ecnas.energy.faults import (
    Denied,
    GpuLost,
    MeterError,
    NotANumber,
    NvmlUnavailable,
    QueryFailed,
    UnknownDevice,
    Unsupported,
)
from naslib_ecnas.energy.reading import GpuProcess, GpuState
from naslib_ecnas.errors import MissingDependencyError

__all__ = ["Gpu", "Nvml"]

_T = TypeVar("_T")
_POWER_INSTANT = 186  # NVML_FI_DEV_POWER_INSTANT of nvml.h
_NO_VALUE_32, _NO_VALUE_64 = 2**32 - 1, 2**64 - 1  # NVML_VALUE_NOT_AVAILABLE: -1 in either width
_ABSENT = {
    "NVML_ERROR_UNINITIALIZED",
    "NVML_ERROR_DRIVER_NOT_LOADED",
    "NVML_ERROR_LIBRARY_NOT_FOUND",
    "NVML_ERROR_LIB_RM_VERSION_MISMATCH",
}
_UNSUPPORTED = {
    "NVML_ERROR_NOT_SUPPORTED",
    "NVML_ERROR_FUNCTION_NOT_FOUND",
    "NVML_ERROR_INVALID_ARGUMENT",
    "NVML_ERROR_ARGUMENT_VERSION_MISMATCH",
    "NVML_ERROR_DEPRECATED",
}
_LOST = {"NVML_ERROR_GPU_IS_LOST", "NVML_ERROR_RESET_REQUIRED", "NVML_ERROR_GPU_NOT_FOUND"}


@dataclass(frozen=True)
class Gpu:
    """A GPU that NVML knows."""

    uuid: str
    name: str
    index: int
    """NVML's number: the order on the PCI bus."""
    mig: bool
    """Whether it is divided into MIG instances."""
    handle: Any = field(repr=False, compare=False, default=None)


class Nvml:
    """An initialised NVML; close it when done.

    Raises:
        MissingDependencyError: `nvidia-ml-py` is not installed.
        NvmlUnavailable: there is no NVIDIA library or driver.
    """

    def __init__(self) -> None:
        try:
            self._lib = importlib.import_module("pynvml")
        except ImportError as error:
            raise MissingDependencyError(
                "nvidia-ml-py", feature="measuring the energy of a GPU", extra="measure"
            ) from error
        self._codes = {
            value: name
            for name, value in vars(self._lib).items()
            if name.startswith("NVML_ERROR_") and isinstance(value, int)
        }
        self._call(lambda: self._lib.nvmlInitWithFlags(0), "NVML itself")
        self._closed = False

    def close(self) -> None:
        """Let NVML go; a second call does nothing."""
        if not self._closed:
            self._closed = True
            try:
                self._lib.nvmlShutdown()
            except self._lib.NVMLError:
                return  # a driver that is gone cannot be let go of either

    def gpus(self) -> tuple[Gpu, ...]:
        """All GPUs that this process may see, in NVML's order.

        A GPU that is lost keeps its number but is left out.
        """
        found = []
        for index in range(int(self._call(self._lib.nvmlDeviceGetCount, "the number of GPUs"))):
            try:
                found.append(self._gpu(index))
            except GpuLost:
                continue
        return tuple(found)

    def _gpu(self, index: int) -> Gpu:
        handle = self._call(lambda: self._lib.nvmlDeviceGetHandleByIndex(index), "the GPU")
        return Gpu(
            uuid=self._call(lambda: self._lib.nvmlDeviceGetUUID(handle), "the UUID"),
            name=self._call(lambda: self._lib.nvmlDeviceGetName(handle), "the name"),
            index=index,
            mig=self._mig(handle),
            handle=handle,
        )

    def _mig(self, handle: Any) -> bool:
        try:
            mode = self._call(lambda: self._lib.nvmlDeviceGetMigMode(handle), "the MIG mode")
        except Unsupported:  # most GPUs cannot be divided
            return False
        return bool(mode[0])

    def parent_of_mig(self, uuid: str) -> str:
        """UUID of the GPU that a MIG instance, given by its own UUID, is a part of.

        Raises:
            UnknownDevice: there is no such instance.
        """
        lib = self._lib
        try:
            handle = lib.nvmlDeviceGetHandleByUUID(uuid)
            parent = lib.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
            return str(lib.nvmlDeviceGetUUID(parent))
        except lib.NVMLError as error:
            raise UnknownDevice(
                f"no such MIG instance ({error})",
                value=uuid,
                expected="one that `nvidia-smi -L` lists",
            ) from error

    def total_energy_j(self, gpu: Gpu) -> float:
        """Energy since the driver was loaded, in J."""
        query = self._lib.nvmlDeviceGetTotalEnergyConsumption
        return self._number(query, gpu, no_value=_NO_VALUE_64) / 1e3

    def instant_power_w(self, gpu: Gpu) -> float:
        """Power of this moment, in W."""
        lib = self._lib

        def ask(handle: Any) -> int:
            answer = lib.nvmlDeviceGetFieldValues(handle, [_POWER_INSTANT])[0]
            if answer.nvmlReturn != lib.NVML_SUCCESS:
                raise lib.NVMLError(answer.nvmlReturn)
            return int(answer.value.uiVal)

        return self._number(ask, gpu) / 1e3

    def average_power_w(self, gpu: Gpu) -> float:
        """Power in W, averaged over a second on Ampere and newer."""
        return self._number(self._lib.nvmlDeviceGetPowerUsage, gpu) / 1e3

    def state(self, gpu: Gpu) -> GpuState:
        """Power, temperature, clocks, limit, throttling and the processes of others.

        What cannot be had is NaN or None and named; nothing raises.
        """
        lib, missing = self._lib, []

        def ask(name: str, query: Callable[[Any], int], scale: float = 1.0) -> float:
            try:
                return self._number(query, gpu) * scale
            except MeterError:
                missing.append(name)
                return float("nan")

        def power() -> float:
            for query in (self.instant_power_w, self.average_power_w):
                try:
                    return query(gpu)
                except MeterError:
                    continue
            missing.append("power_w")
            return float("nan")

        # These two were renamed: old drivers know the old name alone, new bindings will drop it.
        reasons = getattr(lib, "nvmlDeviceGetCurrentClocksThrottleReasons", None) or (
            lib.nvmlDeviceGetCurrentClocksEventReasons
        )
        temperature = getattr(lib, "nvmlDeviceGetTemperature", None) or (
            lib.nvmlDeviceGetTemperatureV
        )
        throttle: tuple[str, ...] | None
        others: tuple[GpuProcess, ...] | None
        try:
            throttle = _throttle_names(int(self._call(lambda: reasons(gpu.handle), "throttling")))
        except MeterError:
            throttle = None
            missing.append("throttle_reasons")
        try:
            others = self.others(gpu)
        except MeterError:
            others = None
            missing.append("others")
        return GpuState(
            power_w=power(),
            temperature_c=ask(
                "temperature_c",
                lambda h: temperature(h, lib.NVML_TEMPERATURE_GPU),
            ),
            sm_clock_mhz=ask(
                "sm_clock_mhz", lambda h: lib.nvmlDeviceGetClockInfo(h, lib.NVML_CLOCK_SM)
            ),
            memory_clock_mhz=ask(
                "memory_clock_mhz", lambda h: lib.nvmlDeviceGetClockInfo(h, lib.NVML_CLOCK_MEM)
            ),
            power_limit_w=ask("power_limit_w", lib.nvmlDeviceGetEnforcedPowerLimit, 1e-3),
            throttle_reasons=throttle,
            others=others,
            unsupported=tuple(missing),
        )

    def others(self, gpu: Gpu) -> tuple[GpuProcess, ...]:
        """Processes on the GPU that are neither this one nor its descendants.

        In a container the driver's numbers may be those of the host, where this process has
        another one: where it is not listed, one process that this system does not have is taken
        for it.

        Raises:
            MeterError: the driver does not tell.
        """
        lib, listed = self._lib, {}
        for kind in ("Compute", "Graphics"):
            query = partial(getattr(lib, f"nvmlDeviceGet{kind}RunningProcesses"), gpu.handle)
            for process in self._call(query, "the processes"):
                memory = process.usedGpuMemory
                listed[int(process.pid)] = float("nan") if memory is None else float(memory)
        found = [
            GpuProcess(pid, memory, _exists(pid))
            for pid, memory in sorted(listed.items())
            if not _ours(pid)
        ]
        if len(found) == len(listed):
            unseen = [process for process in found if not process.visible]
            if unseen:
                found.remove(unseen[0])
        return tuple(found)

    def _number(
        self, query: Callable[[Any], int], gpu: Gpu, *, no_value: int = _NO_VALUE_32
    ) -> int:
        value = int(self._call(lambda: query(gpu.handle), f"the sensor of {gpu.uuid}"))
        if value == no_value or value < 0:
            raise NotANumber("the sensor answered that it has no value", value=value)
        return value

    def _call(self, query: Callable[[], _T], what: str) -> _T:
        try:
            return query()
        except self._lib.NVMLError as error:
            code = self._codes.get(error.value, str(error.value))
            raise _fault(code, what, str(error)) from error


def _fault(code: str, what: str, words: str) -> MeterError:
    if code in _LOST:
        return GpuLost(
            f"{what}: {words}", value=code, remedy="see dmesg for Xid errors, then reset the GPU"
        )
    if code in _UNSUPPORTED:
        return Unsupported(f"{what}: {words}", value=code)
    if code == "NVML_ERROR_NO_PERMISSION":
        return Denied(f"{what}: {words}", value=code, remedy="ask the administrator of this node")
    if code in _ABSENT:
        return NvmlUnavailable(
            f"{what}: {words}",
            value=code,
            remedy="install NVIDIA's driver, or measure the CPU alone with devices=()",
        )
    return QueryFailed(f"{what}: {words}", value=code)


def _throttle_names(mask: int) -> tuple[str, ...]:
    """Bits of nvml.h's nvmlClocksThrottleReason* as words."""
    names = (
        "gpu-idle",
        "application-clocks",
        "software-power-cap",
        "hardware-slowdown",
        "sync-boost",
        "software-thermal",
        "hardware-thermal",
        "hardware-power-brake",
        "display-clock",
    )
    known = tuple(name for bit, name in enumerate(names) if mask >> bit & 1)
    return (
        known
        if mask < 1 << len(names)
        else (*known, f"other-{mask >> len(names) << len(names):#x}")
    )


def _exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _ours(pid: int) -> bool:
    """Whether a process is this one or descends from it."""
    me = os.getpid()
    for _ in range(64):  # no chain of parents is that long, and a cycle cannot be ruled out
        if pid == me:
            return True
        try:
            # The name in parentheses may hold spaces; the parent is the second field after it.
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            pid = int(stat.rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return False
        if pid <= 1:
            return pid == me
    return False
