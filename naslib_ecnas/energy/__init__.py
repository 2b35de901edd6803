"""Energy of a block of code on this machine: GPUs by NVML, CPU packages and memory by RAPL."""

from naslib_ecnas.energy.meter import EnergyMeter, Meter, NullMeter, OpenWindow
from naslib_ecnas.energy.readings import (
    Baseline,
    CpuState,
    GpuProcess,
    GpuState,
    Net,
    PartsCheck,
    Reading,
    Window,
    check_parts,
    net,
)
from naslib_ecnas.energy.replay import ReplayMeter
from naslib_ecnas.energy.sensors import (
    Denied,
    GpuLost,
    MeterError,
    NvmlUnavailable,
    SharedGpu,
    UnknownDevice,
    Unsupported,
)

__all__ = [
    "Baseline",
    "CpuState",
    "Denied",
    "EnergyMeter",
    "GpuLost",
    "GpuProcess",
    "GpuState",
    "Meter",
    "MeterError",
    "Net",
    "NullMeter",
    "NvmlUnavailable",
    "OpenWindow",
    "PartsCheck",
    "Reading",
    "ReplayMeter",
    "SharedGpu",
    "UnknownDevice",
    "Unsupported",
    "Window",
    "check_parts",
    "net",
]
