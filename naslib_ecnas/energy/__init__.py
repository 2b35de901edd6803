"""The energy of a piece of work on this machine: windows of NVML and RAPL, with typed faults."""

from naslib_ecnas.energy.baseline import Baseline, Net, net
from naslib_ecnas.energy.faults import (
    Denied,
    GpuLost,
    MeterError,
    NvmlUnavailable,
    SharedGpu,
    UnknownDevice,
    Unsupported,
)
from naslib_ecnas.energy.meter import EnergyMeter
from naslib_ecnas.energy.null import NullMeter
from naslib_ecnas.energy.parts import PartsCheck, check_parts
from naslib_ecnas.energy.protocol import Meter, OpenWindow
from naslib_ecnas.energy.reading import GpuProcess, GpuState, Reading
from naslib_ecnas.energy.replay import ReplayMeter
from naslib_ecnas.energy.window import CpuState, Window

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
