"""Energy of a window: the readings of its devices, whether parts add up, and energy above rest.

Energies are in joules, powers in watts, times in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from naslib_ecnas.errors import ConfigError, check_choice
from naslib_ecnas.files import MaybeNaN, from_plain, to_plain
from naslib_ecnas.metrics import J_PER_KWH

if TYPE_CHECKING:
    from naslib_ecnas.data.carbon import CarbonIntensity

#: How an energy was measured.
METHODS = (
    "counter", "instant-power", "average-power", "module-power", "rapl", "replay", "unmeasured",
    "none",
)  # fmt: skip

#: A counter and integrated power lie within 5 % of each other; further apart; further apart, but no
#: more than the timing of the two sensors explains; or cannot be compared.
AGREEMENTS = ("agree", "apart", "undecided", "unchecked")

#: Counter and integral that differ by more than this share of the counter are flagged.
MAX_DISAGREEMENT = 0.05

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
    draws: bool = False
    """Whether it only draws, as a display server does: NVML lists it for graphics alone."""


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
class GpuSetup:
    """A GPU's settings, which decide how fast it is and what it draws.

    NaN and None where `unsupported` names the quantity.
    """

    name: str
    """Its model."""
    driver: str | None = None
    """Version of NVIDIA's driver."""
    persistence: bool | None = None
    """Whether the driver stays loaded while nothing uses the GPU."""
    ecc: bool | None = None
    """Whether the memory corrects errors."""
    default_power_limit_w: MaybeNaN = math.nan
    enforced_power_limit_w: MaybeNaN = math.nan
    """The least of the limits that are set."""
    unsupported: tuple[str, ...] = ()

    @property
    def limited(self) -> bool:
        """Whether the power is limited to less than this model's default."""
        return self.enforced_power_limit_w < self.default_power_limit_w


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
    `meter-failed`, `sync-failed`, `unfinished`, `outside-trace`."""
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
    """Warnings about a valid reading: `shared`, `graphics` (processes that only draw used the GPU,
    too), `module` (its CPU and memory are in it), `counter-against-power`, `above-power-limit`,
    `failed-samples`."""
    start: GpuState | None = field(default=None, repr=False)
    stop: GpuState | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_choice(METHODS, method=self.method)
        check_choice(AGREEMENTS, agreement=self.agreement)
        if self.valid != math.isfinite(self.energy_j) or self.valid == bool(self.reason):
            found = self.energy_j, self.valid, self.reason
            text = "a reading needs a finite energy and no reason, or NaN and a reason"
            raise ConfigError(text, value=found)

    @property
    def states(self) -> tuple[GpuState, ...]:
        """The known states of the GPU at the edges."""
        return tuple(state for state in (self.start, self.stop) if state is not None)

    @property
    def power_limits_w(self) -> list[float]:
        """The known power limits of the GPU at the edges."""
        return [s.power_limit_w for s in self.states if math.isfinite(s.power_limit_w)]


def invalid(reason: str, detail: str, *, method: str, **rest: Any) -> Reading:
    """A reading without an energy; `rest` are other fields of `Reading`."""
    return Reading(math.nan, method, valid=False, reason=reason, detail=detail, **rest)


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

    def totals(
        self, *, pue: float = 1.0, carbon: CarbonIntensity | None = None
    ) -> dict[str, float | str]:
        """Seconds, joules and mean watts of all devices, kWh with the PUE, and gCO2eq if asked for.

        Energies are NaN where a reading is invalid, and those of a kind of device that is not
        measured are NaN too; `energy_j` is the sum of what was measured.
        """
        joules = math.fsum(reading.energy_j for reading in self.readings().values())
        kwh = pue * joules / J_PER_KWH
        found: dict[str, float | str] = {
            "seconds": self.seconds,
            "energy_j": joules,
            "energy_kwh": kwh,
            "mean_power_w": joules / self.seconds if self.seconds > 0 else math.nan,
            "pue": pue,
            "gpu_energy_j": self.gpu_total_j,
            "cpu_energy_j": self.cpu_total_j,
            "dram_energy_j": self.dram_total_j,
        }
        if carbon is not None:
            found |= {"co2_g": kwh * carbon.g_per_kwh, "carbon_intensity": carbon.about}
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the fields, and duration, sums and validity; NaN becomes None."""
        derived = ("seconds", "valid", "gpu_total_j", "cpu_total_j", "dram_total_j")
        return {**to_plain(self), **{name: to_plain(getattr(self, name)) for name in derived}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Window:
        """The inverse of `to_dict`.

        Raises:
            FormatError: the data are not the fields of a window.
        """
        names = {known.name for known in fields(cls)}
        if isinstance(data, Mapping):
            data = {name: value for name, value in data.items() if name in names}
        return from_plain(cls, data)


def _total(readings: Mapping[str, Reading]) -> float:
    return sum(r.energy_j for r in readings.values()) if readings else math.nan


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
    unread = invalid("unmeasured", "", method="none")
    found = []
    for device, total in window.energy_j.items():
        readings = [part.energy_j.get(device, unread) for part in parts]
        # Sums with an invalid reading are NaN.
        added = sum(reading.energy_j for reading in readings) if parts else math.nan
        rest = total.energy_j - added
        tolerance = total.uncertainty_j + sum(reading.uncertainty_j for reading in readings)
        tolerance += _ROUNDING * total.energy_j
        pairs = [(total, window), *zip(readings, parts, strict=True)]
        most = uncovered * max(_highest_power_w(r, w.seconds) for r, w in pairs)
        verdict = "ok" if -tolerance <= rest <= most + tolerance else "off"
        if math.isnan(rest):
            verdict, added, tolerance, most = "unknown", math.nan, math.nan, math.nan
        found.append(
            PartsCheck(device, verdict, total.energy_j, added, uncovered, rest, tolerance, most)
        )
    return tuple(found)


def _highest_power_w(reading: Reading, seconds: float) -> float:
    """The power limit if it is known, else the highest of mean and edges."""
    mean = reading.energy_j / seconds if seconds > 0 else 0.0
    edges = [s.power_w for s in reading.states if math.isfinite(s.power_w)]
    return max(reading.power_limits_w or [mean, *edges])


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
        """The baseline from a window in which nothing ran; NaN if that has no duration."""
        readings, seconds = window.readings(), max(window.seconds, 0.0) or math.nan
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
        doubt = max(end.uncertainty_w.get(name, math.nan) for end in ends)
        doubt += (max(powers) - min(powers)) / 2
        out[name] = Net(
            energy_j=reading.energy_j - idle * window.seconds,
            gross_j=reading.energy_j,
            idle_w=idle,
            uncertainty_j=reading.uncertainty_j + doubt * window.seconds,
        )
    return out
