"""GPUs: NVIDIA's management library, which GPU a training runs on, and the best sensor of it.

Only this file imports `pynvml`, and only when GPUs are measured. Every error of the library and of
the binding becomes a typed `MeterError`, and so do the bit patterns that stand for "not available".
"""

from __future__ import annotations

import importlib
import math
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from naslib_ecnas.energy.readings import GpuProcess, GpuSetup, GpuState
from naslib_ecnas.energy.sensors import (
    Denied,
    GpuLost,
    MeterError,
    NotANumber,
    NvmlUnavailable,
    QueryFailed,
    Sensor,
    SharedGpu,
    Source,
    UnknownDevice,
    Unsupported,
    counted,
    integrated,
    refused,
    update_period_s,
)
from naslib_ecnas.errors import MissingDependencyError

# -- NVML ----------------------------------------------------------------------------------------

_MEASURED = "this meter reads NVIDIA's GPUs and the counters of CPUs (RAPL)"
_CPU = "measure the CPU alone with devices=()"

#: Error raised -> errors of NVML without NVML_ERROR_, and the remedy; all others are QueryFailed.
_ERRORS: dict[type[MeterError], tuple[str, str | None]] = {
    Unsupported: ("NOT_SUPPORTED FUNCTION_NOT_FOUND INVALID_ARGUMENT DEPRECATED "
                  "ARGUMENT_VERSION_MISMATCH", None),
    GpuLost: ("GPU_IS_LOST RESET_REQUIRED GPU_NOT_FOUND",
              "see dmesg for Xid errors, then reset the GPU"),
    Denied: ("NO_PERMISSION", "ask the administrator of this node"),
    NvmlUnavailable: ("UNINITIALIZED DRIVER_NOT_LOADED LIBRARY_NOT_FOUND LIB_RM_VERSION_MISMATCH",
                      f"install NVIDIA's driver, or {_CPU}"),
}  # fmt: skip

_TEMPERATURE = "nvmlDeviceGetTemperature nvmlDeviceGetTemperatureV"
#: Quantity -> names of its query in old and new bindings, a constant that the query takes after the
#: GPU, and NVML's units in one of ours.
_QUERIES: dict[str, tuple[str, str, float]] = {
    "total_energy_j": ("nvmlDeviceGetTotalEnergyConsumption", "", 1e3),
    "average_power_w": ("nvmlDeviceGetPowerUsage", "", 1e3),
    "power_limit_w": ("nvmlDeviceGetEnforcedPowerLimit", "", 1e3),
    "enforced_power_limit_w": ("nvmlDeviceGetEnforcedPowerLimit", "", 1e3),
    "default_power_limit_w": ("nvmlDeviceGetPowerManagementDefaultLimit", "", 1e3),
    "temperature_c": (_TEMPERATURE, "NVML_TEMPERATURE_GPU", 1),
    "sm_clock_mhz": ("nvmlDeviceGetClockInfo", "NVML_CLOCK_SM", 1),
    "memory_clock_mhz": ("nvmlDeviceGetClockInfo", "NVML_CLOCK_MEM", 1),
}

#: Instantaneous power -> whose it is. Of GH200 and GB200 some drivers know the module's alone, with
#: CPU and memory in it (nvml.h, NVML_FI_DEV_POWER_INSTANT: field, scopes).
_SCOPES = {"instant_power_w": 0, "module_power_w": 1}
_POWER_INSTANT = 186

#: NVML_VALUE_NOT_AVAILABLE, -1 in the width of the answer; only the energy has 64 bits.
_NO_VALUE = {"total_energy_j": 2**64 - 1}

#: Bits of nvml.h's nvmlClocksThrottleReason*, from the lowest.
_THROTTLE_REASONS = (
    "gpu-idle", "application-clocks", "software-power-cap", "hardware-slowdown", "sync-boost",
    "software-thermal", "hardware-thermal", "hardware-power-brake", "display-clock",
)  # fmt: skip


@dataclass(frozen=True)
class Gpu:
    """A GPU of this machine."""

    uuid: str
    name: str
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
            self._call("NVML itself", "nvmlInitWithFlags", 0)
        except (ImportError, NvmlUnavailable) as error:
            if other := unmeasured():
                raise NvmlUnavailable(other, remedy=_CPU) from error
            if isinstance(error, NvmlUnavailable):
                raise
            what = {"feature": "measuring the energy of a GPU", "extra": "measure"}
            raise MissingDependencyError("nvidia-ml-py", **what) from error

    def close(self) -> None:
        """Release NVML, which counts how often it was initialised."""
        with suppress(MeterError):  # the driver is gone, and NVML with it
            self._call("NVML itself", "nvmlShutdown")

    def gpus(self) -> tuple[Gpu, ...]:
        """All GPUs that this process can see, in the order of the PCI bus; no lost ones."""
        call, found = self._call, []
        for index in range(call("the number of GPUs", "nvmlDeviceGetCount")):
            with suppress(GpuLost):
                handle = call("the GPU", "nvmlDeviceGetHandleByIndex", index)
                uuid = call("the UUID", "nvmlDeviceGetUUID", handle)
                name = call("the name", "nvmlDeviceGetName", handle)
                mig = False
                with suppress(Unsupported):  # most GPUs cannot be divided
                    mig = bool(call("the MIG mode", "nvmlDeviceGetMigMode", handle)[0])
                found.append(Gpu(uuid, name, mig, handle))
        return tuple(found)

    def parent_of_mig(self, uuid: str) -> str:
        """UUID of the GPU with a MIG instance, given by its own UUID; else an UnknownDevice."""
        call = partial(self._call, "the MIG instance")
        try:
            handle = call("nvmlDeviceGetHandleByUUID", uuid)
            parent = call("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", handle)
            return str(call("nvmlDeviceGetUUID", parent))
        except MeterError as error:
            text, remedy = f"no such MIG instance ({error})", "list them: nvidia-smi -L"
            raise UnknownDevice(text, value=uuid, remedy=remedy) from error

    def resolve(self, device: int | str, environ: Mapping[str, str] | None = None) -> Gpu:
        """The GPU that a training means by a device; if that is a MIG instance, `mig` is True.

        Args:
            device: torch's index (`1`, `"1"`, `"cuda:1"`, `"cuda"`); or a UUID, the beginning of
                one, or the name of a MIG instance, for which `CUDA_VISIBLE_DEVICES` is ignored.
            environ: gives `CUDA_VISIBLE_DEVICES` and `CUDA_DEVICE_ORDER`. By default this process's
                environment, where torch, if it is loaded, knows the UUID of an index.

        Raises:
            UnknownDevice: no GPU matches, several do, or CUDA's order cannot be known.
        """
        gpus = self.gpus()
        runtime = torch_uuid(device) if environ is None else None
        environ = os.environ if environ is None else environ
        name = str(device)
        if runtime is not None:
            # CUDA gives a MIG instance's UUID without saying that it is one.
            known = any(gpu.uuid.lower() == runtime.lower() for gpu in gpus)
            name = runtime if known else f"MIG-{runtime[4:]}"
        elif not _is_name(device):
            index, shown = _index(device), visible(environ, len(gpus))
            if index >= len(shown):
                raise UnknownDevice(
                    f"index {index} must be less than {len(shown)}: {_VISIBLE} is "
                    f"{environ.get(_VISIBLE, 'not set')!r}, the machine has {len(gpus)} GPUs",
                    remedy="give the GPU's UUID, as `nvidia-smi -L` lists it",
                )
            name = shown[index]
        if name.isdecimal():
            ordered = environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
            if not ordered and len({gpu.name for gpu in gpus}) > 1:
                raise UnknownDevice(
                    f"index {device} is ambiguous: GPUs of several models are here, and CUDA "
                    "numbers them by speed, NVML by bus",
                    remedy="set CUDA_DEVICE_ORDER=PCI_BUS_ID for the training, or give the UUID",
                )
            return gpus[int(name)]
        mig = name.startswith("MIG-")
        if name.startswith("MIG-GPU-"):  # before driver 470: MIG-GPU-<uuid>/<instance>/<instance>
            name = name[4:].partition("/")[0]
        elif mig:
            name = self.parent_of_mig(name)
        found = [gpu for gpu in gpus if gpu.uuid.lower().startswith(name.lower())]
        if len(found) != 1:
            what = "several GPUs have a UUID that begins so" if found else "no GPU has this UUID"
            listed = ", ".join(gpu.uuid for gpu in gpus) or "no GPU"
            raise UnknownDevice(f"{what}; this machine has {listed}", value=name)
        return replace(found[0], mig=mig or found[0].mig)

    def number(self, gpu: Gpu, quantity: str) -> float:
        """A quantity of `_QUERIES` or `_SCOPES`; a MeterError if NVML has no value for it."""

        def power(handle: Any) -> int:
            fields = [(_POWER_INSTANT, _SCOPES[quantity])]
            answer = self._lib.nvmlDeviceGetFieldValues(handle, fields)[0]
            if answer.nvmlReturn != self._lib.NVML_SUCCESS:
                raise self._lib.NVMLError(answer.nvmlReturn)
            return int(answer.value.uiVal)

        what = f"{quantity} of {gpu.uuid}"
        query, constant, units = _QUERIES.get(quantity, (power, "", 1e3))
        more = [getattr(self._lib, constant)] if constant else []
        value = self._call(what, query, gpu.handle, *more)
        if not isinstance(value, int) or value < 0 or value == _NO_VALUE.get(quantity, 2**32 - 1):
            raise NotANumber(f"{what} has no value", value=value)
        return value / units

    def state(self, gpu: Gpu) -> GpuState:
        """Power, temperature, clocks, limit, throttling and other processes.

        Nothing raises: what cannot be read is NaN or None, and named in `unsupported`.
        """

        def power() -> float:
            for name in ("instant_power_w", "average_power_w"):
                with suppress(MeterError):
                    return self.number(gpu, name)
            return self.number(gpu, "module_power_w")

        def throttling() -> tuple[str, ...]:
            words = ("Throttle", "Event")
            names = " ".join(f"nvmlDeviceGetCurrentClocks{word}Reasons" for word in words)
            return _throttle_names(self._call("throttling", names, gpu.handle))

        numbers = "temperature_c sm_clock_mhz memory_clock_mhz power_limit_w"
        known: dict[str, Callable[[], Any]] = {"power_w": power, "throttle_reasons": throttling}
        known |= {"others": partial(self._others, gpu)}
        return GpuState(**self._readable(gpu, numbers, **known))

    def setup(self, gpu: Gpu) -> GpuSetup:
        """Driver, persistence mode, error correction and power limits; as `state`, never raises."""
        call = self._call
        known = self._readable(
            gpu,
            "default_power_limit_w enforced_power_limit_w",
            driver=lambda: str(call("the driver", "nvmlSystemGetDriverVersion")),
            persistence=lambda: bool(
                call("persistence", "nvmlDeviceGetPersistenceMode", gpu.handle)
            ),
            ecc=lambda: bool(call("error correction", "nvmlDeviceGetEccMode", gpu.handle)[0]),
        )
        return GpuSetup(gpu.name, **known)

    def _readable(self, gpu: Gpu, numbers: str, **queries: Callable[[], Any]) -> dict[str, Any]:
        """What quantities and other queries give; `unsupported` names those that fail."""
        known, missing = dict[str, Any](), []
        for name in (*numbers.split(), *queries):
            try:
                known[name] = queries[name]() if name in queries else self.number(gpu, name)
            except Exception:  # noqa: BLE001 - a binding may change; no energy depends on these
                missing.append(name)
        return {**known, "unsupported": tuple(missing)}

    def _others(self, gpu: Gpu) -> tuple[GpuProcess, ...]:
        """Processes on the GPU that are neither this one nor its descendants.

        In a container the driver may give the host's process numbers, where this process has
        another one. So a single process that /proc does not list is taken for this one, if torch
        uses CUDA in it and no listed process is ours.
        """
        listed: dict[int, GpuProcess] = {}
        for kind in ("Graphics", "Compute"):  # a process that does both computes
            query, draws = f"nvmlDeviceGet{kind}RunningProcesses", kind == "Graphics"
            for process in self._call("the processes", query, gpu.handle):
                pid, memory = int(process.pid), process.usedGpuMemory
                seen, used = Path(f"/proc/{pid}").exists(), math.nan if memory is None else memory
                listed[pid] = GpuProcess(pid, float(used), seen, draws)
        found = [process for pid, process in sorted(listed.items()) if not _ours(pid)]
        unseen = [process for process in found if not process.visible]
        if len(unseen) == 1 and len(found) == len(listed) and torch_in_use() is not None:
            found.remove(unseen[0])
        return tuple(found)

    def _call(self, what: str, query: Any, *arguments: Any) -> Any:
        """The answer of NVML, all of whose errors become typed ones.

        A query is a function, or its names in the binding: of several the first that is there.
        """
        try:
            if isinstance(query, str):
                known = [name for name in query.split() if hasattr(self._lib, name)]
                if not known:
                    raise Unsupported(f"{what}: the binding has no {query}")
                query = getattr(self._lib, known[0])
            return query(*arguments)
        except MeterError:
            raise
        except self._lib.NVMLError as error:
            codes = {v: k for k, v in vars(self._lib).items() if k.startswith("NVML_ERROR_")}
            code = codes.get(error.value, str(error.value))
            for kind, (names, remedy) in _ERRORS.items():
                if code.removeprefix("NVML_ERROR_") in names.split():
                    raise kind(f"{what}: {error} ({code})", remedy=remedy) from error
            raise QueryFailed(f"{what}: {error} ({code})") from error
        except Exception as error:  # whatever a binding raises
            raise QueryFailed(f"{what}: {type(error).__name__}: {error}") from error


def _throttle_names(mask: int) -> tuple[str, ...]:
    known = tuple(name for bit, name in enumerate(_THROTTLE_REASONS) if mask >> bit & 1)
    rest = mask >> len(_THROTTLE_REASONS) << len(_THROTTLE_REASONS)
    return (*known, f"other-{rest:#x}") if rest else known


def _ours(pid: int) -> bool:
    """Whether a process is this one or a descendant."""
    for _ in range(64):  # no chain of parents is that long, and a cycle cannot be ruled out
        if pid == os.getpid():
            return True
        try:
            # The name in parentheses may hold spaces; the parent is the second field after it.
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            pid = int(stat.rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return False
    return False


# -- which GPU a training runs on ----------------------------------------------------------------
# CUDA and NVML number the GPUs of a machine differently, so an index is never taken as NVML's.

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def named_gpus(asked: str, environ: Mapping[str, str] = os.environ) -> list[Gpu]:
    """GPUs: `all` that `CUDA_VISIBLE_DEVICES` shows, or those of some devices, each once.

    Args:
        asked: `all`, or devices as in `Nvml.resolve`, separated by commas.
        environ: as in `Nvml.resolve`.

    Raises:
        UnknownDevice: there is none, or not the one that was asked for.
        MeterError, MissingDependencyError: NVML cannot be used.
    """
    words = [word.strip() for word in asked.split(",") if word.strip()]
    with closing(Nvml()) as nvml:
        gpus = nvml.gpus()
        if words == ["all"] and _VISIBLE in environ:
            words = [str(index) for index in range(len(visible(environ, len(gpus))))]
        elif words == ["all"]:
            words = [gpu.uuid for gpu in gpus]
        found = {gpu.uuid: gpu for gpu in (nvml.resolve(word, environ) for word in words)}
    if not found:
        raise UnknownDevice("there is no such GPU", value=asked)
    return list(found.values())


def visible(environ: Mapping[str, str], count: int) -> list[str]:
    """The devices that CUDA shows a process: indices, or names of GPUs and MIG instances.

    The list ends at the first entry that is not of the first one's kind, does not exist, or was
    there before (CUDA programming guide, environment variables).
    """
    if _VISIBLE not in environ:
        return [str(index) for index in range(count)]
    entries: list[str] = []
    for part in environ[_VISIBLE].split(","):
        entry = part.strip()
        if entry.isdecimal() and int(entry) < count:
            entry = str(int(entry))
        elif not _is_name(entry):
            break
        if entry in entries or (entries and _is_name(entry) != _is_name(entries[0])):
            break
        entries.append(entry)
    return entries


def _is_name(device: object) -> bool:
    return str(device).startswith(("GPU-", "MIG-"))


def _index(device: int | str) -> int:
    """Torch's index of `1`, `"1"`, `"cuda:1"` or `"cuda"`, which is the first."""
    text = "0" if device == "cuda" else str(device).removeprefix("cuda:")
    if text.startswith(("mps", "xpu")):
        raise Unsupported(f"its energy is not measured: {_MEASURED}", value=device, remedy=_CPU)
    if not text.isdecimal():
        raise UnknownDevice("a device must be an index, 'cuda:0' or a UUID", value=device)
    return int(text)


def torch_uuid(device: int | str) -> str | None:
    """UUID that torch's CUDA gives an index; None if torch is not imported or does not give it."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or _is_name(device):
        return None
    index = torch.cuda.current_device() if device == "cuda" else _index(device)
    if index >= torch.cuda.device_count():
        return None
    # Before torch 2.4 there is no such property.
    uuid = getattr(torch.cuda.get_device_properties(index), "uuid", None)
    return None if uuid is None else str(uuid) if _is_name(uuid) else f"GPU-{uuid}"


def torch_in_use() -> Any:
    """torch, if it uses CUDA in this process; else None."""
    torch: Any = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_initialized() else None


def unmeasured() -> str:
    """What to know where torch has a GPU that is not NVIDIA's; empty elsewhere."""
    torch: Any = sys.modules.get("torch")
    if getattr(getattr(torch, "version", None), "hip", None):
        return f"torch is built for ROCm, and the energy of AMD's GPUs is not measured: {_MEASURED}"
    mps = getattr(getattr(torch, "backends", None), "mps", None)
    if mps is not None and mps.is_available():
        return f"torch has Apple's GPU (mps), whose energy is not measured: {_MEASURED}"
    return ""


# -- the energy of one GPU -----------------------------------------------------------------------

_POWER_POLL_S = 0.3  # a steady power shows no refreshes, however long it is watched


def gpu_source(
    nvml: Nvml,
    gpu: Gpu,
    *,
    poll_seconds: float,
    sample_period_s: float,
    shared: str,
    clock: Callable[[], float],
    sleep: Callable[[float], object],
) -> Source:
    """The best energy sensor of a GPU; see `EnergyMeter` for the arguments.

    The energy counter comes first, then instantaneous power, then average power, each found by
    querying it: what a model should have and what its driver supports differ. The power of a whole
    module (GH200, GB200) comes last. A power sensor of the GPU beside a counter is integrated too,
    as a check.

    Raises:
        MeterError: the GPU is gone, is shared, or has none of these sensors.
    """
    state = partial(nvml.state, gpu)
    measure_all = "or measure all of it with shared='flag' (--shared flag)"
    if gpu.mig and shared != "flag":
        text = "the GPU is divided into MIG instances, and its sensors count all of them"
        raise SharedGpu(text, value=gpu.uuid, remedy=f"train on an undivided GPU, {measure_all}")
    others = state().others or ()
    if unwelcome := refused(others, shared):
        text = "other processes use this GPU, and its sensors count them too"
        raise SharedGpu(text, value=unwelcome, remedy=f"wait for a free GPU, {measure_all}")
    notes = [f"shared with processes {[p.pid for p in others]}"] if others else []

    def found(method: str, quantity: str, add: Any, seconds: float) -> Sensor | None:
        read = partial(nvml.number, gpu, quantity)
        try:
            period = update_period_s(read, seconds=seconds, clock=clock, sleep=sleep)
        except GpuLost:
            raise
        except MeterError as error:
            notes.append(f"{method}: {error}")
            return None
        if add is counted and math.isnan(period):
            notes.append(f"{method}: it did not move twice in {seconds:g} s")
            return None
        if method == "module-power":
            notes.append("module-power: of the whole module, with its CPU and memory")
        return Sensor(method, read, add, period)

    counter = found("counter", "total_energy_j", counted, poll_seconds)
    # Beside a counter the period is not needed, and a module's power is no check of its GPU.
    kinds = ("instant", "average") if counter else ("instant", "average", "module")
    seconds = 0.0 if counter else min(poll_seconds, _POWER_POLL_S)
    add = partial(integrated, max_gap_s=max(1.0, 5 * sample_period_s))
    powers = (found(f"{kind}-power", f"{kind}_power_w", add, seconds) for kind in kinds)
    sensors = [sensor for sensor in (counter, next(filter(None, powers), None)) if sensor]
    if not sensors:
        raise Unsupported(
            f"{gpu.name} ({gpu.uuid}) has no sensor of energy or power",
            value="; ".join(notes),
            remedy=f"measure on another GPU, or {_CPU}",
        )
    return Source("energy_j", sensors, tuple(notes), state, gpu.mig, shared)
