"""Sensors of one device: their errors, running sums, and the readings that follow from these.

A window's reading follows from two points of a sensor's running sums: the rise of a counter, or the
integral of sampled power. A window of any length therefore needs no memory, and a fault lies in a
window exactly when its two points count it differently.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, ClassVar

from naslib_ecnas.energy.readings import MAX_DISAGREEMENT, GpuProcess, GpuState, Reading, invalid
from naslib_ecnas.errors import EcnasError

#: Refresh period taken for a sensor whose own could not be measured, in s; counters and power
#: sensors refresh every 20 to 100 ms (Yang et al., arXiv 2312.02741, Table 1).
_ASSUMED_PERIOD_S = 0.1

#: Power sensor -> seconds over which it averages: `nvmlDeviceGetPowerUsage` does so on Ampere and
#: newer (NVML's reference).
_LAG_S = {"instant-power": 0.0, "average-power": 1.0, "module-power": 0.0}

_RESOLUTION_J = 1e-3  # NVML's counter counts in mJ
_POLL_S = 1e-3  # pause between two queries while a refresh period is measured
_STEPS = 8  # refresh periods whose median is taken
_ABOVE_LIMIT = 1.2  # a mean power above the limit by more than the board's own error


# -- errors --------------------------------------------------------------------------------------
# Opening a meter raises them; a window never does, its reading is invalid with the error's reason.


class MeterError(EcnasError):
    """Base of all errors of the energy meter.

    Attributes:
        reason: one word for the error, which an invalid `Reading` gives as its reason.
    """

    reason: ClassVar[str] = "failed"

    def __init_subclass__(cls, *, reason: str = "failed") -> None:
        super().__init_subclass__()
        cls.reason = reason


class Unsupported(MeterError, reason="unsupported"):
    """The device has no such sensor, or its driver does not answer for it."""


class GpuLost(MeterError, reason="gpu-lost"):
    """The GPU is no longer on the bus, or has to be reset."""


class Denied(MeterError, reason="denied"):
    """This user may not read the sensor."""


class NotANumber(MeterError, reason="not-a-number"):
    """The sensor returned no number of at least 0, or the bits that stand for "not available"."""


class QueryFailed(MeterError, reason="query-failed"):
    """The sensor's library returned another error."""


class MeterFailed(MeterError, reason="meter-failed"):
    """The meter's own thread does not answer, was closed, or belongs to another process."""


class NvmlUnavailable(MeterError, reason="unsupported"):
    """NVIDIA's library or driver is not installed."""


class UnknownDevice(MeterError, LookupError):
    """No GPU, or more than one, has this index, UUID or entry of `CUDA_VISIBLE_DEVICES`."""


class SharedGpu(MeterError, reason="shared"):
    """The GPU is divided or used by others: its energy is not of this training alone."""


# -- running sums --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """The running sums of one sensor from its first sample to its last good one."""

    time: float = math.nan
    """Of the last good sample, in s."""
    value: float = math.nan
    """The last good sample: J of a counter, W of a power sensor."""
    energy_j: float = 0.0
    """Energy since the first sample."""
    spread_j: float = 0.0
    """Sum of half of each change of power times its step: bounds the error of the trapezoids for a
    power that rises or falls steadily between samples."""
    moved: float = math.nan
    """Time of a counter's last sample that was higher than the one before it."""
    reason: str = "unsupported"
    """Why the last query failed; empty if it succeeded."""
    detail: str = ""
    """Description of the last fault."""
    faults: Counter[str] = field(default_factory=Counter)
    """Reason -> how often it occurred so far."""

    def failed(self, reason: str, detail: str) -> Point:
        """The point after a fault, such as a query that failed."""
        faults = self.faults + Counter({reason: 1})
        return replace(self, reason=reason, detail=detail, faults=faults)


def counted(
    point: Point,
    time: float,
    value_j: float,
    *,
    wrap_j: float = math.inf,
    max_power_w: float = math.inf,
) -> Point:
    """The point after a sample of an energy counter, at a time not before the last one's.

    Args:
        wrap_j: value after which the counter starts at 0 again; infinite if it never does.
        max_power_w: a power that the device cannot exceed. A fall that would need more is a reset,
            and a gap in which the counter could have wrapped twice is a fault.
    """
    if math.isnan(point.value):
        return replace(point, time=time, value=value_j, moved=time, reason="")
    wraps = math.isfinite(wrap_j)
    rise, step = value_j - point.value, time - point.time
    if wraps and step * max_power_w >= wrap_j:
        point = point.failed("gap", f"{step:.0f} s between samples, long enough for a second wrap")
    if rise < 0:
        fall = f"the counter fell from {point.value:.3f} J to {value_j:.3f} J"
        rise += wrap_j
        # A second beside the step: samples and the counter's own refreshes do not coincide.
        if not wraps or not 0 <= rise <= (step + 1.0) * max_power_w:
            point = point.failed("reset", fall + ", and no wrap explains it" * wraps)
            rise = 0.0  # every window over it is invalid, so the sum is not used
    moved = time if rise > 0 else point.moved
    energy = point.energy_j + rise
    return replace(point, time=time, value=value_j, energy_j=energy, moved=moved, reason="")


def integrated(point: Point, time: float, power_w: float, *, max_gap_s: float) -> Point:
    """The point after a sample of power, integrated by trapezoids.

    Args:
        max_gap_s: samples further apart than this do not represent the time between them.
    """
    if math.isnan(point.value):
        return replace(point, time=time, value=power_w, reason="")
    step = time - point.time
    if step > max_gap_s:
        point = point.failed("gap", f"{step:.2f} s between two samples of power")
    energy = point.energy_j + 0.5 * (power_w + point.value) * step
    spread = point.spread_j + 0.5 * abs(power_w - point.value) * step
    return replace(point, time=time, value=power_w, energy_j=energy, spread_j=spread, reason="")


# -- from two points to a reading ----------------------------------------------------------------

#: Faults that make a window invalid wherever they lie in it, the gravest first.
_GRAVE = ("gpu-lost", "reset", "not-a-number", "meter-failed", "gap")


def _fault(start: Point, stop: Point, *, frozen_s: float) -> tuple[str, str] | None:
    """Reason and detail of the gravest fault at the edges or between them."""
    for reason in _GRAVE:
        if start.faults[reason] != stop.faults[reason]:
            return reason, stop.detail
    edges = ("start", start), ("end", stop)
    for edge, point in edges:
        if point.reason:
            return point.reason, f"at the {edge}: {point.detail or point.reason}"
    for edge, point in edges:
        still = point.time - point.moved  # NaN, and so not above, for a power sensor
        if still > frozen_s:
            return "frozen", f"at the {edge} the counter had not moved for {still:.1f} s"
    return None


def agreement(counter: Reading, integral: Reading) -> str:
    """How a counter and integrated power agree; one of `readings.AGREEMENTS`."""
    if not (counter.valid and integral.valid):
        return "unchecked"
    apart = abs(counter.energy_j - integral.energy_j)
    if apart <= MAX_DISAGREEMENT * counter.energy_j:
        return "agree"
    timing = counter.uncertainty_j + integral.uncertainty_j
    return "undecided" if apart <= timing else "apart"


# -- sensors -------------------------------------------------------------------------------------


@dataclass
class Sensor:
    """One sensor: how to query it, and the running sums of its samples."""

    method: str
    """One of `readings.METHODS`."""
    read: Callable[[], float]
    """Queries it, in J or W."""
    add: Callable[[Point, float, float], Point]
    """`counted` or `integrated`, with the sensor's limits."""
    period_s: float
    """Seconds between two refreshes; NaN if it could not be seen."""
    point: Point = Point()

    def sample(self, clock: Callable[[], float]) -> Point:
        """Query the sensor once, and return its running sums; faults are counted, not raised."""
        before = clock()
        try:
            value = self.read()
            if not 0 <= value < math.inf:
                raise NotANumber("the sensor must return a number of at least 0", value=value)
        except MeterError as error:
            self.point = self.point.failed(error.reason, str(error))
        except Exception as error:  # noqa: BLE001 - whatever a binding raises, the training goes on
            self.point = self.point.failed("meter-failed", f"{type(error).__name__}: {error}")
        else:
            self.point = self.add(self.point, 0.5 * (before + clock()), value)
        return self.point

    def reading(
        self,
        start: Point,
        stop: Point,
        edges: tuple[float, float],
        edge_power_w: Sequence[float] = (),
    ) -> Reading:
        """Energy between two points, with its validity and uncertainty.

        A counter may lag its device by up to a refresh period at either edge. The two lags act in
        opposite directions, so the error is at most one period at the higher of the edges' powers.

        The uncertainty of integrated power is a sum: of the trapezoids (`Point.spread_j`); and of
        the sensor's delay (refresh period, and the averaging of average power) times the change of
        power between the edges, since a delay moves the window.

        To both is added the power times the skew, the time from the window's edges to the points. A
        point's time is the middle of its query. The sensor answered somewhere within the query,
        which began no sooner than the edge, so it lies at most twice that far from the edge.

        Args:
            edges: times of the window's edges in s.
            edge_power_w: for a counter, powers known at the edges; without any, the mean power is
                used.
        """
        period = _ASSUMED_PERIOD_S if math.isnan(self.period_s) else self.period_s
        seconds, energy = stop.time - start.time, stop.energy_j - start.energy_j
        fault = _fault(start, stop, frozen_s=max(1.0, 10 * period))
        if fault is None and energy <= 0 and self.method not in _LAG_S:
            text = f"the counter did not step in {seconds:.3f} s; it refreshes every"
            fault = "too-short", f"{text} {self.period_s:.3f} s"
        if fault is not None:
            return invalid(*fault, method=self.method, update_period_s=self.period_s)
        skew = 2 * (abs(start.time - edges[0]) + abs(stop.time - edges[1]))
        if self.method in _LAG_S:
            doubt = stop.spread_j - start.spread_j + skew * max(start.value, stop.value)
            doubt += (period + _LAG_S[self.method]) * abs(stop.value - start.value)
        else:
            powers = edge_power_w or [energy / seconds]
            doubt = max(*powers, energy / (seconds + period)) * (period + skew)
        return Reading(
            energy_j=energy,
            method=self.method,
            uncertainty_j=doubt + _RESOLUTION_J,
            update_period_s=self.period_s,
            flags=("failed-samples",) if start.faults != stop.faults else (),
        )


#: What to do with a GPU that is divided or used by other processes.
SHARED = ("refuse", "flag", "graphics")


def refused(others: Iterable[GpuProcess], shared: str) -> list[int]:
    """Numbers of the processes beside which a GPU is not measured.

    `refuse`: all of them; `graphics`: those that do not only draw, such as another training;
    `flag`: none.
    """
    pids = {p.pid for p in others if shared == "refuse" or not p.draws}
    return [] if shared == "flag" else sorted(pids)


@dataclass(frozen=True)
class Edge:
    """One edge of a window, with what the sensors counted until then, by device."""

    time: float
    unix: float
    points: Mapping[str, Sequence[Point]] = field(default_factory=dict)
    states: Mapping[str, GpuState | None] = field(default_factory=dict)
    reason: str = ""
    """Why there are no points."""
    detail: str = ""


@dataclass(frozen=True)
class Source:
    """The sensors of one device: the first measures it, a second one checks the first."""

    kind: str
    """Field of a `Window` that its readings belong to."""
    sensors: Sequence[Sensor]
    notes: tuple[str, ...] = ()
    """Why better sensors are not used."""
    state: Callable[[], GpuState | None] = lambda: None
    """Queries clocks, temperature and the like."""
    divided: bool = False
    """Whether it is a GPU that is divided into MIG instances."""
    shared: str = "flag"
    """Which other processes on the GPU make a reading invalid; see `refused`."""

    def reading(self, name: str, start: Edge, stop: Edge) -> Reading:
        """The energy of the device of this name in a window, with validity and flags."""
        sensor, states = self.sensors[0], (start.states.get(name), stop.states.get(name))
        known: dict[str, Any] = {"method": sensor.method, "update_period_s": sensor.period_s}
        known |= {"start": states[0], "stop": states[1]}
        for edge in (start, stop):
            if edge.reason:
                return invalid(edge.reason, edge.detail, **known)
        pairs = list(zip(self.sensors, start.points[name], stop.points[name], strict=True))
        powers = [p.value for _, *points in pairs[1:] for p in points if not p.reason]
        times = start.time, stop.time
        reading, *checks = (s.reading(first, last, times, powers) for s, first, last in pairs)
        reading = replace(reading, start=states[0], stop=states[1])
        others = [other for state in reading.states for other in state.others or ()]
        if pids := refused(others, self.shared):
            return invalid("shared", f"other processes used the GPU: {pids}", **known)
        flags = reading.flags
        for check in checks:
            verdict = agreement(reading, check)
            flags += ("counter-against-power",) * (verdict == "apart")
            reading = replace(reading, integral_j=check.energy_j, agreement=verdict)
        module = reading.method == "module-power"
        limits_w = () if module else reading.power_limits_w  # a module's limit is not known
        limit_j = max(limits_w, default=math.inf) * (pairs[0][2].time - pairs[0][1].time)
        above = reading.energy_j - reading.uncertainty_j > _ABOVE_LIMIT * limit_j
        found = {
            "shared": self.divided or bool(refused(others, "graphics")),
            "graphics": any(other.draws for other in others),
            "module": module,
            "above-power-limit": above,
        }
        return replace(reading, flags=(*flags, *(name for name, is_so in found.items() if is_so)))


def update_period_s(
    read: Callable[[], float],
    *,
    seconds: float,
    clock: Callable[[], float],
    sleep: Callable[[float], object],
) -> float:
    """Median seconds between two changes of a sensor's value; NaN if it changes less than twice.

    The sensor is queried for `seconds` at most, or until nine changes; its errors pass through.
    """
    began = clock()
    last, changes = read(), list[float]()
    while clock() - began < seconds and len(changes) <= _STEPS:
        sleep(_POLL_S)
        value, now = read(), clock()
        if value != last:
            changes.append(now)
            last = value
    steps = [after - before for before, after in pairwise(changes)]
    return statistics.median(steps) if steps else math.nan
