"""Energy of a block of code on this machine: GPUs by NVML, CPU packages and memory by RAPL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from naslib_ecnas.lazy import lazily

if TYPE_CHECKING:
    from naslib_ecnas.energy.callbacks import lightning_callback as lightning_callback
    from naslib_ecnas.energy.callbacks import transformers_callback as transformers_callback
    from naslib_ecnas.energy.meter import EnergyMeter as EnergyMeter
    from naslib_ecnas.energy.meter import Meter as Meter
    from naslib_ecnas.energy.meter import NullMeter as NullMeter
    from naslib_ecnas.energy.meter import OpenWindow as OpenWindow
    from naslib_ecnas.energy.readings import Baseline as Baseline
    from naslib_ecnas.energy.readings import CpuState as CpuState
    from naslib_ecnas.energy.readings import GpuProcess as GpuProcess
    from naslib_ecnas.energy.readings import GpuSetup as GpuSetup
    from naslib_ecnas.energy.readings import GpuState as GpuState
    from naslib_ecnas.energy.readings import Net as Net
    from naslib_ecnas.energy.readings import PartsCheck as PartsCheck
    from naslib_ecnas.energy.readings import Reading as Reading
    from naslib_ecnas.energy.readings import Window as Window
    from naslib_ecnas.energy.readings import check_parts as check_parts
    from naslib_ecnas.energy.readings import net as net
    from naslib_ecnas.energy.replay import ReplayMeter as ReplayMeter
    from naslib_ecnas.energy.sensors import Denied as Denied
    from naslib_ecnas.energy.sensors import GpuLost as GpuLost
    from naslib_ecnas.energy.sensors import MeterError as MeterError
    from naslib_ecnas.energy.sensors import NvmlUnavailable as NvmlUnavailable
    from naslib_ecnas.energy.sensors import SharedGpu as SharedGpu
    from naslib_ecnas.energy.sensors import UnknownDevice as UnknownDevice
    from naslib_ecnas.energy.sensors import Unsupported as Unsupported

__all__, __getattr__ = lazily(__name__)
