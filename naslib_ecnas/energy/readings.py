"""Energy of a window: its value, whether it is valid, and its uncertainty.

A `Reading` is the energy of one device over one `Window`. It follows from two points of a running
sum: a `CounterTrack` sums the rise of an energy counter, a `PowerTrack` integrates sampled power.
A window of any length therefore needs no memory, and a fault lies in a window exactly when the two
points count it differently. Energies are in joules, powers in watts, times in seconds.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from naslib_ecnas.errors import ConfigError, FormatError
from naslib_ecnas.files import MaybeNaN, from_json, from_plain, to_json, to_plain

__all__ = [
    "MAX_DISAGREEMENT",
    "Baseline",
    "CounterPoint",
    "CounterTrack",
    "CpuState",
    "GpuProcess",
    "GpuState",
    "Net",
    "PartsCheck",
    "PowerPoint",
    "PowerTrack",
    "Reading",
    "Window",
    "agreement",
    "check_name",
    "check_parts",
    "counter_reading",
    "frozen_after_s",
    "invalid",
    "net",
    "power_reading",
    "skew_s",
    "update_period_s",
]

#: How an energy was measured.
METHODS = ("counter", "instant-power", "average-power", "rapl", "replay", "unmeasured", "none")

#: A counter and integrated power lie within 5 % of each other; further apart; further apart, but no
#: more than the timing of the two sensors explains; or cannot be compared.
AGREEMENTS = ("agree", "apart", "undecided", "unchecked")

#: Counter and integral that differ by more than this share of the counter are flagged.
MAX_DISAGREEMENT = 0.05

#: Refresh period taken for a sensor whose own could not be measured, in s; counters and power
#: sensors refresh every 20 to 100 ms (Yang et al., arXiv 2312.02741, Table 1).
ASSUMED_PERIOD_S = 0.1

#: Delay of a power sensor in s. `nvmlDeviceGetPowerUsage` averages over a second on Ampere and
#: newer (NVML's reference).
_LAG_S = {"instant-power": 0.0, "average-power": 1.0}

_RESOLUTION_J = 1e-3  # NVML's counter counts in mJ

_POLL_S = 1e-3  # pause between two queries while a refresh period is measured

_STEPS = 8  # refresh periods whose median is taken

_ROUNDING = 1e-9  # share of a sum that is lost in floating point


# -- what a window holds -------------------------------------------------------------------------


@dataclass(frozen=True)
class GpuProcess:
    """A process on the GPU that does not belong to the training."""

    pid: int
    memory_bytes: MaybeNaN
    """NaN where the driver does not say."""
    visible: bool
    """Whether /proc lists it; a container does not see the host's processes."""


@dataclass(frozen=True)
class GpuState:
    """A GPU at the edge of a window. NaN and None where `unsupported` names the quantity."""

    power_w: MaybeNaN = math.nan
    temperature_c: MaybeNaN = math.nan
    sm_clock_mhz: MaybeNaN = math.nan
    memory_clock_mhz: MaybeNaN = math.nan
    power_limit_w: MaybeNaN = math.nan
    throttle_reasons: tuple[str, ...] | None = None
    others: tuple[GpuProcess, ...] | None = None
    """Other processes on this GPU."""
    unsupported: tuple[str, ...] = ()
    """Names of the quantities that could not be read."""


@dataclass(frozen=True)
class Reading:
    """Energy of one device over one window. An invalid reading has the energy NaN, never 0."""

    energy_j: MaybeNaN
    """Joules, gross. NaN where the reading is invalid."""
    method: str
    """One of `METHODS`."""
    valid: bool = True
    reason: str = ""
    """Why the reading is invalid, one word: `reset`, `gpu-lost`, `frozen`, `not-a-number`,
    `too-short`, `gap`, `shared`, `denied`, `unsupported`, `unmeasured`, `query-failed`,
    `meter-failed`, `sync-failed`, `unfinished`, `not-recorded`, `outside-trace`."""
    detail: str = ""
    """The same as a sentence, with the numbers."""
    uncertainty_j: MaybeNaN = math.nan
    """Bound on the error that the sensor's refresh period makes at the two edges, and, for
    integrated power, that the sampling makes. The sensor's own accuracy is not included."""
    update_period_s: MaybeNaN = math.nan
    """Seconds between two refreshes of the sensor, measured when the meter was opened."""
    integral_j: MaybeNaN = math.nan
    """Integral of sampled power beside a counter; NaN if the GPU has one sensor only."""
    agreement: str = "unchecked"
    """One of `AGREEMENTS`."""
    flags: tuple[str, ...] = ()
    """Warnings about a valid reading: `shared`, `counter-against-power`, `above-power-limit`,
    `failed-samples`."""
    start: GpuState | None = field(default=None, repr=False)
    stop: GpuState | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"method must be one of {', '.join(METHODS)}", value=self.method)
        if self.agreement not in AGREEMENTS:
            known = ", ".join(AGREEMENTS)
            raise ConfigError(f"agreement must be one of {known}", value=self.agreement)
        if self.valid != math.isfinite(self.energy_j) or self.valid == bool(self.reason):
            raise ConfigError(
                "a reading needs a finite energy and no reason, or NaN and a reason",
                value=(self.energy_j, self.valid, self.reason),
            )


def invalid(reason: str, detail: str, *, method: str, **rest: Any) -> Reading:
    """A reading without an energy; `rest` are other fields of `Reading`."""
    return Reading(
        energy_j=math.nan, method=method, valid=False, reason=reason, detail=detail, **rest
    )


@dataclass(frozen=True)
class CpuState:
    """Whether the energy of CPU packages and memory is measured, and if not, why."""

    kind: str
    """`measured`, `absent` (this machine has no such counters), `denied` (this user may not read
    them), `elsewhere` (another process of this node counts them), `off` (not asked for)."""
    detail: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Window:
    """What one `with meter.window(name)` measured. Energies in J, gross, without PUE."""

    name: str
    path: str
    """Names of the enclosing windows and its own, joined by `/`."""
    index: int
    """Number in the order of opening, unique within a meter."""
    parent: int | None
    """Index of the enclosing window; None for the outermost."""
    started: float
    """`time.monotonic` in s."""
    stopped: float
    started_unix: float
    """`time.time` in s."""
    stopped_unix: float
    energy_j: Mapping[str, Reading] = field(default_factory=dict)
    """GPU UUID -> reading."""
    cpu_energy_j: Mapping[str, Reading] = field(default_factory=dict)
    """CPU package -> reading; of the whole package, not of this process alone."""
    dram_energy_j: Mapping[str, Reading] = field(default_factory=dict)
    """Memory domain -> reading."""
    cpu_state: CpuState = CpuState("off")
    error: str = ""
    """Type of the exception that ended the block; empty if none did."""

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.stopped - self.started

    @property
    def valid(self) -> bool:
        """Whether there are GPU readings and all of them are valid."""
        return bool(self.energy_j) and all(r.valid for r in self.energy_j.values())

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why GPU readings are invalid, each reason once."""
        return tuple(dict.fromkeys(r.reason for r in self.energy_j.values() if not r.valid))

    @property
    def gpu_total_j(self) -> float:
        """Sum over the GPUs; NaN if there is none or one is invalid."""
        return _total(self.energy_j)

    @property
    def cpu_total_j(self) -> float:
        """Sum over the CPU packages; NaN if there is none or one is invalid."""
        return _total(self.cpu_energy_j)

    @property
    def dram_total_j(self) -> float:
        """Sum over the memory domains; NaN if there is none or one is invalid."""
        return _total(self.dram_energy_j)

    def readings(self) -> dict[str, Reading]:
        """Readings of all devices: GPUs, CPU packages and memory domains."""
        return {**self.energy_j, **self.cpu_energy_j, **self.dram_energy_j}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the fields, and duration, sums and validity; NaN becomes None."""
        derived = ("seconds", "valid", "gpu_total_j", "cpu_total_j", "dram_total_j")
        return {**to_plain(self), **{name: to_plain(getattr(self, name)) for name in derived}}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return to_json(self.to_dict(), indent=indent)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Window:
        """The inverse of `to_dict`.

        Raises:
            FormatError: the data are not the fields of a window.
        """
        if not isinstance(data, Mapping):
            raise FormatError("an energy window must be an object", value=data)
        names = [known.name for known in fields(cls)]
        return from_plain(cls, {name: data[name] for name in names if name in data})

    @classmethod
    def from_json(cls, text: str) -> Window:
        """The inverse of `to_json`.

        Raises:
            FormatError: the text is not JSON, or not of a window.
        """
        try:
            data = from_json(text)
        except ValueError as error:
            raise FormatError(f"an energy window must be JSON: {error}") from error
        return cls.from_dict(data)


def _total(readings: Mapping[str, Reading]) -> float:
    return sum(r.energy_j for r in readings.values()) if readings else math.nan


def check_name(name: object) -> str:
    """The name of a window.

    Raises:
        ConfigError: it is not a text, is empty, or contains a slash, which separates paths.
    """
    if not isinstance(name, str) or not name or "/" in name:
        raise ConfigError("the name of a window must be a text without a slash", value=name)
    return name


# -- running sums of one sensor ------------------------------------------------------------------


@dataclass(frozen=True)
class Faults:
    """How often each fault occurred so far, and a description of the last one."""

    resets: int
    """The counter fell."""
    gaps: int
    """Two samples lie too far apart to represent the time between them."""
    lost: int
    """The device no longer existed."""
    not_a_number: int
    failed: int
    """A query failed for another reason; the next one may succeed."""
    detail: str


@dataclass(frozen=True)
class CounterPoint:
    """A counter at one moment."""

    time: float
    rise_j: float
    """Energy since the track began."""
    moved: float
    """Time of the last sample that was higher than the one before it."""
    fresh: bool
    """Whether the last query succeeded."""
    reason: str
    """Why it failed."""
    faults: Faults


@dataclass(frozen=True)
class PowerPoint:
    """A power and its integral at one moment."""

    time: float
    power_w: float
    integral_j: float
    spread_j: float
    """Sum of half of each change times its step: bounds the error of the trapezoids for a power
    that rises or falls steadily between samples."""
    fresh: bool
    reason: str
    faults: Faults


class _Track:
    """Counts the faults of a sensor; the subclasses add a sum."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(("resets", "gaps", "lost", "not_a_number", "failed"), 0)
        self._detail = ""
        self._reason = "unsupported"  # not read yet
        self._time = math.nan

    def fail(self, time: float, reason: str, detail: str) -> None:
        """Note a failed query."""
        kind = {"gpu-lost": "lost", "not-a-number": "not_a_number"}.get(reason, "failed")
        self._count(kind, detail)
        self._reason = reason

    def _count(self, kind: str, detail: str) -> None:
        self._counts[kind] += 1
        self._detail = detail

    def _accepted(self, time: float, value: float, sensor: str) -> bool:
        """Whether a value is a finite number of at least 0; else the fault is counted."""
        good = math.isfinite(value) and value >= 0
        if not good:
            self.fail(time, "not-a-number", f"the {sensor} returned {value}")
        return good

    def _at(self, time: float) -> dict[str, Any]:
        """Fields that all points have; the time is the last sample's if it succeeded."""
        fresh = not self._reason
        faults = Faults(**self._counts, detail=self._detail)
        return {
            "time": self._time if fresh else time,
            "fresh": fresh,
            "reason": self._reason,
            "faults": faults,
        }


class CounterTrack(_Track):
    """The rise of an energy counter; distinguishes a reset from a counter that wraps around.

    Args:
        wrap_j: value after which the counter starts at 0 again; None for a counter that never does.
        max_power_w: a power that the device cannot exceed. A fall that would need more is a reset,
            and a gap in which the counter could have wrapped twice is a fault.
    """

    def __init__(self, *, wrap_j: float | None = None, max_power_w: float = math.inf) -> None:
        super().__init__()
        self._wrap_j = wrap_j
        self._max_power_w = max_power_w
        self._value = math.nan
        self._rise = 0.0
        self._moved = math.nan

    def push(self, time: float, value_j: float) -> None:
        """Add a sample: the counter in J, at a time not before the last one's."""
        if not self._accepted(time, value_j, "counter"):
            return
        if math.isnan(self._value):
            self._moved = time
        else:
            rise = self._rise_to(time, value_j)
            if rise > 0:
                self._moved = time
            self._rise += rise
        self._value, self._time, self._reason = value_j, time, ""

    def _rise_to(self, time: float, value_j: float) -> float:
        rise, step = value_j - self._value, time - self._time
        fall = f"the counter fell from {self._value:.3f} J to {value_j:.3f} J"
        if self._wrap_j is None:
            if rise < 0:
                self._count("resets", fall)
            return max(rise, 0.0)  # every window over a fall is invalid, so the sum is not used
        if step * self._max_power_w >= self._wrap_j:
            self._count("gaps", f"{step:.0f} s between samples, long enough for a second wrap")
        if rise < 0:
            rise += self._wrap_j
            # A second beside the step: samples and the counter's own refreshes do not coincide.
            if not 0 <= rise <= (step + 1.0) * self._max_power_w:
                self._count("resets", fall + ", and no wrap explains it")
                return 0.0
        return rise

    def point(self, time: float) -> CounterPoint:
        """The sum so far; NaN unless the last query succeeded."""
        return CounterPoint(
            rise_j=math.nan if self._reason else self._rise, moved=self._moved, **self._at(time)
        )


class PowerTrack(_Track):
    """The integral of sampled power by trapezoids.

    Args:
        max_gap_s: samples further apart than this do not represent the time between them.
    """

    def __init__(self, *, max_gap_s: float) -> None:
        super().__init__()
        self._max_gap_s = max_gap_s
        self._power = math.nan
        self._integral = 0.0
        self._spread = 0.0

    def push(self, time: float, power_w: float) -> None:
        """Add a sample: the power in W, at a time not before the last one's."""
        if not self._accepted(time, power_w, "power sensor"):
            return
        if not math.isnan(self._power):
            step = time - self._time
            if step > self._max_gap_s:
                self._count("gaps", f"{step:.2f} s between two samples of power")
            self._integral += 0.5 * (power_w + self._power) * step
            self._spread += 0.5 * abs(power_w - self._power) * step
        self._power, self._time, self._reason = power_w, time, ""

    def point(self, time: float) -> PowerPoint:
        """The integral so far; NaN unless the last query succeeded."""
        known = not self._reason
        return PowerPoint(
            power_w=self._power if known else math.nan,
            integral_j=self._integral if known else math.nan,
            spread_j=self._spread,
            **self._at(time),
        )


def update_period_s(
    read: Callable[[], float],
    *,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> float:
    """Median seconds between two changes of a sensor's value; NaN if it changes less than twice.

    Args:
        read: queries the sensor; its errors pass through.
        seconds: how long to query at most; it ends sooner, after nine changes.
        clock, sleep: time, in s.
    """
    began = clock()
    last, changed = read(), math.nan
    steps: list[float] = []
    while clock() - began < seconds and len(steps) < _STEPS:
        sleep(_POLL_S)
        value, now = read(), clock()
        if value != last:
            if not math.isnan(changed):
                steps.append(now - changed)
            last, changed = value, now
    return statistics.median(steps) if steps else math.nan


# -- from two points to a reading ----------------------------------------------------------------


def frozen_after_s(period_s: float) -> float:
    """Seconds without a change after which a counter counts as frozen."""
    return max(1.0, 10 * _known(period_s))


def _known(period_s: float) -> float:
    return ASSUMED_PERIOD_S if math.isnan(period_s) else period_s


def counter_reading(
    start: CounterPoint,
    stop: CounterPoint,
    *,
    period_s: float,
    method: str = "counter",
    edge_power_w: Sequence[float] = (),
    skew_s: float = 0.0,
    states: tuple[GpuState | None, GpuState | None] = (None, None),
) -> Reading:
    """Energy of a counter between two points.

    The counter may lag its device by up to a refresh period at either edge. The two lags act in
    opposite directions, so the error is at most one period at the higher of the edges' powers.

    Args:
        period_s: refresh period; NaN if unknown.
        edge_power_w: powers known at the edges; without any, the mean power is used.
        skew_s: how far the sensor was read from the window's edges, in s, both together.
        states: of the GPU at the edges.
    """
    rest: dict[str, Any] = {"update_period_s": period_s, "start": states[0], "stop": states[1]}
    seconds, energy = stop.time - start.time, stop.rise_j - start.rise_j
    fault = _fault(start, stop) or _frozen(start, stop, frozen_after_s(period_s))
    if fault is None and energy <= 0:
        fault = (
            "too-short",
            f"the counter did not step in {seconds:.3f} s; it refreshes every {period_s:.3f} s",
        )
    if fault is not None:
        return invalid(*fault, method=method, **rest)
    period = _known(period_s)
    power = max([p for p in edge_power_w if math.isfinite(p)] or [energy / seconds])
    power = max(power, energy / (seconds + period))
    return Reading(
        energy_j=energy,
        method=method,
        uncertainty_j=power * (period + skew_s) + _RESOLUTION_J,
        flags=_failed_samples(start, stop),
        **rest,
    )


def power_reading(
    start: PowerPoint,
    stop: PowerPoint,
    *,
    method: str,
    period_s: float,
    skew_s: float = 0.0,
    states: tuple[GpuState | None, GpuState | None] = (None, None),
) -> Reading:
    """Energy of integrated power between two points.

    The uncertainty is a sum: half of each change of power times its step, which bounds the
    trapezoids' error where power rises or falls steadily between samples; the sensor's delay
    (refresh period, and the averaging of average power) times the change of power between the
    edges, since a delay moves the window; and the skew times the higher power at the edges.

    Args:
        method: `instant-power` or `average-power`.
        period_s, skew_s, states: see `counter_reading`.
    """
    rest: dict[str, Any] = {"update_period_s": period_s, "start": states[0], "stop": states[1]}
    fault = _fault(start, stop)
    if fault is not None:
        return invalid(*fault, method=method, **rest)
    delay = _known(period_s) + _LAG_S[method]
    return Reading(
        energy_j=stop.integral_j - start.integral_j,
        method=method,
        uncertainty_j=stop.spread_j
        - start.spread_j
        + delay * abs(stop.power_w - start.power_w)
        + skew_s * max(start.power_w, stop.power_w)
        + _RESOLUTION_J,
        flags=_failed_samples(start, stop),
        **rest,
    )


def skew_s(
    start: CounterPoint | PowerPoint, stop: CounterPoint | PowerPoint, edges: tuple[float, float]
) -> float:
    """How far two points may lie from the edges of their window, in s, both together.

    A point's time is the middle of its query. The sensor answered somewhere within the query, which
    began no sooner than the edge, so it lies at most twice that far from the edge.
    """
    return 2 * (abs(start.time - edges[0]) + abs(stop.time - edges[1]))


def agreement(counter: Reading, integral: Reading) -> str:
    """How a counter and integrated power of the same window agree; one of `AGREEMENTS`."""
    if not (counter.valid and integral.valid):
        return "unchecked"
    apart = abs(counter.energy_j - integral.energy_j)
    if apart <= MAX_DISAGREEMENT * counter.energy_j:
        return "agree"
    timing = counter.uncertainty_j + integral.uncertainty_j
    return "undecided" if apart <= timing else "apart"


#: Reason of an invalid reading -> the count of `Faults` that differs, the gravest first.
_GRAVE = {"gpu-lost": "lost", "reset": "resets", "not-a-number": "not_a_number", "gap": "gaps"}


def _fault(
    start: CounterPoint | PowerPoint, stop: CounterPoint | PowerPoint
) -> tuple[str, str] | None:
    """Reason and detail of the gravest fault at the edges or between them."""
    for reason, kind in _GRAVE.items():
        if getattr(start.faults, kind) != getattr(stop.faults, kind):
            return reason, stop.faults.detail
    for edge, point in (("start", start), ("end", stop)):
        if not point.fresh:
            return point.reason, f"at the {edge}: {point.faults.detail or point.reason}"
    return None


def _frozen(start: CounterPoint, stop: CounterPoint, limit_s: float) -> tuple[str, str] | None:
    for edge, point in (("start", start), ("end", stop)):
        still = point.time - point.moved
        if still > limit_s:
            return "frozen", f"at the {edge} the counter had not moved for {still:.1f} s"
    return None


def _failed_samples(
    start: CounterPoint | PowerPoint, stop: CounterPoint | PowerPoint
) -> tuple[str, ...]:
    return ("failed-samples",) if start.faults.failed != stop.faults.failed else ()


# -- whether nested windows add up ---------------------------------------------------------------


@dataclass(frozen=True)
class PartsCheck:
    """A window against the sum of the windows directly inside it, on one GPU."""

    device: str
    verdict: str
    """`ok`, `off`, or `unknown` if a reading is invalid or there are no parts."""
    total_j: float
    parts_j: float
    uncovered_s: float
    """Time of the window that lies in none of its parts."""
    rest_j: float
    """The window minus its parts: energy of the uncovered time."""
    tolerance_j: float
    """Sum of the uncertainties of the window and its parts, and 1e-9 of the total for rounding."""
    most_rest_j: float
    """The most that the uncovered time can have used, at the highest power known."""


def check_parts(window: Window, windows: Sequence[Window]) -> tuple[PartsCheck, ...]:
    """Compare a window with its parts, for each of its GPUs.

    The rest is `ok` from `-tolerance_j` to `most_rest_j + tolerance_j`.

    Args:
        window: the enclosing window.
        windows: all windows of the meter; the parts are those whose parent it is.
    """
    parts = [w for w in windows if w.parent == window.index and w is not window]
    uncovered = max(window.seconds - sum(part.seconds for part in parts), 0.0)
    return tuple(
        _check(device, reading, window, parts, uncovered)
        for device, reading in window.energy_j.items()
    )


def _check(
    device: str, total: Reading, window: Window, parts: Sequence[Window], uncovered: float
) -> PartsCheck:
    readings = [part.energy_j.get(device) for part in parts]
    known = [reading for reading in readings if reading is not None and reading.valid]
    if not total.valid or not parts or len(known) < len(readings):
        return PartsCheck(
            device, "unknown", total.energy_j, math.nan, uncovered, math.nan, math.nan, math.nan
        )
    added = sum(reading.energy_j for reading in known)
    tolerance = total.uncertainty_j + sum(reading.uncertainty_j for reading in known)
    tolerance += _ROUNDING * total.energy_j
    powers = [_highest_power_w(total, window.seconds)]
    powers += [_highest_power_w(r, p.seconds) for r, p in zip(known, parts, strict=True)]
    most = uncovered * max(powers)
    rest = total.energy_j - added
    fits = -tolerance <= rest <= most + tolerance
    return PartsCheck(
        device, "ok" if fits else "off", total.energy_j, added, uncovered, rest, tolerance, most
    )


def _highest_power_w(reading: Reading, seconds: float) -> float:
    """The power limit if it is known, else the highest of mean and edges."""
    states = [state for state in (reading.start, reading.stop) if state is not None]
    limits = [state.power_limit_w for state in states if math.isfinite(state.power_limit_w)]
    if limits:
        return max(limits)
    edges = [state.power_w for state in states if math.isfinite(state.power_w)]
    return max([reading.energy_j / seconds if seconds > 0 else 0.0, *edges])


# -- net energy ----------------------------------------------------------------------------------
# Tables hold the gross energy, which was measured. The net energy, what the training added, is
# derived: it is as good as the rest before and after represents the rest in between.


@dataclass(frozen=True)
class Baseline:
    """Power of GPUs, CPU packages and memory at rest, in W by device.

    NaN for a device whose reading is invalid.
    """

    window: Window
    power_w: Mapping[str, float]
    uncertainty_w: Mapping[str, float]

    @classmethod
    def of(cls, window: Window) -> Baseline:
        """The baseline from a window in which nothing ran."""
        readings, seconds = window.readings(), window.seconds
        return cls(
            window,
            {name: r.energy_j / seconds for name, r in readings.items()},
            {name: r.uncertainty_j / seconds for name, r in readings.items()},
        )


@dataclass(frozen=True)
class Net:
    """A window's energy minus the energy at rest of the same duration."""

    energy_j: float
    """Can be below 0 within `uncertainty_j`; NaN if a reading or the baseline is invalid."""
    gross_j: float
    idle_w: float
    uncertainty_j: float
    """Of the window and the baselines, and half of the change between the baselines."""


def net(window: Window, before: Baseline, after: Baseline | None = None) -> dict[str, Net]:
    """Net energy by device, in J.

    Args:
        window: the work.
        before: the rest before it.
        after: the rest after it; if given, the mean of both is taken off.
    """
    ends = [before] if after is None else [before, after]
    out = {}
    for name, reading in window.readings().items():
        powers = [end.power_w.get(name, math.nan) for end in ends]
        idle = sum(powers) / len(powers)
        doubts = [end.uncertainty_w[name] for end in ends if name in end.uncertainty_w]
        doubt = max(doubts, default=math.nan) + (max(powers) - min(powers)) / 2
        out[name] = Net(
            energy_j=reading.energy_j - idle * window.seconds,
            gross_j=reading.energy_j,
            idle_w=idle,
            uncertainty_j=reading.uncertainty_j + doubt * window.seconds,
        )
    return out
