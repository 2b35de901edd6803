"""Status of a campaign, and validation of its records: which units must be measured again.

After the power checker of MLPerf, which refuses a result whose log does not cover its run. A fault
means that a record is incomplete or contradicts itself, a doubt that its values may be poor.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from naslib_ecnas import network
from naslib_ecnas.campaign.claims import Attempt, Owner, attempts, claim_path, numbers
from naslib_ecnas.campaign.measurement import (
    RECORDS,
    Measurement,
    NewerRecord,
    essential,
    essential_faults,
    has_cpu,
    is_measured,
    record_path,
    recorded,
    total_j,
    unresolved,
)
from naslib_ecnas.campaign.plan import Pace, Plan, Unit, expected
from naslib_ecnas.campaign.worker import ATTEMPTS, PAUSE_S, WARM_UP, attempts_folder, exhausted
from naslib_ecnas.cell import Cell
from naslib_ecnas.energy.readings import Baseline, GpuState, Reading, check_parts
from naslib_ecnas.errors import EcnasError, StorageError
from naslib_ecnas.files import storage_error, to_plain
from naslib_ecnas.training.record import SPLITS, WHEN

__all__ = ["Finding", "Status", "Validation", "requeue", "status", "validate"]

#: Largest difference of the training's and the meter's duration of a window: a second for edges
#: that waited, and a share of the duration.
_CLOCK_S, _CLOCK_SHARE = 1.0, 0.02

#: Share of its energy up to which a run's uncertainty does not matter.
_UNCERTAIN = 0.01

#: Largest difference of rest before and after beyond their uncertainty, as a share of the run's
#: mean power.
_REST = 0.05

#: Throttle reasons that an idle GPU or a setting of the user causes, not a limit.
_HARMLESS = ("gpu-idle", "application-clocks", "display-clock")

#: Largest distance of repeats from their median, as a share. EC-NAS's repeats at 4 epochs vary by
#: 1.3 % (median coefficient of variation) and at most 10.4 %.
_SPREAD = 0.1

#: Share of the campaign's median clock that a run may be below it.
_CLOCK = 0.05

#: Number of records, the last ones, that the rate is computed from, since workers come and go.
_RECENT = 50

_J_PER_KWH = 3.6e6


# -- checks of a single record -------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """A fault or a doubt of one record."""

    unit: str
    """Name of the unit."""
    code: str
    """Kind of the finding, one word or two."""
    text: str
    fault: bool
    """Whether the record is incomplete or contradicts itself; else its quality is in doubt."""
    redo: bool = False
    """Whether measuring the unit again can help."""


#: What a check yields: code, text, fault and redo of findings.
Found = Iterator[tuple[str, str, bool, bool]]


def _fault(code: str, text: str) -> tuple[str, str, bool, bool]:
    return code, text, True, True


def _doubt(code: str, text: str, *, redo: bool = False) -> tuple[str, str, bool, bool]:
    return code, text, False, redo


def identity(record: Measurement, plan: Plan) -> Found:
    """The record belongs to the plan, and trained the planned cell."""
    training, unit = record.training, record.unit
    cell = Cell.from_row(unit.row)
    planned = plan.by_name.get(unit.name)
    if planned != unit or record.plan != plan.checksum:
        yield _fault("plan", "it belongs to another plan")
    asked = (str(cell), cell.nasbench_hash, unit.epochs, unit.seed, plan.recipe)
    got = (
        training.cell,
        training.nasbench_hash,
        training.epochs,
        training.seed,
        training.recipe.name,
    )
    if got != asked:
        yield _fault("identity", f"it trained {got}, the plan has {asked}")
    parameters = int(network.parameters([unit.row])[0])
    if training.parameters != parameters:
        yield _fault("parameters", f"{training.parameters:,} parameters, not {parameters:,}")


def steps(record: Measurement, plan: Plan) -> Found:
    """All steps were made, in order."""
    training, at = record.training, 0
    for segment in training.segments:
        if segment.first_step != at:
            yield _fault("steps", f"{segment.window.name} begins at {segment.first_step}, not {at}")
        at = segment.first_step + segment.steps
    budget = training.recipe.steps(training.epochs, training.data.train)
    short = record.settings.steps
    due = budget if short is None else min(short, budget)
    if training.budget_steps != budget or not at == training.steps == due:
        yield _fault("steps", f"{at} steps in segments, {training.steps} in all, {due} expected")


def losses(record: Measurement, plan: Plan) -> Found:
    """Every loss is finite."""
    training = record.training
    if training.bad_steps or training.first_bad_step is not None:
        yield _fault(
            "loss",
            f"the loss is not finite in {training.bad_steps} steps from {training.first_bad_step}",
        )
    elif any(not math.isfinite(s.mean_loss) or s.mean_loss < 0 for s in training.segments):
        yield _fault("loss", "a segment has no finite mean loss")


def evaluations(record: Measurement, plan: Plan) -> Found:
    """Three times three evaluations, each on all whole batches."""
    training = record.training
    due = [(when, split) for when in WHEN for split in SPLITS]
    if [(e.when, e.split) for e in training.evaluations] != due:
        yield _fault("evaluations", f"{len(training.evaluations)} evaluations, not {len(due)}")
    sizes = {
        "train": training.data.train // 4,
        "validation": training.data.validation,
        "test": training.data.test,
    }
    most = record.settings.evaluate_images
    for found in training.evaluations:
        looked = sizes[found.split] if most is None else min(most, sizes[found.split])
        looked -= looked % training.recipe.batch_size
        name = found.window.name
        if found.images != looked:
            yield _fault("evaluations", f"{name} used {found.images} images, not {looked}")
        right = found.accuracy * found.images
        if not 0 <= right <= found.images or abs(right - round(right)) > 1e-6 * found.images:
            yield _fault(
                "accuracy", f"{name}: {found.accuracy} is not a fraction of {found.images}"
            )


def durations(record: Measurement, plan: Plan) -> Found:
    """Durations of windows add up, and the meter's agree with the training's."""
    training = record.training
    total = training.windows[0] if training.windows else None
    if total is None or total.name != "total":
        yield _fault("duration", "there is no window total")
        return
    inner = math.fsum(window.seconds for window in training.windows[1:])
    if any(w.seconds < 0 for w in training.windows) or inner > total.seconds + 1e-3:
        yield _fault("duration", f"parts of {inner:.3f} s in a run of {total.seconds:.3f} s")
    if record.meter.kind == "replay":
        return  # its windows have the recording's times
    for named in training.windows:
        window = record.window(named.name)
        if window is None:
            yield _fault("window", f"the meter has no window {named.name}")
        elif abs(window.seconds - named.seconds) > _CLOCK_S + _CLOCK_SHARE * named.seconds:
            yield _fault(
                "duration",
                f"{named.name} took {named.seconds:.2f} s, the meter measured {window.seconds:.2f}",
            )


def energies(record: Measurement, plan: Plan) -> Found:
    """Every window has an energy, and the parts of the run add up."""
    if not is_measured(record):
        yield _doubt("unmeasured", "there was no meter: its energy is unknown")
        return
    for text in essential_faults(record):
        yield _fault("energy", text)
    total = record.window("total")
    if total is not None:
        for check in check_parts(total, record.windows):
            if check.verdict == "off":
                yield _fault(
                    "parts",
                    f"the parts of {check.device} use {check.parts_j:.1f} J, the whole run "
                    f"{check.total_j:.1f} J: a difference of {check.rest_j:.1f} J, of which "
                    f"{check.tolerance_j:.1f} J are uncertain",
                )
    for name in unresolved(record):
        yield _doubt("too-short", f"{name} ended before the sensor refreshed; it is estimated")
    if record.meter.kind == "nvml" and record.meter.cpu != "measured":
        yield _doubt("cpu", f"the CPU is not measured: {record.meter.cpu_detail}")


def sensors(record: Measurement, plan: Plan) -> Found:
    """Agreement, flags and uncertainty of the readings of the whole run."""
    total = record.window("total")
    for device, reading in ({} if total is None else essential(total)).items():
        if reading.agreement == "apart":
            yield _doubt(
                "counter",
                f"{device}: the counter gives {reading.energy_j:.1f} J, integrated power "
                f"{reading.integral_j:.1f} J",
                redo=True,
            )
        for flag in reading.flags:
            if flag != "counter-against-power":
                yield _doubt(flag, f"{device}: {flag}", redo=True)
        doubt = reading.uncertainty_j
        if reading.valid and doubt > _UNCERTAIN * reading.energy_j:
            yield _doubt(
                "uncertain",
                f"{device}: {doubt:.2f} J of {reading.energy_j:.2f} J are uncertain, since the "
                "run is short for the sensor",
            )


def states(record: Measurement, plan: Plan) -> Found:
    """Other processes on the GPU, and throttling, at the edges of all windows."""
    pids: set[int] = set()
    reasons: set[str] = set()
    for window in record.windows:
        for state in _states(window.energy_j.values()):
            pids |= {process.pid for process in state.others or ()}
            if not window.name.startswith(("rest-", WARM_UP)):
                reasons |= set(state.throttle_reasons or ()) - set(_HARMLESS)
    if pids:
        yield _doubt("foreign", f"other processes used the GPU: {sorted(pids)}", redo=True)
    if reasons:
        hot = any("thermal" in r or "hardware" in r for r in reasons)
        yield _doubt("clocks", f"the clocks were throttled: {', '.join(sorted(reasons))}", redo=hot)


def rests(record: Measurement, plan: Plan) -> Found:
    """Power at rest was measured before and after, and changed little beyond its uncertainty."""
    if not is_measured(record):
        return
    before, after = (record.window(f"rest-{side}") for side in ("before", "after"))
    total = record.window("total")
    if before is None or after is None or total is None:
        yield _doubt("rest", "no rest was measured before and after")
        return
    ends = [Baseline.of(before), Baseline.of(after)]
    for device, reading in essential(total).items():
        first, last = (end.power_w.get(device, math.nan) for end in ends)
        if not math.isfinite(last - first):
            yield _doubt("rest", f"{device}: the rest could not be measured")
            continue
        mean = reading.energy_j / total.seconds
        # After half a second the power at rest is known to some watts only.
        uncertainty_w = sum(end.uncertainty_w[device] for end in ends)
        if abs(last - first) > _REST * mean + uncertainty_w:
            yield _doubt("rest", f"{device} rests at {first:.1f} W before and {last:.1f} W after")


def made_up(record: Measurement, plan: Plan) -> Found:
    """Whether the record is a measurement of the published recipe."""
    for why in record.made_up:
        yield _doubt("synthetic", why)
    for departure in record.training.departures:
        if not departure.startswith(("stopped after", "synthetic data")):
            yield _doubt("departure", departure)
    joules = total_j(record, cpu=False)
    if is_measured(record) and math.isfinite(joules) and joules <= 0:
        yield _fault("energy", f"the training used {joules} J")


def _states(readings: Iterable[Reading]) -> Iterator[GpuState]:
    for reading in readings:
        yield from (state for state in (reading.start, reading.stop) if state is not None)


#: Every check of a single record, in the order of the report.
_CHECKS: tuple[Callable[[Measurement, Plan], Found], ...] = (
    identity,
    steps,
    losses,
    evaluations,
    durations,
    energies,
    sensors,
    states,
    rests,
    made_up,
)


# -- status --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Running:
    """A unit that a worker is measuring."""

    unit: str
    worker: str
    since_s: float
    stale: bool
    """Whether its heartbeat has stopped, so that the next worker takes over the unit."""


@dataclass(frozen=True)
class GivenUp:
    """A unit whose attempts all failed."""

    unit: str
    attempts: int
    reason: str


@dataclass(frozen=True)
class Lost:
    """Time and energy of attempts without a record."""

    attempts: int
    seconds: float
    energy_kwh: float
    """Of finished windows; NaN if nothing was measured."""


@dataclass(frozen=True)
class Status:
    """The state of a campaign. Energies are as measured, without PUE."""

    name: str
    planned: int
    recorded: int
    unreadable: tuple[str, ...]
    """Units whose records are damaged."""
    running: tuple[Running, ...]
    given_up: tuple[GivenUp, ...]
    lost: Lost
    units_per_hour: float
    """NaN with fewer than two records."""
    remaining_s: float
    """Expected time until the end, with the present number of workers, or one if there is none."""
    energy_kwh: float
    """Of the records: 0 without records, NaN if none of them has an energy."""
    energy_to_come_kwh: float
    """Expected for the units without a record; NaN if there are records but none has an energy."""
    estimated_from: str
    """Basis of both expectations: `models`, or `records` if these scale the models."""

    @property
    def remaining(self) -> int:
        """Number of units without a record that are not given up."""
        return self.planned - self.recorded - len(self.given_up)

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain: dict[str, Any] = to_plain(self)
        return {**plain, "remaining": self.remaining}


def status(folder: Path, *, pace: Pace | None = None) -> Status:
    """The state of a campaign.

    Args:
        folder: folder of the campaign.
        pace: the workers', which says how often a unit is tried and when a claim is stale.

    Raises:
        UnknownTableError, FormatError, StorageError: there is no campaign, or it cannot be read.
    """
    pace = pace or Pace()
    plan = Plan.read(folder)
    there = recorded(folder)
    records: dict[str, Measurement] = {}
    unreadable, running, given_up, lost, todo = [], [], [], [], []
    for unit in plan.units:
        place = attempts_folder(folder, unit)
        counted = 0
        if unit.name in there:
            try:
                records[unit.name] = Measurement.read(record_path(folder, unit))
                counted = records[unit.name].attempt
            except EcnasError:
                unreadable.append(str(unit))
            # Most records come from a first attempt, whose log need not be read.
            if counted and numbers(place) == [counted]:
                continue
        made = attempts(place)
        if unit.name not in there:
            last = made[-1] if made else None
            at_work = last is not None and last.ended == "" and not _is_dead(last.owner)
            if last is not None and at_work:
                running.append(_running(folder, unit, last, pace))
            elif exhausted(made, pace.tries):
                given_up.append(GivenUp(str(unit), len(made), made[-1].detail or "its worker died"))
                lost += made
                continue
            todo.append(unit)
            made = made[:-1] if at_work else made
        lost += [attempt for attempt in made if attempt.number != counted]
    workers = max(sum(not unit.stale for unit in running), 1)
    energy, to_come, seconds, by = _forecast(plan, list(records.values()), todo)
    return Status(
        name=plan.name,
        planned=len(plan.units),
        recorded=len(records),
        unreadable=tuple(unreadable),
        running=tuple(running),
        given_up=tuple(given_up),
        lost=_lost(lost),
        units_per_hour=_rate(list(records.values())),
        remaining_s=seconds / workers,
        energy_kwh=energy,
        energy_to_come_kwh=to_come,
        estimated_from=by,
    )


def _is_dead(owner: Owner | None) -> bool:
    return owner is not None and owner.dead


def _running(folder: Path, unit: Unit, attempt: Attempt, pace: Pace) -> Running:
    path = claim_path(attempts_folder(folder, unit), attempt.number)
    silent = time.time() - path.stat().st_mtime
    owner = attempt.owner
    return Running(
        unit=str(unit),
        worker="unknown" if owner is None else str(owner),
        # By another machine's clock, or one that was set back, it may lie in the future.
        since_s=math.nan if owner is None else max(time.time() - owner.claimed_unix, 0.0),
        stale=silent >= pace.stale_s,
    )


def _lost(made: list[Attempt]) -> Lost:
    joules = [a.energy_j for a in made if math.isfinite(a.energy_j)]
    return Lost(
        attempts=len(made),
        seconds=math.fsum(a.seconds for a in made if math.isfinite(a.seconds)),
        energy_kwh=math.fsum(joules) / _J_PER_KWH if joules else math.nan,
    )


def _rate(records: list[Measurement]) -> float:
    """Records an hour, of the last `_RECENT`."""
    ends = sorted(max(w.stopped_unix for w in r.windows) for r in records if r.windows)
    ends = ends[-_RECENT:]
    span = ends[-1] - ends[0] if len(ends) > 1 else 0.0
    return 3600 * (len(ends) - 1) / span if span > 0 else math.nan


def _forecast(
    plan: Plan, records: list[Measurement], todo: list[Unit]
) -> tuple[float, float, float, str]:
    """kWh so far, expected kWh and worker-seconds of the rest, and the basis of both."""
    joules = np.array([total_j(record, cpu=has_cpu(record)) for record in records])
    known = np.isfinite(joules)
    used = float(joules[known].sum()) / _J_PER_KWH if known.any() or not records else math.nan
    if not todo:
        return used, 0.0, 0.0, "records"
    kwh, seconds = expected(plan, todo)
    if not records:
        return used, float(np.nansum(kwh)), float(np.nansum(seconds)), "models"
    done_kwh, done_s = expected(plan, [record.unit for record in records])
    took = sum(record.training.total_time_s + 2 * record.settings.baseline_s for record in records)
    time_scale = took / float(np.nansum(done_s))
    # Scaled by the records that have an energy; without any the energy to come is unknown.
    energy_scale = used / float(np.nansum(done_kwh[known])) if known.any() else math.nan
    return (
        used,
        float(np.nansum(kwh)) * energy_scale,
        float(np.nansum(seconds)) * time_scale,
        "records",
    )


# -- validation ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Validation:
    """The findings in all records of a campaign."""

    planned: int
    records: int
    missing: tuple[str, ...]
    """Names of units without a record."""
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        """Findings of records that are incomplete or contradict themselves or the plan."""
        return tuple(f for f in self.findings if f.fault)

    @property
    def doubts(self) -> tuple[Finding, ...]:
        """Findings about the quality of records."""
        return tuple(f for f in self.findings if not f.fault)

    @property
    def redo(self) -> tuple[str, ...]:
        """Names of the units that should be measured again."""
        return tuple(dict.fromkeys(f.unit for f in self.findings if f.redo))

    @property
    def why(self) -> dict[str, tuple[str, ...]]:
        """Codes of the findings for which units should be measured again, by the units' names."""
        codes: dict[str, dict[str, None]] = {}
        for finding in self.findings:
            if finding.redo:
                codes.setdefault(finding.unit, {})[finding.code] = None
        return {unit: tuple(known) for unit, known in codes.items()}

    @property
    def good(self) -> bool:
        """Whether no record has a fault."""
        return not self.faults

    @property
    def spotless(self) -> bool:
        """Whether there is no finding and no unit is missing."""
        return not self.findings and not self.missing

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "good": self.good,
            "spotless": self.spotless,
            "planned": self.planned,
            "records": self.records,
            "missing": list(self.missing),
            "redo": list(self.redo),
            "findings": [asdict(finding) for finding in self.findings],
        }


def validate(folder: Path) -> Validation:
    """Check every record of a campaign, by itself and compared with the others.

    Raises:
        UnknownTableError, FormatError, StorageError: there is no campaign, or it cannot be read.
    """
    plan = Plan.read(folder)
    there = recorded(folder)
    findings: list[Finding] = []
    records: list[Measurement] = []
    for unit in plan.units:
        if unit.name not in there:
            continue
        try:
            record = Measurement.read(record_path(folder, unit))
        except EcnasError as error:
            # A disk that does not answer, or another version, is no reason to train again.
            again = not isinstance(error, (StorageError, NewerRecord))
            findings.append(Finding(unit.name, "unreadable", str(error), True, again))
            continue
        if record.unit.name != unit.name:
            text = f"the file of {unit.name} contains {record.unit.name}"
            findings.append(Finding(unit.name, "identity", text, True, True))
            continue
        records.append(record)
        for check in _CHECKS:
            findings += [Finding(unit.name, *found) for found in check(record, plan)]
    names = set(plan.by_name)
    for stray in sorted(there - names):
        findings.append(Finding(stray, "stray", f"{RECORDS}/{stray}.json belongs to no unit", True))
    findings += _together(records)
    findings = [_once(folder, finding) for finding in findings]
    return Validation(
        planned=len(plan.units),
        records=len(there & names),
        missing=tuple(unit.name for unit in plan.units if unit.name not in there),
        findings=tuple(findings),
    )


def _once(folder: Path, finding: Finding) -> Finding:
    """The finding without `redo` if it is a doubt for which the unit was measured again before.

    A doubt that recurs, such as a GPU that is hot in every run, comes from the machine.
    """
    if finding.redo and not finding.fault and finding.code in _requeued(folder, finding.unit):
        return replace(finding, text=f"{finding.text} (measured again already)", redo=False)
    return finding


def _requeued(folder: Path, unit: str) -> set[str]:
    """Codes of the doubts for which a unit was measured again."""
    found: set[str] = set()
    for path in (folder / ATTEMPTS / unit).glob("requeued-*.txt"):
        try:
            found |= set(path.read_text(encoding="utf-8").split("\n"))
        except (OSError, UnicodeDecodeError):
            continue  # then the unit is measured once more
    return found


def _together(records: list[Measurement]) -> Iterator[Finding]:
    yield from _odd_ones(records, "data", lambda r: r.training.data.sha256, fault=True)
    yield from _odd_ones(records, "device", lambda r: r.training.device_name)
    yield from _odd_ones(records, "settings", lambda r: r.training.recipe)
    yield from _odd_ones(records, "meter", lambda r: (r.meter.kind, r.meter.cpu))
    for package in ("torch", "cuda", "cudnn", "naslib_ecnas"):
        yield from _odd_ones(records, package, partial(_version, package))
    yield from _spread(records)
    yield from _clocks(records)
    yield from _cold(records)


def _version(package: str, record: Measurement) -> str:
    return record.training.versions.get(package, "none")


def _odd_ones(
    records: list[Measurement],
    what: str,
    of: Callable[[Measurement], Any],
    *,
    fault: bool = False,
) -> Iterator[Finding]:
    """Records that differ from most of the campaign's."""
    counts = Counter(of(record) for record in records)
    if len(counts) > 1:
        usual = counts.most_common(1)[0][0]
        for record in records:
            if of(record) != usual:
                text = f"its {what} is {of(record)}, most records have {usual}"
                yield Finding(record.unit.name, what, text, fault, fault)


def _spread(records: list[Measurement]) -> Iterator[Finding]:
    """Repeats that are far from the median of their cell and budget."""
    groups: defaultdict[tuple[Any, ...], list[Measurement]] = defaultdict(list)
    for record in records:
        device = record.training.device_name
        groups[record.unit.row, record.unit.epochs, record.training.steps, device].append(record)
    quantities: tuple[tuple[str, str, Callable[[Measurement], float]], ...] = (
        ("energy", "J", lambda r: total_j(r, cpu=False)),
        ("time", "s", lambda r: r.training.training_time_s),
    )
    for group in groups.values():
        for what, unit, of in quantities:
            values = [of(record) for record in group]
            known = [value for value in values if math.isfinite(value)]
            if len(known) < 2:
                continue
            middle = statistics.median(known)
            for record, value in zip(group, values, strict=True):
                if abs(value - middle) > _SPREAD * middle:
                    yield Finding(
                        record.unit.name,
                        "spread",
                        f"its {what} of {value:.4g} {unit} is {abs(value / middle - 1):.0%} off "
                        f"the median of {len(known)} repeats, {middle:.4g} {unit}",
                        False,
                        True,
                    )


def _clocks(records: list[Measurement]) -> Iterator[Finding]:
    """Runs whose GPU had a lower clock than in most runs on the same kind of device."""
    found: defaultdict[str, list[tuple[Measurement, float]]] = defaultdict(list)
    for record in records:
        clocks = list(_training_clocks(record))
        if clocks:
            found[record.training.device_name].append((record, statistics.median(clocks)))
    for runs in found.values():
        usual = statistics.median(clock for _, clock in runs)
        for record, clock in runs:
            if clock < (1 - _CLOCK) * usual:
                text = f"the GPU ran at {clock:.0f} MHz, in most runs at {usual:.0f} MHz"
                yield Finding(record.unit.name, "clocks", text, False, True)


def _training_clocks(record: Measurement) -> Iterator[float]:
    """Clocks in MHz at the ends of the segments of training, when the GPU is under load."""
    names = {segment.window.name for segment in record.training.segments}
    for window in record.windows:
        if window.name in names:
            for reading in window.energy_j.values():
                if reading.stop is not None and math.isfinite(reading.stop.sm_clock_mhz):
                    yield reading.stop.sm_clock_mhz


def _cold(records: list[Measurement]) -> Iterator[Finding]:
    """Trainings on a cold GPU: a worker's first and those after a pause, without a warm-up."""
    workers: defaultdict[tuple[Any, ...], list[Measurement]] = defaultdict(list)
    for record in records:
        if record.training.device.startswith("cuda") and not record.settings.warm_up_s:
            owner = record.owner
            worker = owner.host, owner.system, owner.pid, owner.process_start
            workers[worker].append(record)
    for made in workers.values():
        ended = -math.inf
        for record in sorted(made, key=lambda r: r.owner.claimed_unix):
            began = record.owner.claimed_unix
            if began - ended > PAUSE_S:
                text = "the GPU was cold and not warmed up: the start of a worker is in its energy"
                yield Finding(record.unit.name, "cold", text, False, True)
            ended = began + record.training.total_time_s + 2 * record.settings.baseline_s


def requeue(
    folder: Path, names: Iterable[str], *, why: Mapping[str, Iterable[str]] | None = None
) -> list[str]:
    """Move records among the attempts, so that their units are measured again.

    Args:
        folder: folder of the campaign.
        names: names of the units.
        why: codes of the findings by the units' names, see `Validation.why`. They are stored beside
            the records: the same doubt does not ask for a third measurement.

    Returns:
        Names of the units whose records were moved.

    Raises:
        StorageError: a file cannot be moved.
    """
    moved = []
    known = Plan.read(folder).by_name
    for name in names:
        if name not in known:
            continue
        source = record_path(folder, known[name])
        place = folder / ATTEMPTS / name
        number = 1
        while (target := place / f"requeued-{number}.json").exists():
            number += 1
        try:
            place.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
            if why is not None and name in why:
                target.with_suffix(".txt").write_text("\n".join(why[name]), encoding="utf-8")
        except OSError as error:
            raise storage_error(error, source) from error
        moved.append(name)
    return moved
