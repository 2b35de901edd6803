"""The record of one unit, and the energies that follow from its windows.

Energies are in joules, gross, without PUE, of the windows that `training.train` opens. What
`energy_kwh` of all tables means is `training_j`: start-up and training steps, without evaluations.
EC-NAS's `evaluate.py` sums the meter's windows around its calls of `estimator.train()` alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any

from naslib_ecnas.campaign.claims import Owner, file_names
from naslib_ecnas.campaign.plan import Settings, Unit, read_file
from naslib_ecnas.energy.readings import GpuSetup, Reading, Window
from naslib_ecnas.errors import ChecksumError, FormatError
from naslib_ecnas.files import MaybeNaN, atomic_write, from_json, from_plain, to_json, to_plain
from naslib_ecnas.metrics import J_PER_KWH
from naslib_ecnas.training.record import CIFAR10, WHEN, Segment, TrainingRecord, WindowId

#: Folder of a campaign that contains the records.
RECORDS = "records"
_FORMAT = "ecnas-measurement/2"
_REMEDY = "requeue its unit: ecnas measure validate CAMPAIGN --requeue"
#: Reason of a reading that is missing because its window was shorter than a refresh.
_TOO_SHORT = "too-short"
#: Epochs of the trainings that devices are calibrated on.
_CALIBRATION_EPOCHS = 4


@dataclass(frozen=True, kw_only=True)
class MeterLabel:
    """How the energy was measured."""

    kind: str
    """`nvml` (with RAPL if it is available), `rapl` or `none`."""
    methods: Mapping[str, str] = field(default_factory=dict)
    """GPU UUID -> sensor."""
    periods_s: Mapping[str, MaybeNaN] = field(default_factory=dict)
    """GPU UUID -> refresh period of the sensor in s."""
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """GPU UUID -> why better sensors are not used."""
    setups: Mapping[str, GpuSetup] = field(default_factory=dict)
    """GPU UUID -> driver, persistence mode, error correction and power limits."""
    cpu: str = "off"
    """Whether the CPU is measured: a kind of `CpuState`."""
    cpu_detail: str = "not asked for"
    """Why not."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The record of one unit: its training, the meter's windows, and how both came about."""

    unit: Unit
    attempt: int
    """Number of the attempt that made it, counted from 1."""
    plan: str
    """Checksum of the plan."""
    owner: Owner
    settings: Settings
    meter: MeterLabel
    training: TrainingRecord
    windows: tuple[Window, ...]
    """The meter's windows in the order of ending: the training's, and perhaps `warm-up`,
    `rest-before` and `rest-after`. The rest before is the one after the last unit where that has
    just ended."""

    def window(self, name: str) -> Window | None:
        """The meter's window of this name; None if there is none."""
        return next((window for window in self.windows if window.name == name), None)

    @property
    def made_up(self) -> tuple[str, ...]:
        """Why it is not a measurement of a whole training on real images; empty if it is one."""
        training = self.training
        unused_gpu = self.meter.kind == "nvml" and not training.device.startswith("cuda")
        reasons = {
            f"{training.data.name} images": training.data.name != CIFAR10,
            f"stopped after {training.steps} of {training.budget_steps} steps": (
                training.steps < training.budget_steps
            ),
            f"energies of a GPU that a training on {training.device} does not use": unused_gpu,
        }
        return tuple(why for why, applies in reasons.items() if applies)

    def write(self, path: str | PathLike[str]) -> None:
        """Write the record, completely or not at all.

        Raises:
            StorageError: the folder cannot be written or the disk is full.
        """
        # With sums of windows and of the run, for readers without this package.
        sums = {name: getattr(self, name) for name in ("energy_kwh", "total_energy_kwh")}
        for name in ("training_time_s", "start_up_s", "total_time_s"):
            sums[name] = getattr(self.training, name)
        windows = [window.to_dict() for window in self.windows]
        content = {**to_plain(sums), **to_plain(self), "windows": windows}
        whole = {"format": _FORMAT, "sha256": _digest(content), "content": content}
        with atomic_write(Path(path)) as file:
            file.write(to_json(whole).encode("utf-8") + b"\n")

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Measurement:
        """Read a record.

        Raises:
            StorageError: the file cannot be read.
            ChecksumError: the content is not what was written.
            FormatError: it is not a record, or one of another version of this package.
        """
        where: dict[str, Any] = {"path": path, "remedy": _REMEDY}
        data = read_file(Path(path), "the record", from_json, remedy=_REMEDY)
        form = data.get("format") if isinstance(data, dict) else None
        if form != _FORMAT:
            raise FormatError(f"a record has the format {_FORMAT}", value=form, **where)
        content = data.get("content")
        if _digest(content) != data.get("sha256"):
            raise ChecksumError("the record's content is not what was written", **where)
        if not isinstance(content, dict) or not isinstance(content.get("windows"), list):
            raise FormatError("a record contains an object with windows", **where)
        windows = tuple(Window.from_dict(window) for window in content["windows"])
        known = {field.name: content.get(field.name) for field in fields(cls)}
        record = from_plain(cls, {**known, "windows": []}, path=str(path))
        return replace(record, windows=windows)

    # -- energies ----

    @property
    def measured(self) -> bool:
        """Whether the meter had sensors."""
        return self.meter.kind != "none"

    @property
    def has_cpu(self) -> bool:
        """Whether the CPU packages' energy is known over the whole run."""
        total = self.window("total")
        return total is not None and math.isfinite(total.cpu_total_j)

    @property
    def invalid(self) -> tuple[str, ...]:
        """Why windows are invalid, so that the unit must be measured again; empty if none is.

        A window inside `total` may be too short for the sensor, such as the one step at rate 0.
        """
        found = []
        for named in self.training.windows if self.measured else ():
            name, readings = named.name, essential(self.window(named.name))
            if not readings:
                found.append(f"{name}: no reading")
            for reading in readings.values():
                allowed = reading.reason == _TOO_SHORT and name != "total"
                if not reading.valid and not allowed:
                    found.append(f"{name}: {reading.reason} ({reading.detail})")
        return tuple(found)

    @property
    def unresolved(self) -> tuple[str, ...]:
        """Names of the segments of training that ended before a sensor refreshed."""
        names = [segment.window.name for segment in self.training.segments]
        return tuple(name for name in names if _too_short(self.window(name)))

    def segments_until(self, when: str) -> tuple[Segment, ...]:
        """The segments of training before an evaluation, whose time is one of `WHEN`."""
        training = self.training
        if when == WHEN[-1]:
            return training.segments
        steps = next((e.steps for e in training.evaluations if e.when == when), None)
        if steps is None:
            raise FormatError(f"the training has no evaluation at the {when}")
        return tuple(s for s in training.segments if s.first_step + s.steps <= steps)

    @property
    def energy_kwh(self) -> float:
        """Of start-up and training steps, with the CPU packages if they are known; NaN if not."""
        return self.training_j(cpu=self.has_cpu) / J_PER_KWH

    @property
    def total_energy_kwh(self) -> float:
        """Of the whole run, evaluations included; see `energy_kwh`."""
        return self.total_j(cpu=self.has_cpu) / J_PER_KWH

    def total_j(self, *, cpu: bool) -> float:
        """Joules of the whole run, start-up and evaluations included; NaN if unknown.

        `cpu` says here and below whether CPU packages count; without a GPU they always do.
        """
        return _window_j(self.window("total"), cpu=cpu)

    def steps_j(self, *, cpu: bool, when: str = "end") -> float:
        """Joules of the segments of training before an evaluation; NaN if unknown.

        A segment that was too short for the sensor, in practice the one step at rate 0, is
        estimated at the mean power of all others.
        """
        short = self.unresolved
        known = [s.window for s in self.training.segments if s.window.name not in short]
        seconds = sum(window.seconds for window in known)
        power_w = self._windows_j(known, cpu=cpu) / seconds if seconds > 0 else math.nan
        chosen = [segment.window for segment in self.segments_until(when)]
        return self._windows_j(chosen, cpu=cpu, power_w=power_w)

    def training_j(self, *, cpu: bool, when: str = "end") -> float:
        """Joules of start-up and of the steps before an evaluation, as in EC-NAS's files.

        No evaluation is included, nor the milliseconds between windows; NaN if unknown. A start-up
        that was too short for the sensor is estimated at the run's mean power.
        """
        return math.fsum([self.steps_j(cpu=cpu, when=when), self._start_up_j(cpu=cpu)])

    def _start_up_j(self, *, cpu: bool) -> float:
        total = self.window("total")
        power_w = self.total_j(cpu=cpu) / total.seconds if total and total.seconds > 0 else math.nan
        named = [window for window in self.training.windows if window.name == "init"]
        return self._windows_j(named, cpu=cpu, power_w=power_w)

    def start_up_share(self, *, cpu: bool) -> float:
        """Share of the start-up in the energy of start-up and 4 epochs; NaN if unknown.

        Its energy `a` does not depend on the budget. A training of n epochs takes `a + b n`, so one
        of any budget gives the share `a / (a + 4 b)`.
        """
        training, steps, fixed = self.training, self.steps_j(cpu=cpu), self._start_up_j(cpu=cpu)
        whole = steps / training.steps * training.budget_steps
        four = whole / training.epochs * _CALIBRATION_EPOCHS
        return fixed / (fixed + four) if fixed + four > 0 else math.nan

    def _windows_j(
        self, windows: Iterable[WindowId], *, cpu: bool, power_w: float = math.nan
    ) -> float:
        """Joules of windows; one that is too short for the sensor is estimated at `power_w`."""
        found = [(named.seconds, self.window(named.name)) for named in windows]
        return math.fsum(power_w * s if _too_short(w) else _window_j(w, cpu=cpu) for s, w in found)


def essential(window: Window | None) -> Mapping[str, Reading]:
    """The readings that a unit needs: of its GPUs, or of the CPU if there is no GPU."""
    return {} if window is None else window.energy_j or window.cpu_energy_j


def _too_short(window: Window | None) -> bool:
    """Whether a window ended before a sensor refreshed."""
    return any(reading.reason == _TOO_SHORT for reading in essential(window).values())


def _window_j(window: Window | None, *, cpu: bool) -> float:
    """Joules of a window; NaN if a part is unknown."""
    if window is None:
        return math.nan
    if not window.energy_j:
        return window.cpu_total_j
    return window.gpu_total_j + (window.cpu_total_j if cpu else 0.0)


def _digest(content: Any) -> str:
    """SHA-256 of plain values, which may contain numbers that only Python's json writes."""
    text = json.dumps(content, ensure_ascii=False)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def record_path(folder: Path, unit: Unit) -> Path:
    """Path of a unit's record in the folder of a campaign."""
    return folder / RECORDS / f"{unit.name}.json"


def read_record(folder: Path, unit: Unit) -> Measurement:
    """The record of a unit in the folder of a campaign.

    Raises:
        StorageError, FormatError: see `Measurement.read`; or it is of another unit.
    """
    path = record_path(folder, unit)
    record = Measurement.read(path)
    if record.unit != unit:
        text = f"a record of {unit} was expected"
        raise FormatError(text, path=path, value=str(record.unit), remedy=_REMEDY)
    return record


def recorded(folder: Path) -> set[str]:
    """Names of the units that have a record, which may be damaged.

    Raises:
        StorageError: the folder cannot be read.
    """
    names = file_names(folder / RECORDS)
    return {n[:-5] for n in names if n.endswith(".json") and not n.startswith(".")}
