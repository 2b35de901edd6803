"""The energies of a record: of its windows, its training and the whole, and why one is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping

from naslib_ecnas.campaign.measurement import Measurement
from naslib_ecnas.energy.reading import Reading
from naslib_ecnas.energy.window import Window

__all__ = [
    "essential_faults",
    "has_cpu",
    "is_measured",
    "total_j",
    "training_j",
    "unresolved",
    "window_j",
]

_TOO_SHORT = "too-short"


def is_measured(record: Measurement) -> bool:
    """Whether there was a meter with sensors."""
    return record.meter.kind != "none"


def has_cpu(record: Measurement) -> bool:
    """Whether the CPU packages' energy is known over the whole run."""
    total = record.window("total")
    return total is not None and math.isfinite(total.cpu_total_j)


def essential(window: Window) -> Mapping[str, Reading]:
    """The readings that a unit is measured for: of its GPUs, else of the CPU."""
    return window.energy_j or window.cpu_energy_j


def essential_faults(record: Measurement) -> tuple[str, ...]:
    """Why windows of a record are invalid, so that the unit has to be measured again.

    A single step at the start may be over before a sensor refreshes; that alone spoils nothing.
    """
    if not is_measured(record):
        return ()
    found = []
    for name in (training.name for training in record.training.windows):
        window = record.window(name)
        readings = {} if window is None else essential(window)
        if not readings:
            found.append(f"{name}: no reading")
        for reading in readings.values():
            if not reading.valid and not (reading.reason == _TOO_SHORT and name != "total"):
                found.append(f"{name}: {reading.reason} ({reading.detail})")
    return tuple(found)


def window_j(window: Window | None, *, cpu: bool) -> float:
    """Joules of a window: GPUs and, where asked for or where there is no GPU, CPU packages.

    NaN where a part is not known.
    """
    if window is None:
        return math.nan
    parts = [window.gpu_total_j] if window.energy_j else []
    if cpu or not window.energy_j:
        parts.append(window.cpu_total_j)
    return math.fsum(parts) if all(map(math.isfinite, parts)) else math.nan


def total_j(record: Measurement, *, cpu: bool) -> float:
    """Joules of the whole run, start-up and evaluations included; NaN where unknown."""
    return window_j(record.window("total"), cpu=cpu)


def unresolved(record: Measurement) -> tuple[str, ...]:
    """Segments of training that were over before a sensor refreshed."""
    return tuple(
        segment.window.name
        for segment in record.training.segments
        if (window := record.window(segment.window.name)) is not None
        and _TOO_SHORT in {reading.reason for reading in essential(window).values()}
    )


def training_j(record: Measurement, *, cpu: bool, segments: int | None = None) -> float:
    """Joules of the segments of training; NaN where unknown.

    A segment that was too short for the sensor, in practice the one step at rate 0, is taken at
    the mean power of the others.

    Args:
        record: the unit's.
        cpu: whether CPU packages count.
        segments: how many of the first segments; all where left out.
    """
    short = unresolved(record)
    known: list[tuple[float, float]] = []
    for segment in record.training.segments:
        if segment.window.name not in short:
            joules = window_j(record.window(segment.window.name), cpu=cpu)
            known.append((joules, segment.window.seconds))
    seconds = sum(time for _, time in known)
    power = math.fsum(joules for joules, _ in known) / seconds if seconds > 0 else math.nan
    chosen = record.training.segments[:segments]
    return math.fsum(
        power * segment.window.seconds
        if segment.window.name in short
        else window_j(record.window(segment.window.name), cpu=cpu)
        for segment in chosen
    )
