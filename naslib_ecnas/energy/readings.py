"""One device's energy over one window, and the state of the device at the window's edges."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from naslib_ecnas.errors import ConfigError, FormatError
from naslib_ecnas.files import from_json, to_json

__all__ = [
    "AGREEMENTS",
    "APART",
    "ASSUMED_PERIOD_S",
    "AVERAGE_POWER_LAG_S",
    "METHODS",
    "Baseline",
    "CounterPoint",
    "CounterTrack",
    "CpuState",
    "Faults",
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


#: How an energy came about.
METHODS = ("counter", "instant-power", "average-power", "rapl", "replay", "unmeasured", "none")

#: Counter against integrated power: within 5 %; apart by more; apart, but by no more than the
#: timing of the two sensors explains; only one of them there.
AGREEMENTS = ("agree", "apart", "undecided", "unchecked")


@dataclass(frozen=True)
class GpuProcess:
    """A process on the GPU that is not the training's own."""

    pid: int
    memory_bytes: float
    """NaN where the driver does not tell."""
    visible: bool
    """Whether this system has a process of that number; in a container it may have none."""


@dataclass(frozen=True)
class GpuState:
    """A GPU at the edge of a window. NaN and None where `unsupported` names the quantity."""

    power_w: float = math.nan
    temperature_c: float = math.nan
    sm_clock_mhz: float = math.nan
    memory_clock_mhz: float = math.nan
    power_limit_w: float = math.nan
    throttle_reasons: tuple[str, ...] | None = None
    others: tuple[GpuProcess, ...] | None = None
    """Processes of others on this GPU."""
    unsupported: tuple[str, ...] = ()
    """Names of the quantities that could not be had."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GpuState:
        """The inverse of `dataclasses.asdict`, after a detour through JSON."""
        values = {
            name: _nan(data[name])
            for name in (
                "power_w",
                "temperature_c",
                "sm_clock_mhz",
                "memory_clock_mhz",
                "power_limit_w",
            )
        }
        reasons, others = data["throttle_reasons"], data["others"]
        return cls(
            **values,
            throttle_reasons=None if reasons is None else tuple(reasons),
            others=None
            if others is None
            else tuple(
                GpuProcess(int(o["pid"]), _nan(o["memory_bytes"]), bool(o["visible"]))
                for o in others
            ),
            unsupported=tuple(data["unsupported"]),
        )


@dataclass(frozen=True)
class Reading:
    """Energy of one device over one window.

    An invalid reading has no energy: `energy_j` is NaN, never 0 and never a part of the truth.
    """

    energy_j: float
    """Joules, gross. NaN where the reading is invalid."""
    method: str
    """One of `METHODS`."""
    valid: bool = True
    reason: str = ""
    """Why the reading is invalid, one word: `reset`, `gpu-lost`, `frozen`, `not-a-number`,
    `too-short`, `gap`, `shared`, `denied`, `unsupported`, `unmeasured`, `query-failed`,
    `meter-failed`, `sync-failed`, `unfinished`, `not-recorded`, `outside-trace`."""
    detail: str = ""
    """The same in words, with the figures."""
    uncertainty_j: float = math.nan
    """Bound on the error that the sensor's refresh period makes at the two edges, and, for
    integrated power, that the sampling makes. The sensor's own accuracy is not in it."""
    update_period_s: float = math.nan
    """Seconds between two refreshes of the sensor, measured when the meter was opened."""
    integral_j: float = math.nan
    """Integral of sampled power beside a counter; NaN where there is none."""
    agreement: str = "unchecked"
    """One of `AGREEMENTS`."""
    flags: tuple[str, ...] = ()
    """What a reader should know though the reading is valid: `shared`, `counter-against-power`,
    `above-power-limit`, `failed-samples`."""
    start: GpuState | None = field(default=None, repr=False)
    stop: GpuState | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.method not in METHODS or self.agreement not in AGREEMENTS:
            raise ConfigError(
                "no reading",
                value=(self.method, self.agreement),
                expected=f"a method of {', '.join(METHODS)} and an agreement of "
                + ", ".join(AGREEMENTS),
            )
        if self.valid != math.isfinite(self.energy_j) or self.valid == bool(self.reason):
            raise ConfigError(
                "a reading's energy, validity and reason contradict each other",
                value=(self.energy_j, self.valid, self.reason),
                expected="a finite energy and no reason, or NaN and a reason",
            )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Reading:
        """The inverse of `dataclasses.asdict`, after a detour through JSON."""
        start, stop = data["start"], data["stop"]
        return cls(
            energy_j=_nan(data["energy_j"]),
            method=data["method"],
            valid=data["valid"],
            reason=data["reason"],
            detail=data["detail"],
            uncertainty_j=_nan(data["uncertainty_j"]),
            update_period_s=_nan(data["update_period_s"]),
            integral_j=_nan(data["integral_j"]),
            agreement=data["agreement"],
            flags=tuple(data["flags"]),
            start=None if start is None else GpuState.from_dict(start),
            stop=None if stop is None else GpuState.from_dict(stop),
        )


def invalid(reason: str, detail: str, *, method: str, **rest: Any) -> Reading:
    """A reading without an energy."""
    return Reading(
        energy_j=math.nan, method=method, valid=False, reason=reason, detail=detail, **rest
    )


def _nan(value: Any) -> float:
    return math.nan if value is None else float(value)


# Running sums over the samples of one sensor: a counter's rise, a power's integral.
#
# A window is the difference of two points of a track, so a training of days needs no memory, and a
# window's edges are samples like any other. Faults are counted the same way: a fault between two
# points is one that their counts differ by.


@dataclass(frozen=True)
class Faults:
    """How often each fault was met so far, and the words of the last one."""

    resets: int
    """A counter fell."""
    gaps: int
    """Two samples lie too far apart to stand for what is between."""
    lost: int
    """The device was gone."""
    not_a_number: int
    failed: int
    """A query failed in another way; the next one may succeed."""
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
    """Whether the counter could be read at this very moment."""
    reason: str
    """Why it could not."""
    faults: Faults


@dataclass(frozen=True)
class PowerPoint:
    """A power and its integral at one moment."""

    time: float
    power_w: float
    integral_j: float
    spread_j: float
    """Sum of half of each change times its step: how far off the trapezoids are at most, for a
    power that rises or falls steadily between samples."""
    fresh: bool
    reason: str
    faults: Faults


class _Track:
    """Counts faults; sums are the subclasses'."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(("resets", "gaps", "lost", "not_a_number", "failed"), 0)
        self._detail = ""
        self._reason = "unsupported"  # nothing was read yet
        self._time = math.nan

    def fail(self, time: float, reason: str, detail: str) -> None:
        """A sample that could not be had."""
        kind = {"gpu-lost": "lost", "not-a-number": "not_a_number"}.get(reason, "failed")
        self._count(kind, detail)
        self._reason = reason

    def _count(self, kind: str, detail: str) -> None:
        self._counts[kind] += 1
        self._detail = detail

    def _faults(self) -> Faults:
        return Faults(**self._counts, detail=self._detail)


class CounterTrack(_Track):
    """The rise of a counter of energy, with falls and wraps told apart.

    Args:
        wrap_j: value after which the counter starts anew; None for a counter that never does.
        max_power_w: what the device cannot exceed; a fall that would need more is no wrap, and
            a gap in which it could have wrapped twice is a fault.
    """

    def __init__(self, *, wrap_j: float | None = None, max_power_w: float = math.inf) -> None:
        super().__init__()
        self._wrap_j = wrap_j
        self._max_power_w = max_power_w
        self._value = math.nan
        self._rise = 0.0
        self._moved = math.nan

    def push(self, time: float, value_j: float) -> None:
        """The counter's value, in J, at a time not before the last one's."""
        if not math.isfinite(value_j) or value_j < 0:
            self.fail(time, "not-a-number", f"the counter answered {value_j}")
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
            return max(rise, 0.0)  # after a fall the sum no longer matters: its windows are invalid
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
        """The sums; `fresh` where the last sample succeeded."""
        fresh = not self._reason
        return CounterPoint(
            time=self._time if fresh else time,
            rise_j=self._rise if fresh else math.nan,
            moved=self._moved,
            fresh=fresh,
            reason=self._reason,
            faults=self._faults(),
        )


class PowerTrack(_Track):
    """The integral of sampled power by trapezoids.

    Args:
        max_gap_s: samples further apart than this do not stand for the time between them.
    """

    def __init__(self, *, max_gap_s: float) -> None:
        super().__init__()
        self._max_gap_s = max_gap_s
        self._power = math.nan
        self._integral = 0.0
        self._spread = 0.0

    def push(self, time: float, power_w: float) -> None:
        """The power, in W, at a time not before the last one's."""
        if not math.isfinite(power_w) or power_w < 0:
            self.fail(time, "not-a-number", f"the power sensor answered {power_w}")
            return
        if not math.isnan(self._power):
            step = time - self._time
            if step > self._max_gap_s:
                self._count("gaps", f"{step:.2f} s between two samples of power")
            self._integral += 0.5 * (power_w + self._power) * step
            self._spread += 0.5 * abs(power_w - self._power) * step
        self._power, self._time, self._reason = power_w, time, ""

    def point(self, time: float) -> PowerPoint:
        """The sums; `fresh` where the last sample succeeded."""
        fresh = not self._reason
        return PowerPoint(
            time=self._time if fresh else time,
            power_w=self._power if fresh else math.nan,
            integral_j=self._integral if fresh else math.nan,
            spread_j=self._spread,
            fresh=fresh,
            reason=self._reason,
            faults=self._faults(),
        )


# How often a sensor refreshes, found by asking it faster than that.


_POLL_S = 1e-3

_STEPS = 8


def update_period_s(
    read: Callable[[], float],
    *,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Median seconds between two changes of a sensor's value; NaN where it changes less than twice.

    Args:
        read: the sensor; its faults pass through.
        seconds: how long to ask at most; it ends sooner, after nine changes.
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


# A named stretch of time with the energy that the devices used in it.


@dataclass(frozen=True)
class CpuState:
    """Whether the energy of the CPU packages and the memory is measured, and if not, why."""

    kind: str
    """`measured`, `absent` (this machine has no such counters), `denied` (this user may not read
    them), `elsewhere` (another process of this node counts them), `off` (not asked for)."""
    detail: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Window:
    """What one `with meter.window(name)` measured. Energies in J, gross, PUE not in."""

    name: str
    path: str
    """Names of all windows around it and its own, joined by `/`."""
    index: int
    """Number in the order of opening, unique within a meter."""
    parent: int | None
    """Index of the window around it; None for the outermost."""
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
    """Type of the exception that ended the work, where one did."""

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
        """Sum over the GPUs; NaN where none was measured or one is invalid."""
        return _total(self.energy_j)

    @property
    def cpu_total_j(self) -> float:
        """Sum over the CPU packages; NaN as above."""
        return _total(self.cpu_energy_j)

    @property
    def dram_total_j(self) -> float:
        """Sum over the memory domains; NaN as above."""
        return _total(self.dram_energy_j)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with the duration, the sums and the validity beside the fields."""
        return {
            **asdict(self),
            "seconds": self.seconds,
            "valid": self.valid,
            "gpu_total_j": self.gpu_total_j,
            "cpu_total_j": self.cpu_total_j,
            "dram_total_j": self.dram_total_j,
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON; NaN becomes null."""
        return to_json(self.to_dict(), indent=indent)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Window:
        """The inverse of `to_dict`, also after a detour through JSON.

        Raises:
            FormatError: these are not the fields of a window.
        """
        try:
            return cls(
                name=str(data["name"]),
                path=str(data["path"]),
                index=int(data["index"]),
                parent=None if data["parent"] is None else int(data["parent"]),
                started=float(data["started"]),
                stopped=float(data["stopped"]),
                started_unix=float(data["started_unix"]),
                stopped_unix=float(data["stopped_unix"]),
                cpu_state=CpuState(**data["cpu_state"]),
                error=str(data["error"]),
                **{
                    key: {name: Reading.from_dict(r) for name, r in data[key].items()}
                    for key in ("energy_j", "cpu_energy_j", "dram_energy_j")
                },
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise FormatError(
                f"no energy window: {type(error).__name__} {error}",
                expected="what Window.to_dict gives",
            ) from error

    @classmethod
    def from_json(cls, text: str) -> Window:
        """The inverse of `to_json`.

        Raises:
            FormatError: the text is no JSON, or not of a window.
        """
        try:
            data = from_json(text)
        except ValueError as error:
            raise FormatError(f"no JSON: {error}", expected="what Window.to_json gives") from error
        return cls.from_dict(data)


def _total(readings: Mapping[str, Reading]) -> float:
    return sum(r.energy_j for r in readings.values()) if readings else math.nan


def check_name(name: object) -> str:
    """The name of a window.

    Raises:
        ConfigError: it is no text, empty, or holds the separator of paths.
    """
    if not isinstance(name, str) or not name or "/" in name:
        raise ConfigError(
            "no name for a window",
            value=name,
            expected="a text without a slash, such as 'train'",
        )
    return name


# From two points of a track to a reading: what is valid, how uncertain, and what to flag.


#: Counter and integral that differ by more than this share of the counter are flagged.
APART = 0.05

#: Refresh period taken for a sensor whose own could not be measured, in s; counters and power
#: sensors refresh every 20 to 100 ms (Yang et al., arXiv 2312.02741, Table 1).
ASSUMED_PERIOD_S = 0.1

#: Over how long `nvmlDeviceGetPowerUsage` averages on Ampere and newer, in s (NVML's reference).
AVERAGE_POWER_LAG_S = 1.0

_RESOLUTION_J = 1e-3  # NVML's counter counts in mJ

_LAG_S = {"instant-power": 0.0, "average-power": AVERAGE_POWER_LAG_S}


def frozen_after_s(period_s: float) -> float:
    """How long a counter may stand still before it counts as frozen, in s."""
    return max(1.0, 10 * (ASSUMED_PERIOD_S if math.isnan(period_s) else period_s))


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
    """The reading of a counter between two points.

    The counter may lag its device by up to a refresh period at either edge. The two lags act in
    opposite directions, so the error is at most one period at the higher of the edges' powers.

    Args:
        period_s: refresh period; NaN where unknown.
        edge_power_w: powers known at the edges; the mean power stands in where there is none.
        skew_s: how far the sensor was read from the window's edges, in s, both together.
    """
    rest: dict[str, Any] = {"update_period_s": period_s, "start": states[0], "stop": states[1]}
    fault = _fault(start, stop)
    seconds = stop.time - start.time
    limit = frozen_after_s(period_s)
    if fault is None:
        for edge, point in (("start", start), ("end", stop)):
            still = point.time - point.moved
            if still > limit:
                fault = "frozen", f"at the {edge} the counter had not moved for {still:.1f} s"
    energy = stop.rise_j - start.rise_j
    if fault is None and energy <= 0:
        fault = (
            "too-short",
            f"the counter did not step in {seconds:.3f} s; it refreshes every {period_s:.3f} s",
        )
    if fault is not None:
        return invalid(*fault, method=method, **rest)
    period = ASSUMED_PERIOD_S if math.isnan(period_s) else period_s
    power = max([p for p in edge_power_w if math.isfinite(p)] or [energy / seconds])
    power = max(power, energy / (seconds + period))
    return Reading(
        energy_j=energy,
        method=method,
        uncertainty_j=power * (period + skew_s) + _RESOLUTION_J,
        flags=("failed-samples",) if start.faults.failed != stop.faults.failed else (),
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
    """The reading of integrated power between two points.

    The uncertainty has two parts: half of each change of power times its step, which bounds the
    trapezoids' error where power rises or falls steadily between samples; and the sensor's delay
    (refresh period, and the averaging of average power) times the change of power between the
    edges, since a delay moves the window. To this comes the skew at the higher power, as above.
    """
    rest: dict[str, Any] = {"update_period_s": period_s, "start": states[0], "stop": states[1]}
    fault = _fault(start, stop)
    if fault is not None:
        return invalid(*fault, method=method, **rest)
    delay = (ASSUMED_PERIOD_S if math.isnan(period_s) else period_s) + _LAG_S[method]
    return Reading(
        energy_j=stop.integral_j - start.integral_j,
        method=method,
        uncertainty_j=stop.spread_j
        - start.spread_j
        + delay * abs(stop.power_w - start.power_w)
        + skew_s * max(start.power_w, stop.power_w)
        + _RESOLUTION_J,
        flags=("failed-samples",) if start.faults.failed != stop.faults.failed else (),
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
    if apart <= APART * counter.energy_j:
        return "agree"
    timing = counter.uncertainty_j + integral.uncertainty_j
    return "undecided" if apart <= timing else "apart"


def _fault(
    start: CounterPoint | PowerPoint, stop: CounterPoint | PowerPoint
) -> tuple[str, str] | None:
    """Reason and words of the gravest fault at the edges or between them."""
    a, b = start.faults, stop.faults
    for reason, kind in (
        ("gpu-lost", "lost"),
        ("reset", "resets"),
        ("not-a-number", "not_a_number"),
        ("gap", "gaps"),
    ):
        if _between(a, b, kind):
            return reason, b.detail
    for edge, point in (("start", start), ("end", stop)):
        if not point.fresh:
            return point.reason, f"at the {edge}: {point.faults.detail or point.reason}"
    return None


def _between(a: Faults, b: Faults, kind: str) -> bool:
    return bool(getattr(a, kind) != getattr(b, kind))


# Whether the windows inside a window add up to it.


_ROUNDING = 1e-9  # sums of binary fractions, where the parts are otherwise exact


@dataclass(frozen=True)
class PartsCheck:
    """A window against the sum of the windows directly inside it, on one GPU."""

    device: str
    verdict: str
    """`ok`, `off`, or `unknown` where a reading is invalid or there are no parts."""
    total_j: float
    parts_j: float
    uncovered_s: float
    """Time of the window that lies in none of its parts."""
    rest_j: float
    """The window less its parts: what was used in the uncovered time."""
    tolerance_j: float
    """Sum of the uncertainties of the window and its parts, and a part in 10^9 for rounding."""
    most_rest_j: float
    """The most that the uncovered time can have used, at the highest power known."""


def check_parts(window: Window, windows: Sequence[Window]) -> tuple[PartsCheck, ...]:
    """Compare a window with its parts, for each of its GPUs.

    The rest is `ok` from `-tolerance_j` to `most_rest_j + tolerance_j`.

    Args:
        window: the window around.
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
    powers = [_highest_power_w(total, window.seconds)]
    powers += [_highest_power_w(r, p.seconds) for r, p in zip(known, parts, strict=True)]
    most = uncovered * max(powers)
    tolerance += _ROUNDING * total.energy_j
    rest = total.energy_j - added
    fits = -tolerance <= rest <= most + tolerance
    return PartsCheck(
        device, "ok" if fits else "off", total.energy_j, added, uncovered, rest, tolerance, most
    )


def _highest_power_w(reading: Reading, seconds: float) -> float:
    """The power limit where it is known, else the highest of mean and edges."""
    states = [state for state in (reading.start, reading.stop) if state is not None]
    limits = [state.power_limit_w for state in states if math.isfinite(state.power_limit_w)]
    if limits:
        return max(limits)
    edges = [state.power_w for state in states if math.isfinite(state.power_w)]
    return max([reading.energy_j / seconds if seconds > 0 else 0.0, *edges])


# What a machine uses at rest, and a window's energy less that.
#
# The gross energy is what was measured and what tables hold. The net one is derived: it answers
# what the training added, and depends on how well the rest before and after stands for the rest
# in between.


@dataclass(frozen=True)
class Baseline:
    """Power at rest, in W by device; NaN where the window of rest is invalid.

    GPUs, CPU packages and memory domains.
    """

    window: Window
    power_w: Mapping[str, float]
    uncertainty_w: Mapping[str, float]
    """What each of these powers can be off by, in W."""

    @classmethod
    def of(cls, window: Window) -> Baseline:
        """From a window in which nothing ran."""
        readings, seconds = _all(window), window.seconds
        return cls(
            window,
            {name: r.energy_j / seconds for name, r in readings.items()},
            {name: r.uncertainty_j / seconds for name, r in readings.items()},
        )


@dataclass(frozen=True)
class Net:
    """A window's energy less the energy at rest of the same length."""

    energy_j: float
    """Can be below 0 within `uncertainty_j`; NaN where a reading or the baseline is invalid."""
    gross_j: float
    idle_w: float
    uncertainty_j: float
    """Of the window, of the baselines, and half of what the rest changed by in between."""


def net(window: Window, before: Baseline, after: Baseline | None = None) -> dict[str, Net]:
    """Net energy by device, in J.

    Args:
        window: the work.
        before: the rest before it.
        after: the rest after it; the mean of both is taken then.
    """
    ends = [before] if after is None else [before, after]
    out = {}
    for name, reading in _all(window).items():
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


def _all(window: Window) -> dict[str, Reading]:
    return {**window.energy_j, **window.cpu_energy_j, **window.dram_energy_j}
