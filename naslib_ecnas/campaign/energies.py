"""The energies of a record: of its windows, its training and the whole, and why one is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping

from naslib_ecnas.campaign.measurement import Measurement
from naslib_ecnas.energy.reading import Reading
from naslib_ecnas.energy.window import Window
from naslib_ecnas.training.record import WHEN

__all__ = [
    "essential_faults",
    "has_cpu",
    "is_measured",
    "run_j",
    "segments_before",
    "start_up_share",
    "total_j",
    "training_j",
    "unresolved",
    "window_j",
]

_TOO_SHORT = "too-short"
#: Epochs of the trainings that devices are calibrated on.
_FOUR = 4


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


def run_j(record: Measurement, *, cpu: bool, when: str = "end") -> float:
    """Joules from the start of the run to an evaluation; NaN where unknown.

    As EC-NAS's files count: start-up and the evaluations before are in. It is the sum of the
    windows, so that what falls between two of them, mere milliseconds, is out. A window that was
    too short for the sensor is taken at the run's mean power.

    Args:
        record: the unit's.
        cpu: whether CPU packages count.
        when: which evaluation, one of `WHEN`.
    """
    training, total = record.training, record.window("total")
    earlier = WHEN[: WHEN.index(when)]
    names = [w.name for w in training.windows if w.name == "init"]
    names += [e.window.name for e in training.evaluations if e.when in earlier]
    power = window_j(total, cpu=cpu) / total.seconds if total and total.seconds > 0 else math.nan
    parts = [training_j(record, cpu=cpu, segments=segments_before(record, when))]
    for name in names:
        window = record.window(name)
        short = window is not None and _TOO_SHORT in {r.reason for r in essential(window).values()}
        parts.append(power * window.seconds if window and short else window_j(window, cpu=cpu))
    return math.fsum(parts)


def segments_before(record: Measurement, when: str) -> int:
    """How many segments of training lie before an evaluation."""
    at = next(e.steps for e in record.training.evaluations if e.when == when)
    return sum(s.first_step + s.steps <= at for s in record.training.segments)


def start_up_share(record: Measurement, *, cpu: bool) -> float:
    """Share of start-up and evaluations in the energy of a run of 4 epochs; NaN where unknown.

    They cost the same whatever the budget, so that a run of any budget tells it: of `a + b n` for
    n epochs it is `a / (a + 4 b)`.
    """
    training = record.training
    steps = training_j(record, cpu=cpu)
    fixed = run_j(record, cpu=cpu) - steps
    four = steps / training.steps * training.budget_steps / training.epochs * _FOUR
    return fixed / (fixed + four) if fixed + four > 0 else math.nan
