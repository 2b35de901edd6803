"""What can go wrong with a sensor, as types.

Opening a meter raises these; a window never does, it is marked invalid with the fault's `reason`.
"""

from __future__ import annotations

from typing import ClassVar

from naslib_ecnas.errors import EcnasError

__all__ = [
    "Denied",
    "GpuLost",
    "MeterError",
    "MeterFailed",
    "NotANumber",
    "NvmlUnavailable",
    "QueryFailed",
    "SharedGpu",
    "UnknownDevice",
    "Unsupported",
]


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
