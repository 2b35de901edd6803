"""GPUs: errors of the meter, NVIDIA's management library, choice of the device, energy sensor.

Only this file imports `pynvml`, and only when GPUs are measured. Every error of the library becomes
a typed `MeterError`, and so do the bit patterns that stand for "not available".
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
    "Nvml",
    "NvmlUnavailable",
    "QueryFailed",
    "SharedGpu",
    "UnknownDevice",
    "Unsupported",
    "resolve",
    "sample",
    "torch_uuid",
    "visible",
]


# -- errors --------------------------------------------------------------------------------------
# Opening a meter raises them; a window never does, its reading is invalid with the error's reason.


class MeterError(EcnasError):
    """Base of all errors of the energy meter.

    Attributes:
        reason: one word for the error, which an invalid `Reading` gives as its reason.
    """

    reason: ClassVar[str] = "failed"


class Unsupported(MeterError):
    """The device has no such sensor, or its driver does not answer for it."""

    reason = "unsupported"


class GpuLost(MeterError):
    """The GPU is no longer on the bus, or has to be reset."""

    reason = "gpu-lost"


class Denied(MeterError):
    """This user may not read the sensor."""

    reason = "denied"


class NotANumber(MeterError):
    """The sensor returned the bit pattern that stands for "not available"."""

    reason = "not-a-number"


class QueryFailed(MeterError):
    """The sensor's library returned another error."""

    reason = "query-failed"


class MeterFailed(MeterError):
    """The meter's own thread does not answer, was closed, or belongs to another process."""

    reason = "meter-failed"


class NvmlUnavailable(MeterError):
    """NVIDIA's library or driver is not installed."""

    reason = "unsupported"


class UnknownDevice(MeterError, LookupError):
    """No GPU, or more than one, has this index, UUID or entry of `CUDA_VISIBLE_DEVICES`."""


class SharedGpu(MeterError):
    """The GPU is divided or used by others: its energy is not of this training alone."""

    reason = "shared"


# -- NVML ----------------------------------------------------------------------------------------

_T = TypeVar("_T")

_POWER_INSTANT = 186  # NVML_FI_DEV_POWER_INSTANT of nvml.h

_NO_VALUE_32, _NO_VALUE_64 = 2**32 - 1, 2**64 - 1  # NVML_VALUE_NOT_AVAILABLE: -1 in either width

#: Error of NVML, without NVML_ERROR_ -> the error raised; all others raise QueryFailed.
_ERRORS: dict[str, type[MeterError]] = {
    **dict.fromkeys(
        (
            "NOT_SUPPORTED",
            "FUNCTION_NOT_FOUND",
            "INVALID_ARGUMENT",
            "ARGUMENT_VERSION_MISMATCH",
            "DEPRECATED",
        ),
        Unsupported,
    ),
    **dict.fromkeys(("GPU_IS_LOST", "RESET_REQUIRED", "GPU_NOT_FOUND"), GpuLost),
    **dict.fromkeys(
        ("UNINITIALIZED", "DRIVER_NOT_LOADED", "LIBRARY_NOT_FOUND", "LIB_RM_VERSION_MISMATCH"),
        NvmlUnavailable,
    ),
    "NO_PERMISSION": Denied,
}

_REMEDIES: dict[type[MeterError], str] = {
    GpuLost: "see dmesg for Xid errors, then reset the GPU",
    Denied: "ask the administrator of this node",
    NvmlUnavailable: "install NVIDIA's driver, or measure the CPU alone with devices=()",
}

#: Bits of nvml.h's nvmlClocksThrottleReason*, from the lowest.
_THROTTLE_REASONS = (
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


@dataclass(frozen=True)
class Gpu:
    """A GPU of this machine."""

    uuid: str
    name: str
    index: int
    """NVML's number, in the order of the PCI bus."""
    mig: bool
    """Whether it is divided into MIG instances."""
    handle: Any = field(repr=False, compare=False, default=None)


class Nvml:
    """An initialised NVML; close it when done.

    Raises:
        MissingDependencyError: `nvidia-ml-py` is not installed.
        NvmlUnavailable: NVIDIA's library or driver is not installed.
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
        """Release NVML; a second call does nothing."""
        if not self._closed:
            self._closed = True
            try:
                self._lib.nvmlShutdown()
            except self._lib.NVMLError:
                return  # the driver is gone, and NVML with it

    def gpus(self) -> tuple[Gpu, ...]:
        """All GPUs that this process can see, in NVML's order; lost ones are left out."""
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
        """UUID of the GPU that contains a MIG instance, which is given by its own UUID.

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
                f"no such MIG instance ({error})", value=uuid, remedy="list them: nvidia-smi -L"
            ) from error

    def total_energy_j(self, gpu: Gpu) -> float:
        """Energy in J since the driver was loaded."""
        query = self._lib.nvmlDeviceGetTotalEnergyConsumption
        return self._number(query, gpu, no_value=_NO_VALUE_64) / 1e3

    def instant_power_w(self, gpu: Gpu) -> float:
        """Power in W at this moment."""
        lib = self._lib

        def ask(handle: Any) -> int:
            answer = lib.nvmlDeviceGetFieldValues(handle, [_POWER_INSTANT])[0]
            if answer.nvmlReturn != lib.NVML_SUCCESS:
                raise lib.NVMLError(answer.nvmlReturn)
            return int(answer.value.uiVal)

        return self._number(ask, gpu) / 1e3

    def average_power_w(self, gpu: Gpu) -> float:
        """Power in W, averaged over the last second on Ampere and newer."""
        return self._number(self._lib.nvmlDeviceGetPowerUsage, gpu) / 1e3

    def state(self, gpu: Gpu) -> GpuState:
        """Power, temperature, clocks, limit, throttling and other processes.

        Nothing raises: what cannot be read is NaN or None, and named in `unsupported`.
        """
        lib, missing = self._lib, []

        def ask(name: str, query: Callable[[], _T], unknown: _T) -> _T:
            try:
                return query()
            except MeterError:
                missing.append(name)
                return unknown

        def number(name: str, query: Callable[[Any], int], scale: float = 1.0) -> float:
            return ask(name, lambda: self._number(query, gpu) * scale, math.nan)

        def power() -> float:
            try:
                return self.instant_power_w(gpu)
            except MeterError:
                return self.average_power_w(gpu)

        # These two were renamed: old drivers have the old name only, new bindings will drop it.
        reasons = getattr(lib, "nvmlDeviceGetCurrentClocksThrottleReasons", None) or (
            lib.nvmlDeviceGetCurrentClocksEventReasons
        )
        temperature = getattr(lib, "nvmlDeviceGetTemperature", None) or (
            lib.nvmlDeviceGetTemperatureV
        )

        def throttling() -> tuple[str, ...] | None:
            mask = self._call(lambda: reasons(gpu.handle), "throttling")
            return _throttle_names(int(mask))

        def others() -> tuple[GpuProcess, ...] | None:
            return self.others(gpu)

        throttled = ask("throttle_reasons", throttling, None)
        processes = ask("others", others, None)
        return GpuState(
            power_w=ask("power_w", power, math.nan),
            temperature_c=number(
                "temperature_c", lambda h: temperature(h, lib.NVML_TEMPERATURE_GPU)
            ),
            sm_clock_mhz=number(
                "sm_clock_mhz", lambda h: lib.nvmlDeviceGetClockInfo(h, lib.NVML_CLOCK_SM)
            ),
            memory_clock_mhz=number(
                "memory_clock_mhz", lambda h: lib.nvmlDeviceGetClockInfo(h, lib.NVML_CLOCK_MEM)
            ),
            power_limit_w=number("power_limit_w", lib.nvmlDeviceGetEnforcedPowerLimit, 1e-3),
            throttle_reasons=throttled,
            others=processes,
            unsupported=tuple(missing),
        )

    def others(self, gpu: Gpu) -> tuple[GpuProcess, ...]:
        """Processes on the GPU that are neither this one nor its descendants.

        In a container the driver may give the host's process numbers, where this process has
        another one: if it is not listed, one process that /proc does not list is taken for it.

        Raises:
            MeterError: the driver does not list processes.
        """
        lib, listed = self._lib, {}
        for kind in ("Compute", "Graphics"):
            query = partial(getattr(lib, f"nvmlDeviceGet{kind}RunningProcesses"), gpu.handle)
            for process in self._call(query, "the processes"):
                memory = process.usedGpuMemory
                listed[int(process.pid)] = math.nan if memory is None else float(memory)
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
            raise NotANumber("the sensor returned that it has no value", value=value)
        return value

    def _call(self, query: Callable[[], _T], what: str) -> _T:
        try:
            return query()
        except self._lib.NVMLError as error:
            code = self._codes.get(error.value, str(error.value))
            kind = _ERRORS.get(code.removeprefix("NVML_ERROR_"), QueryFailed)
            raise kind(f"{what}: {error} ({code})", remedy=_REMEDIES.get(kind)) from error


def _throttle_names(mask: int) -> tuple[str, ...]:
    count = len(_THROTTLE_REASONS)
    known = tuple(name for bit, name in enumerate(_THROTTLE_REASONS) if mask >> bit & 1)
    return known if mask < 1 << count else (*known, f"other-{mask >> count << count:#x}")


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


# -- which GPU a training runs on ----------------------------------------------------------------
# CUDA and NVML number the GPUs of a machine differently, so an index is never taken as NVML's.


_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Chosen:
    """A GPU to measure."""

    gpu: Gpu
    mig: str = ""
    """Name of the training's MIG instance, if it has one; the GPU's energy covers all of them."""


def resolve(
    device: int | str,
    gpus: Sequence[Gpu],
    *,
    environ: Mapping[str, str] | None = None,
    parent_of_mig: Callable[[str], str] | None = None,
    runtime_uuid: str | None = None,
) -> Chosen:
    """The GPU that a training means by a device.

    Args:
        device: torch's index (`1`, `"1"`, `"cuda:1"`, `"cuda"`); or a UUID, the beginning of one,
            or the name of a MIG instance, for which `CUDA_VISIBLE_DEVICES` does not matter.
        gpus: the GPUs of this machine, in NVML's order.
        environ: gives `CUDA_VISIBLE_DEVICES` and `CUDA_DEVICE_ORDER`; by default this process's
            environment.
        parent_of_mig: function from a MIG instance's UUID to its GPU's UUID.
        runtime_uuid: UUID that CUDA itself gives this index, which decides; see `torch_uuid`.

    Raises:
        UnknownDevice: no GPU matches, several do, or CUDA's order cannot be known.
    """
    environment = os.environ if environ is None else environ
    text = str(device)
    if text.startswith(("GPU-", "MIG-")):
        return _by_name(text, gpus, parent_of_mig)
    index = _index(device)
    if runtime_uuid is not None:
        # CUDA gives a MIG instance's UUID without saying that it is one.
        known = any(gpu.uuid.lower() == runtime_uuid.lower() for gpu in gpus)
        name = runtime_uuid if known else "MIG-" + runtime_uuid.removeprefix("GPU-")
        return _by_name(name, gpus, parent_of_mig)
    entries = visible(environment, len(gpus))
    if index >= len(entries):
        raise UnknownDevice(
            f"index {index} must be less than {len(entries)}: {_VISIBLE} is "
            f"{environment.get(_VISIBLE, 'not set')!r}, the machine has {len(gpus)} GPUs",
            remedy="give the GPU's UUID, as `nvidia-smi -L` lists it",
        )
    entry = entries[index]
    if isinstance(entry, str):
        return _by_name(entry, gpus, parent_of_mig)
    same = len({gpu.name for gpu in gpus}) == 1
    if not same and environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        raise UnknownDevice(
            f"index {index} is ambiguous: GPUs of several models are here, and CUDA numbers them "
            "by speed, NVML by bus",
            remedy="set CUDA_DEVICE_ORDER=PCI_BUS_ID for the training, or give the UUID",
        )
    return Chosen(gpus[entry])


def visible(environ: Mapping[str, str], count: int) -> list[int | str]:
    """The devices that CUDA shows a process: indices, or names of GPUs and MIG instances.

    If the variable is unset all are shown. The list ends at the first entry that is not of the
    first entry's kind, does not exist, or was there before (CUDA programming guide, environment
    variables).
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
        raise UnknownDevice("a device must be an index, 'cuda:0' or a UUID", value=device)
    return int(text)


def torch_uuid(device: int | str) -> str | None:
    """UUID that torch's CUDA gives an index; None if torch is not loaded or does not give it.

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


def _by_name(name: str, gpus: Sequence[Gpu], parent_of_mig: Callable[[str], str] | None) -> Chosen:
    mig = ""
    if name.startswith("MIG-GPU-"):  # before driver 470: MIG-GPU-<uuid>/<instance>/<instance>
        mig, name = name, name[4:].partition("/")[0]
    elif name.startswith("MIG-"):
        if parent_of_mig is None:
            raise UnknownDevice("MIG instances cannot be looked up here", value=name)
        mig, name = name, parent_of_mig(name)
    found = [gpu for gpu in gpus if gpu.uuid.lower().startswith(name.lower())]
    if len(found) != 1:
        what = "several GPUs have a UUID that begins so" if found else "no GPU has this UUID"
        known = ", ".join(gpu.uuid for gpu in gpus) or "no GPU"
        raise UnknownDevice(f"{what}; this machine has {known}", value=name)
    return Chosen(found[0], mig)


# -- the energy of one GPU -----------------------------------------------------------------------


_POWER_POLL_S = 0.3  # a steady power shows no refreshes, however long it is watched

_ABOVE_LIMIT = 1.2  # a mean power above the limit by more than the board's own error


@dataclass(frozen=True)
class GpuPoint:
    """A GPU's running sums at one moment."""

    counter: CounterPoint | None
    power: PowerPoint | None


class GpuSource:
    """The best energy sensor of one GPU.

    The energy counter comes first, then instantaneous power, then average power, each found by
    querying it: what a model should have and what its driver supports differ. A power sensor beside
    a counter is integrated too, as a check.

    Args:
        poll_seconds: how long to watch the counter for its refresh period.
        sample_period_s: how often `sample` will be called.
        shared: `refuse` or `flag` a GPU that is divided or used by others.
        clock, sleep: time, in s.

    Attributes:
        method: which sensor, one of `readings.METHODS`.
        period_s: the sensor's refresh period; NaN if it could not be seen.
        notes: why better sensors are not used.

    Raises:
        Unsupported: the GPU has none of these sensors.
        GpuLost: the GPU is gone.
        SharedGpu: the GPU is shared, and `shared` is `refuse`.
    """

    def __init__(
        self,
        nvml: Nvml,
        chosen: Chosen,
        *,
        poll_seconds: float,
        sample_period_s: float,
        shared: str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.gpu: Gpu = chosen.gpu
        self.notes: tuple[str, ...] = ()
        self._nvml = nvml
        self._clock, self._sleep = clock, sleep
        self._refuse = shared == "refuse"
        self._divided = bool(chosen.mig) or chosen.gpu.mig
        if self._refuse:
            self._refuse_shared(chosen)
        self._counter: CounterTrack | None = None
        self._power: PowerTrack | None = None
        self._power_method, self._read_power = self._find_power()
        self._power_period_s = math.nan
        self.method: str = "counter"
        self.period_s: float = self._find_counter(poll_seconds)
        if math.isfinite(self.period_s):
            self._counter = CounterTrack()
        elif self._power_method != "none":
            self.period_s = self._refresh_s(self._read_power, min(_POWER_POLL_S, poll_seconds))
            self._power_period_s = self.period_s
        if self._power_method != "none":
            self._power = PowerTrack(max_gap_s=max(1.0, 5 * sample_period_s))
        if self._counter is None:
            self.method = self._power_method
        if self.method == "none":
            raise Unsupported(
                f"{self.gpu.name} ({self.gpu.uuid}) has no sensor of energy or power",
                value="; ".join(self.notes),
                remedy="measure on another GPU, or the CPU alone with devices=()",
            )

    def _refuse_shared(self, chosen: Chosen) -> None:
        if self._divided:
            raise SharedGpu(
                "the GPU is divided into MIG instances, and its sensors count all of them",
                value=chosen.mig or chosen.gpu.uuid,
                remedy="train on an undivided GPU, or measure all of it with shared='flag'",
            )
        try:
            others = self._nvml.others(chosen.gpu)
        except GpuLost:
            raise
        except MeterError:  # the windows' states name it as unsupported
            return
        if others:
            raise SharedGpu(
                "other processes use this GPU, and its sensors count them too",
                value=[process.pid for process in others],
                remedy="wait for a free GPU, or measure all of it with shared='flag'",
            )

    def _refresh_s(self, read: Callable[[], float], seconds: float) -> float:
        return update_period_s(read, seconds=seconds, clock=self._clock, sleep=self._sleep)

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
                self.notes += (f"{method}: {error}",)
            else:
                return method, partial(read, self.gpu)
        return "none", lambda: math.nan

    def _find_counter(self, poll_seconds: float) -> float:
        """The counter's refresh period; NaN if it cannot be used."""
        try:
            period = self._refresh_s(self._read_counter, poll_seconds)
        except GpuLost:
            raise
        except MeterError as error:
            self.notes += (f"counter: {error}",)
            return math.nan
        if math.isnan(period):
            self.notes += (f"counter: it did not move twice in {poll_seconds:g} s",)
        return period

    def _read_counter(self) -> float:
        return self._nvml.total_energy_j(self.gpu)

    def sample(self) -> None:
        """Query the sensors once; their faults are counted, not raised."""
        if self._counter is not None:
            sample(self._counter, self._read_counter, self._clock)
        if self._power is not None:
            sample(self._power, self._read_power, self._clock)

    def point(self) -> GpuPoint:
        """Query the sensors and return the sums, at the edge of a window."""
        self.sample()
        now = self._clock()
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
        """The energy between two points, with validity, uncertainty and flags.

        Args:
            edges: the window's times, which the points lie close to.
            states: of the GPU at the edges, if known.
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
            powers = [point.power_w for point in (start.power, stop.power) if point is not None]
            reading = counter_reading(
                start.counter,
                stop.counter,
                period_s=self.period_s,
                edge_power_w=powers,
                skew_s=skew_s(start.counter, stop.counter, edges),
                states=states,
            )
            if integral is not None:
                reading = _compared(reading, integral)
            times = start.counter.time, stop.counter.time
        elif integral is not None and start.power is not None and stop.power is not None:
            reading, times = integral, (start.power.time, stop.power.time)
        else:  # unreachable: a source has at least one sensor
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


def sample(
    track: CounterTrack | PowerTrack, read: Callable[[], float], clock: Callable[[], float]
) -> None:
    """Query a sensor and add the value to its track, or count the fault.

    The time of a sample is the middle of its query.
    """
    before = clock()
    try:
        value = read()
    except MeterError as error:
        track.fail(before, error.reason, str(error))
        return
    track.push(0.5 * (before + clock()), value)
