"""NVIDIA's management library through `pynvml`, which only this file imports, and lazily.

Every error of the library becomes a typed fault; every answer has its unit in its name; the bit
patterns that stand for "not available" become faults as well, never numbers.
"""

from __future__ import annotations

import importlib
import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from naslib_ecnas.energy.readings import (
    CounterPoint,
    CounterTrack,
    GpuProcess,
    GpuState,
    PowerPoint,
    PowerTrack,
    Reading,
    agreement,
    counter_reading,
    invalid,
    power_reading,
    skew_s,
    update_period_s,
)
from naslib_ecnas.errors import EcnasError, MissingDependencyError

__all__ = [
    "Chosen",
    "Denied",
    "Gpu",
    "GpuLost",
    "GpuPoint",
    "GpuSource",
    "MeterError",
    "MeterFailed",
    "NotANumber",
    "Nvml",
    "NvmlUnavailable",
    "QueryFailed",
    "SharedGpu",
    "UnknownDevice",
    "Unsupported",
    "resolve",
    "torch_uuid",
    "visible",
]


# What can go wrong with a sensor, as types.
#
# Opening a meter raises these; a window never does, it is marked invalid with the fault's `reason`.


class MeterError(EcnasError):
    """Base of all faults of the energy meter.

    Attributes:
        reason: a short word for the fault, as a window's reading gives it.
    """

    reason: ClassVar[str] = "failed"


class Unsupported(MeterError):
    """The device has no such sensor, or its driver does not answer for it."""

    reason = "unsupported"


class GpuLost(MeterError):
    """The GPU fell off the bus or has to be reset."""

    reason = "gpu-lost"


class Denied(MeterError):
    """This user may not read the sensor."""

    reason = "denied"


class NotANumber(MeterError):
    """The sensor answered with the bit pattern that stands for "not available"."""

    reason = "not-a-number"


class QueryFailed(MeterError):
    """The sensor's library returned an error of another kind."""

    reason = "query-failed"


class MeterFailed(MeterError):
    """The meter's own thread does not answer, was closed, or belongs to another process."""

    reason = "meter-failed"


class NvmlUnavailable(MeterError):
    """NVIDIA's library or driver is not there."""

    reason = "unsupported"


class UnknownDevice(MeterError, LookupError):
    """No GPU answers to this index, UUID or entry of `CUDA_VISIBLE_DEVICES`."""


class SharedGpu(MeterError):
    """The GPU is divided or used by others, so its energy is not of this training alone."""

    reason = "shared"


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


# Which GPU a training runs on: from torch's index and `CUDA_VISIBLE_DEVICES` to a UUID.
#
# CUDA and NVML number the GPUs of a machine differently, so an index is never taken as NVML's.


_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Chosen:
    """A GPU to measure, and how it was asked for."""

    gpu: Gpu
    asked: str
    mig: str = ""
    """The MIG instance's name where the training has one; its GPU's energy covers all of them."""


def resolve(
    device: int | str,
    gpus: Sequence[Gpu],
    *,
    environ: Mapping[str, str] | None = None,
    parent_of_mig: Callable[[str], str] | None = None,
    runtime_uuid: str | None = None,
) -> Chosen:
    """The GPU behind a device of the training.

    Args:
        device: torch's index (`1`, `"1"`, `"cuda:1"`, `"cuda"`), or a UUID, its beginning, or a
            MIG instance's name, whatever `CUDA_VISIBLE_DEVICES` says.
        gpus: the GPUs of this machine, in NVML's order.
        environ: where `CUDA_VISIBLE_DEVICES` and `CUDA_DEVICE_ORDER` stand; this process's own
            by default.
        parent_of_mig: GPU UUID of a MIG instance's UUID.
        runtime_uuid: what CUDA itself says of this index, see `torch_uuid`; it outranks all else.

    Raises:
        UnknownDevice: no GPU answers, several do, or CUDA's order cannot be known.
    """
    environment = os.environ if environ is None else environ
    asked = str(device)
    if asked.startswith(("GPU-", "MIG-")):
        return _named(asked, asked, gpus, parent_of_mig)
    index = _index(device)
    if runtime_uuid is not None:
        # CUDA tells a MIG instance's UUID without saying that it is one.
        known = any(gpu.uuid.lower() == runtime_uuid.lower() for gpu in gpus)
        name = runtime_uuid if known else "MIG-" + runtime_uuid.removeprefix("GPU-")
        return _named(name, asked, gpus, parent_of_mig)
    entries = visible(environment, len(gpus))
    if index >= len(entries):
        raise UnknownDevice(
            "the training's process has no such device",
            value=index,
            expected=f"less than {len(entries)}: {_VISIBLE} is "
            f"{environment.get(_VISIBLE, 'not set')!r}, the machine has {len(gpus)} GPUs",
            remedy="give the GPU's UUID, as `nvidia-smi -L` lists it",
        )
    entry = entries[index]
    if isinstance(entry, str):
        return _named(entry, asked, gpus, parent_of_mig)
    same = len({gpu.name for gpu in gpus}) == 1
    if not same and environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        raise UnknownDevice(
            "GPUs of several models are here, and CUDA numbers them by speed, NVML by bus",
            value=index,
            expected="an order that both share, or a UUID",
            remedy="set CUDA_DEVICE_ORDER=PCI_BUS_ID for the training, or give the UUID",
        )
    return Chosen(gpus[entry], asked)


def visible(environ: Mapping[str, str], count: int) -> list[int | str]:
    """The devices that CUDA shows a process: indices, or names of GPUs and MIG instances.

    As CUDA reads its variable: unset shows all; the first entry that is not of the first one's
    kind, not there, or there twice ends the list (CUDA programming guide, environment variables).
    """
    text = environ.get(_VISIBLE)
    if text is None:
        return list(range(count))
    entries: list[int | str] = []
    for entry in (part.strip() for part in text.split(",")):
        if entry.startswith(("GPU-", "MIG-")):
            item: int | str = entry
        elif entry.isdecimal() and int(entry) < count:
            item = int(entry)
        else:
            break
        if item in entries or (entries and type(item) is not type(entries[0])):
            break
        entries.append(item)
    return entries


def _index(device: int | str) -> int:
    """Torch's index of `1`, `"1"`, `"cuda:1"` or `"cuda"`, which is the first."""
    text = str(device)
    text = "0" if text == "cuda" else text.removeprefix("cuda:")
    if not text.isdecimal():
        raise UnknownDevice(
            "no device",
            value=device,
            expected="an index such as 0 or 'cuda:0', or a UUID as `nvidia-smi -L` lists",
        )
    return int(text)


def torch_uuid(device: int | str) -> str | None:
    """UUID that torch's CUDA gives an index; None where torch is not loaded or does not tell.

    Torch is not imported here: a process that trains with it has done so.

    Raises:
        UnknownDevice: it is neither an index nor a name.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    if str(device).startswith(("GPU-", "MIG-")):
        return None
    index = torch.cuda.current_device() if str(device) == "cuda" else _index(device)
    if index >= torch.cuda.device_count():
        return None
    uuid = getattr(torch.cuda.get_device_properties(index), "uuid", None)
    if uuid is None:  # before torch 2.4
        return None
    text = str(uuid)
    return text if text.startswith(("GPU-", "MIG-")) else f"GPU-{text}"


def _named(
    name: str,
    asked: str,
    gpus: Sequence[Gpu],
    parent_of_mig: Callable[[str], str] | None,
) -> Chosen:
    mig = ""
    if name.startswith("MIG-GPU-"):  # before driver 470: MIG-GPU-<uuid>/<instance>/<instance>
        mig, name = name, name[4:].partition("/")[0]
    elif name.startswith("MIG-"):
        if parent_of_mig is None:
            raise UnknownDevice("MIG instances cannot be looked up here", value=name)
        mig, name = name, parent_of_mig(name)
    found = [gpu for gpu in gpus if gpu.uuid.lower().startswith(name.lower())]
    if len(found) != 1:
        raise UnknownDevice(
            "several GPUs have a UUID that begins so" if found else "no GPU has this UUID",
            value=name,
            expected="one of " + (", ".join(gpu.uuid for gpu in gpus) or "none: no GPU is here"),
        )
    return Chosen(found[0], asked, mig)


# The energy of one GPU: which sensor it has, its samples, and its reading over a window.


_POWER_POLL_S = 0.3  # a steady power shows no refreshes, however long one looks

_ABOVE_LIMIT = 1.2  # a mean power above the limit by more than the board's own error


@dataclass(frozen=True)
class GpuPoint:
    """A GPU's running sums at one moment."""

    counter: CounterPoint | None
    power: PowerPoint | None


class GpuSource:
    """One GPU's best sensor.

    The counter of total energy comes first, then power of the moment, then average power, each
    found by calling it: what a model should have and what its driver answers are two things. A
    power sensor beside a counter is integrated too, as a check.

    Args:
        poll_seconds: how long to watch the counter for its refresh period.
        sample_period_s: how often `sample` will be called.
        shared: `refuse` or `flag` a GPU that is divided or used by others.

    Attributes:
        method: which sensor, one of `reading.METHODS`.
        period_s: the sensor's refresh period; NaN where it could not be seen.
        notes: why better sensors are not used.

    Raises:
        Unsupported: the GPU has none of these sensors.
        GpuLost: the GPU is gone.
        SharedGpu: it is shared and that is to be refused.
    """

    def __init__(
        self,
        nvml: Nvml,
        chosen: Chosen,
        *,
        poll_seconds: float,
        sample_period_s: float,
        shared: str,
    ) -> None:
        self.gpu: Gpu = chosen.gpu
        self.notes: tuple[str, ...] = ()
        self._nvml = nvml
        self._refuse = shared == "refuse"
        self._divided = bool(chosen.mig) or chosen.gpu.mig
        if self._refuse:
            self._refuse_shared(chosen)
        self._counter: CounterTrack | None = None
        self._power: PowerTrack | None = None
        self._power_method, self._read_power = self._find_power()
        self._power_period_s = math.nan
        self.method, self.period_s = "counter", self._find_counter(poll_seconds)
        if math.isfinite(self.period_s):
            self._counter = CounterTrack()
        elif self._power_method != "none":
            self._power_period_s = update_period_s(
                self._read_power, seconds=min(_POWER_POLL_S, poll_seconds)
            )
            self.period_s = self._power_period_s
        if self._power_method != "none":
            self._power = PowerTrack(max_gap_s=max(1.0, 5 * sample_period_s))
        if self._counter is None:
            self.method = self._power_method
        if self.method == "none":
            raise Unsupported(
                f"{self.gpu.name} ({self.gpu.uuid}) has no sensor of energy or power",
                value="; ".join(self.notes),
                expected="a counter of energy (Volta or newer) or a power sensor",
                remedy="measure on another GPU, or give devices=() to measure the CPU alone",
            )

    def _refuse_shared(self, chosen: Chosen) -> None:
        if self._divided:
            raise SharedGpu(
                "the GPU is divided into MIG instances, and its sensors count all of them",
                value=chosen.mig or chosen.gpu.uuid,
                remedy="train on an undivided GPU, or give shared='flag' and read with care",
            )
        try:
            others = self._nvml.others(chosen.gpu)
        except GpuLost:
            raise
        except MeterError:  # the driver does not tell; the windows' states say so
            return
        if others:
            raise SharedGpu(
                "other processes use this GPU, and its sensors count them too",
                value=[process.pid for process in others],
                remedy="wait for a free GPU, or give shared='flag' and read with care",
            )

    def _find_power(self) -> tuple[str, Callable[[], float]]:
        for method, read in (
            ("instant-power", self._nvml.instant_power_w),
            ("average-power", self._nvml.average_power_w),
        ):
            try:
                read(self.gpu)
            except GpuLost:
                raise
            except MeterError as error:
                self.notes += (f"{method}: {error.what}",)
            else:
                return method, lambda read=read: read(self.gpu)
        return "none", lambda: math.nan

    def _find_counter(self, poll_seconds: float) -> float:
        try:
            period = update_period_s(
                lambda: self._nvml.total_energy_j(self.gpu), seconds=poll_seconds
            )
        except GpuLost:
            raise
        except MeterError as error:
            self.notes += (f"counter: {error.what}",)
            return math.nan
        if math.isnan(period):
            self.notes += (f"counter: it did not move twice in {poll_seconds:g} s",)
        return period

    def sample(self) -> None:
        """Read the sensors once; their faults are counted, not raised."""
        if self._counter is not None:
            self._read(self._counter, lambda: self._nvml.total_energy_j(self.gpu))
        if self._power is not None:
            self._read(self._power, self._read_power)

    def _read(self, track: CounterTrack | PowerTrack, read: Callable[[], float]) -> None:
        before = time.monotonic()
        try:
            value = read()
        except MeterError as error:
            track.fail(before, error.reason, error.what)
            return
        track.push(0.5 * (before + time.monotonic()), value)

    def point(self) -> GpuPoint:
        """Read the sensors and give the sums: the edge of a window."""
        self.sample()
        now = time.monotonic()
        return GpuPoint(
            None if self._counter is None else self._counter.point(now),
            None if self._power is None else self._power.point(now),
        )

    def state(self) -> GpuState:
        """Clocks, temperature and the like at this moment."""
        return self._nvml.state(self.gpu)

    def reading(
        self,
        start: GpuPoint,
        stop: GpuPoint,
        *,
        edges: tuple[float, float],
        states: tuple[GpuState | None, GpuState | None],
    ) -> Reading:
        """The energy between two points, judged.

        Args:
            edges: the window's times, which the points lie close to.
            states: the GPU's at the edges, where known.
        """
        integral: Reading | None = None
        if start.power is not None and stop.power is not None:
            integral = power_reading(
                start.power,
                stop.power,
                method=self._power_method,
                period_s=self._power_period_s,
                skew_s=skew_s(start.power, stop.power, edges),
                states=states,
            )
        if start.counter is not None and stop.counter is not None:
            points = (start.power, stop.power)
            reading = counter_reading(
                start.counter,
                stop.counter,
                period_s=self.period_s,
                edge_power_w=[point.power_w for point in points if point is not None],
                skew_s=skew_s(start.counter, stop.counter, edges),
                states=states,
            )
            if integral is not None:
                reading = _compared(reading, integral)
            times = start.counter.time, stop.counter.time
        elif integral is not None and start.power is not None and stop.power is not None:
            reading, times = integral, (start.power.time, stop.power.time)
        else:  # a source without sensors does not exist
            return invalid("unsupported", "no sensor", method="none")
        return self._with_flags(reading, times[1] - times[0])

    def _with_flags(self, reading: Reading, seconds: float) -> Reading:
        flags = list(reading.flags)
        states = [state for state in (reading.start, reading.stop) if state is not None]
        pids = sorted({p.pid for state in states for p in state.others or ()})
        if pids and self._refuse:
            return invalid(
                "shared",
                f"other processes used the GPU: {pids}",
                method=reading.method,
                update_period_s=reading.update_period_s,
                start=reading.start,
                stop=reading.stop,
            )
        if pids or self._divided:
            flags.append("shared")
        limits = [state.power_limit_w for state in states if math.isfinite(state.power_limit_w)]
        if limits and reading.energy_j - reading.uncertainty_j > (
            _ABOVE_LIMIT * max(limits) * seconds
        ):
            flags.append("above-power-limit")
        return replace(reading, flags=tuple(flags))


def _compared(counter: Reading, integral: Reading) -> Reading:
    verdict = agreement(counter, integral)
    flags = counter.flags + (("counter-against-power",) if verdict == "apart" else ())
    return replace(counter, integral_j=integral.energy_j, agreement=verdict, flags=flags)
