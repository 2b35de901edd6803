"""Whether a campaign's records are whole and consistent, and which units to measure again."""

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
from naslib_ecnas.campaign.claims import Attempt, Owner, attempts, numbers
from naslib_ecnas.campaign.plan import Pace, Plan, Unit, expected
from naslib_ecnas.campaign.record import (
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
from naslib_ecnas.campaign.worker import ATTEMPTS, PAUSE_S, WARM_UP, attempts_folder, exhausted
from naslib_ecnas.cell import Cell
from naslib_ecnas.energy.readings import Baseline, GpuState, Reading, check_parts
from naslib_ecnas.errors import EcnasError, StorageError
from naslib_ecnas.files import storage_error, to_plain
from naslib_ecnas.training.record import SPLITS, WHEN

__all__ = [
    "CHECKS",
    "Finding",
    "GivenUp",
    "Lost",
    "Running",
    "Status",
    "Validation",
    "requeue",
    "status",
    "validate",
]


# What is looked at in every single record. Each check is a function; `CHECKS` lists them.
#
# After the power checker of MLPerf, which refuses a result whose log does not cover its run: faults
# say that a record is not whole or contradicts itself, doubts that its figures may be poor.


#: What two clocks of one window may differ by: a second for edges that waited, and a share.
_CLOCK_S, _CLOCK_SHARE = 1.0, 0.02

#: Share of its energy up to which a run's uncertainty does not matter.
_UNCERTAIN = 0.01

#: What rest before and after may differ by beyond their uncertainty, as a share of the run's
#: mean power.
_REST = 0.05

#: Not a limit that was hit: what an idle GPU or a setting of the user gives.
_HARMLESS = ("gpu-idle", "application-clocks", "display-clock")


@dataclass(frozen=True)
class Finding:
    """Something about one record."""

    unit: str
    """Name of the unit."""
    code: str
    """One or two words for what it is."""
    text: str
    fault: bool
    """Whether the record is not whole or contradicts itself; else a doubt about quality."""
    redo: bool = False
    """Whether measuring anew can mend it."""


Found = Iterator[tuple[str, str, bool, bool]]


def _fault(code: str, text: str) -> tuple[str, str, bool, bool]:
    return code, text, True, True


def _doubt(code: str, text: str, *, redo: bool = False) -> tuple[str, str, bool, bool]:
    return code, text, False, redo


def identity(record: Measurement, plan: Plan) -> Found:
    """It is of the plan, and its cell is what it says."""
    training, unit = record.training, record.unit
    cell = Cell.from_row(unit.row)
    planned = plan.by_name.get(unit.name)
    if planned != unit or record.plan != plan.checksum:
        yield _fault("plan", "it is of another plan")
    asked = (str(cell), cell.nasbench_hash, unit.epochs, unit.seed, plan.recipe)
    got = (
        training.cell,
        training.nasbench_hash,
        training.epochs,
        training.seed,
        training.recipe.name,
    )
    if got != asked:
        yield _fault("identity", f"it trained {got}, planned was {asked}")
    parameters = int(network.parameters([unit.row])[0])
    if training.parameters != parameters:
        yield _fault("parameters", f"{training.parameters:,} parameters, not {parameters:,}")


def steps(record: Measurement, plan: Plan) -> Found:
    """All steps were made, one after the other."""
    training, at = record.training, 0
    for segment in training.segments:
        if segment.first_step != at:
            yield _fault("steps", f"{segment.window.name} begins at {segment.first_step}, not {at}")
        at = segment.first_step + segment.steps
    budget = training.recipe.steps(training.epochs, training.data.train)
    short = record.settings.steps
    due = budget if short is None else min(short, budget)
    if training.budget_steps != budget or not at == training.steps == due:
        yield _fault("steps", f"{at} steps of segments, {training.steps} in all, {due} were due")


def losses(record: Measurement, plan: Plan) -> Found:
    """Every loss is finite."""
    training = record.training
    if training.bad_steps or training.first_bad_step is not None:
        yield _fault(
            "loss",
            f"the loss is not finite in {training.bad_steps} steps from {training.first_bad_step}",
        )
    elif any(not math.isfinite(s.mean_loss) or s.mean_loss < 0 for s in training.segments):
        yield _fault("loss", "a segment has no mean loss")


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
            yield _fault("evaluations", f"{name} saw {found.images} images, {looked} were due")
        right = found.accuracy * found.images
        if not 0 <= right <= found.images or abs(right - round(right)) > 1e-6 * found.images:
            yield _fault("accuracy", f"{name}: {found.accuracy} is no share of {found.images}")


def durations(record: Measurement, plan: Plan) -> Found:
    """The windows fit into one another, and the meter's clock agrees with the training's."""
    training = record.training
    total = training.windows[0] if training.windows else None
    if total is None or total.name != "total":
        yield _fault("duration", "there is no window around the training")
        return
    inner = math.fsum(window.seconds for window in training.windows[1:])
    if any(w.seconds < 0 for w in training.windows) or inner > total.seconds + 1e-3:
        yield _fault("duration", f"parts of {inner:.3f} s in a run of {total.seconds:.3f} s")
    if record.meter.kind == "replay":
        return  # its windows have the times of the recording
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
    """Every window has an energy, and the parts add up to the whole."""
    if not is_measured(record):
        yield _doubt("unmeasured", "there was no meter: its energy is not known")
        return
    for text in essential_faults(record):
        yield _fault("energy", text)
    total = record.window("total")
    if total is not None:
        for check in check_parts(total, record.windows):
            if check.verdict == "off":
                yield _fault(
                    "parts",
                    f"the parts of {check.device} use {check.parts_j:.1f} J, the whole "
                    f"{check.total_j:.1f} J: {check.rest_j:.1f} J apart, {check.tolerance_j:.1f} J "
                    f"are uncertain",
                )
    for name in unresolved(record):
        yield _doubt("too-short", f"{name} was over before the sensor refreshed; it is estimated")
    if record.meter.kind == "nvml" and record.meter.cpu != "measured":
        yield _doubt("cpu", f"the CPU is not measured: {record.meter.cpu_detail}")


def sensors(record: Measurement, plan: Plan) -> Found:
    """What the readings of the whole run flag."""
    total = record.window("total")
    for device, reading in ({} if total is None else essential(total)).items():
        if reading.agreement == "apart":
            yield _doubt(
                "counter",
                f"{device}: the counter says {reading.energy_j:.1f} J, the integral of power "
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
    """Other processes on the GPU, and clocks that were held back, at any window's edge."""
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
        yield _doubt("clocks", f"clocks were held back: {', '.join(sorted(reasons))}", redo=hot)


def rests(record: Measurement, plan: Plan) -> Found:
    """Rest was measured on both sides, and differs by no more than its uncertainty explains."""
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
        # A rest of half a second is known to some watts only: they are no change.
        known_to = sum(end.uncertainty_w[device] for end in ends)
        if abs(last - first) > _REST * mean + known_to:
            yield _doubt("rest", f"{device} rests at {first:.1f} W before and {last:.1f} W after")


def made_up(record: Measurement, plan: Plan) -> Found:
    """Whether it is a measurement at all."""
    for why in record.made_up:
        yield _doubt("synthetic", why)
    for departure in record.training.departures:
        if not departure.startswith(("stopped after", "synthetic data")):
            yield _doubt("departure", departure)
    joules = total_j(record, cpu=False)
    if is_measured(record) and math.isfinite(joules) and joules <= 0:
        yield _fault("energy", f"a training that used {joules} J")


def _states(readings: Iterable[Reading]) -> Iterator[GpuState]:
    for reading in readings:
        yield from (state for state in (reading.start, reading.stop) if state is not None)


#: Every check, in the order of the report.
CHECKS: tuple[Callable[[Measurement, Plan], Found], ...] = (
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


# How far a campaign is, what it used and lost, and what it has still to use.


#: The rate is that of the last records, since workers come and go.
_RECENT = 50

_J_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Running:
    """A unit that a worker is at."""

    unit: str
    worker: str
    since_s: float
    stale: bool
    """Whether it has given no sign of life for long; the next worker takes the unit over."""


@dataclass(frozen=True)
class GivenUp:
    """A unit that was tried in vain."""

    unit: str
    attempts: int
    reason: str


@dataclass(frozen=True)
class Lost:
    """What attempts without a record took."""

    attempts: int
    seconds: float
    energy_kwh: float
    """Of the windows that ended; NaN where nothing was measured."""


@dataclass(frozen=True)
class Status:
    """The state of a campaign. Energies are those of the meters, PUE not in."""

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
    """Until the end, with the workers of this moment, or one where there is none; NaN where there
    is nothing to tell it from."""
    energy_kwh: float
    """Of the records, 0 without any; NaN where none of them has one."""
    energy_to_come_kwh: float
    """Of the units without a record; NaN where the records have no energies."""
    foretold_by: str
    """`records` where they scale the models, else `models`."""

    @property
    def remaining(self) -> int:
        """Units without a record that are not given up."""
        return self.planned - self.recorded - len(self.given_up)

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain: dict[str, Any] = to_plain(self)
        return {**plain, "remaining": self.remaining}


def status(folder: Path, *, pace: Pace | None = None) -> Status:
    """Look at a campaign.

    Args:
        folder: of the campaign.
        pace: tells how often a unit is tried, and when a claim is stale.

    Raises:
        UnknownTableError, FormatError, StorageError: no campaign, or it cannot be read.
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
            # Most records were made at the first attempt, whose log then tells nothing more.
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
    energy, to_come, seconds, by = _foretold(plan, list(records.values()), todo)
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
        foretold_by=by,
    )


def _is_dead(owner: Owner | None) -> bool:
    return owner is not None and owner.dead


def _running(folder: Path, unit: Unit, attempt: Attempt, pace: Pace) -> Running:
    path = attempts_folder(folder, unit) / f"{attempt.number:04d}.claim"
    silent = time.time() - path.stat().st_mtime
    owner = attempt.owner
    return Running(
        unit=str(unit),
        worker="unknown" if owner is None else str(owner),
        # Another machine's clock, or one that was set back, may say a time to come.
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
    """Records an hour over the last ones."""
    ends = sorted(max(w.stopped_unix for w in r.windows) for r in records if r.windows)
    ends = ends[-_RECENT:]
    span = ends[-1] - ends[0] if len(ends) > 1 else 0.0
    return 3600 * (len(ends) - 1) / span if span > 0 else math.nan


def _foretold(
    plan: Plan, records: list[Measurement], todo: list[Unit]
) -> tuple[float, float, float, str]:
    """kWh so far, kWh and worker-seconds to come, and what tells them."""
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
    slower = took / float(np.nansum(done_s))
    # Scaled by the records that have an energy; where none has, none is to come either.
    hungrier = used / float(np.nansum(done_kwh[known])) if known.any() else math.nan
    return used, float(np.nansum(kwh)) * hungrier, float(np.nansum(seconds)) * slower, "records"


#: Share of their median that repeats may be apart from it. EC-NAS's repeats at 4 epochs vary by
#: 1.3 % (median coefficient of variation) and at most 10.4 %.
_SPREAD = 0.1

#: Share of the campaign's median clock that a run may be below it.
_CLOCK = 0.05


@dataclass(frozen=True)
class Validation:
    """What was found in all records of a campaign."""

    planned: int
    records: int
    missing: tuple[str, ...]
    """Names of units without a record."""
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        """Records that are not whole or contradict themselves or the plan."""
        return tuple(f for f in self.findings if f.fault)

    @property
    def doubts(self) -> tuple[Finding, ...]:
        """What a reader of the figures should know."""
        return tuple(f for f in self.findings if not f.fault)

    @property
    def redo(self) -> tuple[str, ...]:
        """Names of the units that measuring anew can mend."""
        return tuple(dict.fromkeys(f.unit for f in self.findings if f.redo))

    @property
    def why(self) -> dict[str, tuple[str, ...]]:
        """Codes of what measuring these units anew can mend, by name."""
        codes: dict[str, dict[str, None]] = {}
        for finding in self.findings:
            if finding.redo:
                codes.setdefault(finding.unit, {})[finding.code] = None
        return {unit: tuple(known) for unit, known in codes.items()}

    @property
    def good(self) -> bool:
        """Whether every record that is there is whole and consistent."""
        return not self.faults

    @property
    def spotless(self) -> bool:
        """Whether, beyond that, no unit is missing and nothing is in doubt."""
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
    """Check every record of a campaign by itself and beside the others.

    Raises:
        UnknownTableError, FormatError, StorageError: no campaign, or it cannot be read.
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
            # Neither a disk that does not answer nor another version is a reason to train again.
            again = not isinstance(error, (StorageError, NewerRecord))
            findings.append(Finding(unit.name, "unreadable", str(error), True, again))
            continue
        if record.unit.name != unit.name:
            text = f"the file of {unit.name} holds {record.unit.name}"
            findings.append(Finding(unit.name, "identity", text, True, True))
            continue
        records.append(record)
        for check in CHECKS:
            findings += [Finding(unit.name, *found) for found in check(record, plan)]
    names = set(plan.by_name)
    for stray in sorted(there - names):
        findings.append(Finding(stray, "stray", f"{RECORDS}/{stray}.json is of no unit", True))
    findings += _together(records)
    findings = [_once(folder, finding) for finding in findings]
    return Validation(
        planned=len(plan.units),
        records=len(there & names),
        missing=tuple(unit.name for unit in plan.units if unit.name not in there),
        findings=tuple(findings),
    )


def _once(folder: Path, finding: Finding) -> Finding:
    """A doubt asks for one more training of a unit and no further ones: what comes again, as from
    a GPU that is hot in every run, is how this machine measures."""
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
            continue  # then it is asked for once more
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
    """Records that differ from most."""
    counts = Counter(of(record) for record in records)
    if len(counts) > 1:
        usual = counts.most_common(1)[0][0]
        for record in records:
            if of(record) != usual:
                text = f"its {what} is {of(record)}, that of most is {usual}"
                yield Finding(record.unit.name, what, text, fault, fault)


def _spread(records: list[Measurement]) -> Iterator[Finding]:
    """Repeats that are far from the others of their cell and budget."""
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
    """Runs whose GPU was clocked lower than in the others, on one kind of device."""
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
    """At the ends of the segments of training, where the GPU is under load."""
    names = {segment.window.name for segment in record.training.segments}
    for window in record.windows:
        if window.name in names:
            for reading in window.energy_j.values():
                if reading.stop is not None and math.isfinite(reading.stop.sm_clock_mhz):
                    yield reading.stop.sm_clock_mhz


def _cold(records: list[Measurement]) -> Iterator[Finding]:
    """Trainings on a GPU that was not warmed up: a worker's first, and those after a pause."""
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
                text = "the GPU was cold and not warmed up: it pays for the start of a worker"
                yield Finding(record.unit.name, "cold", text, False, True)
            ended = began + record.training.total_time_s + 2 * record.settings.baseline_s


def requeue(
    folder: Path, names: Iterable[str], *, why: Mapping[str, Iterable[str]] | None = None
) -> list[str]:
    """Move records among the attempts, so that their units are measured anew.

    Args:
        folder: of the campaign.
        names: of the units.
        why: codes of what was found, by name: `Validation.why`. They are kept beside the records,
            and a doubt of one of these is no reason to measure the unit a third time.

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
