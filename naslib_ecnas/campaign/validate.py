"""Validation of a campaign: the findings in its records, and which units to measure again.

After the power checker of MLPerf, which refuses a result whose log does not cover its run. A fault
means that a record is incomplete or contradicts itself, a doubt that its values may be poor.
"""

from __future__ import annotations

import math
import os
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from os import PathLike
from pathlib import Path
from typing import Any

from naslib_ecnas import network
from naslib_ecnas.campaign.measurement import (
    RECORDS,
    Measurement,
    essential,
    read_record,
    record_path,
    recorded,
)
from naslib_ecnas.campaign.plan import Plan
from naslib_ecnas.campaign.worker import ATTEMPTS, WARM_UP
from naslib_ecnas.cell import Cell
from naslib_ecnas.energy.readings import Baseline, check_parts
from naslib_ecnas.errors import EcnasError, StorageError
from naslib_ecnas.files import storing, to_plain
from naslib_ecnas.training.record import SPLITS, WHEN

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
#: Least and largest share of the median of repeats. EC-NAS's repeats at 4 epochs vary by 1.3 %
#: (median coefficient of variation) and at most 10.4 %.
_SPREAD = 0.9, 1.1
#: Least share of the median clock of runs on the same kind of device.
_CLOCK = 0.95


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


# -- faults of a single record -------------------------------------------------------------------

#: Code and text of each fault; every fault asks for another measurement.
Faults = Iterator[tuple[str, str]]


def _identity(record: Measurement, plan: Plan) -> Faults:
    """The record belongs to the plan, and trained the planned cell."""
    training, unit = record.training, record.unit
    cell = Cell.from_row(unit.row)
    if record.plan != plan.checksum:
        yield "plan", "it belongs to another plan"
    due = {"cell": str(cell), "nasbench_hash": cell.nasbench_hash, "epochs": unit.epochs}
    due |= {"seed": unit.seed, "parameters": int(network.parameters([unit.row])[0])}
    for name, value in due.items():
        if (got := getattr(training, name)) != value:
            yield "identity", f"its {name} is {got}, not {value}"
    if training.recipe.name != plan.recipe:
        yield "identity", f"its recipe is {training.recipe.name}, not {plan.recipe}"


def _steps(record: Measurement, plan: Plan) -> Faults:
    """All steps were made, in order, and every loss is finite."""
    training, at = record.training, 0
    for segment in training.segments:
        if segment.first_step != at:
            yield "steps", f"{segment.window.name} begins at {segment.first_step}, not {at}"
        at = segment.first_step + segment.steps
    budget = training.recipe.steps(training.epochs, training.data.train)
    due = min(record.settings.steps or budget, budget)
    if training.budget_steps != budget or not at == training.steps == due:
        yield "steps", f"{at} steps in segments, {training.steps} in all, {due} expected"
    bad, first = training.bad_steps, training.first_bad_step
    if bad or first is not None:
        yield "loss", f"the loss is not finite in {bad} steps from {first}"
    elif any(not math.isfinite(s.mean_loss) or s.mean_loss < 0 for s in training.segments):
        yield "loss", "a segment has no finite mean loss"


def _evaluations(record: Measurement, plan: Plan) -> Faults:
    """Three times three evaluations, each on all whole batches."""
    training = record.training
    due = [(when, split) for when in WHEN for split in SPLITS]
    if [(e.when, e.split) for e in training.evaluations] != due:
        yield "evaluations", f"{len(training.evaluations)} evaluations, not {len(due)}"
    middle = training.recipe.middle_step(training.epochs, training.steps)
    steps = dict(zip(WHEN, (1, middle, training.steps), strict=True))
    for found in training.evaluations:
        if found.steps != steps[found.when]:
            text = f"{found.window.name} came after {found.steps} steps, not {steps[found.when]}"
            yield "evaluations", text
    data, most = training.data, record.settings.evaluate_images
    sizes = {"train": data.train // 4, "validation": data.validation, "test": data.test}
    for found in training.evaluations:
        size = sizes[found.split] if most is None else min(most, sizes[found.split])
        size -= size % training.recipe.batch_size
        name, images, accuracy = found.window.name, found.images, found.accuracy
        if images != size:
            yield "evaluations", f"{name} used {images} images, not {size}"
        right = accuracy * images
        if not 0 <= right <= images or abs(right - round(right)) > 1e-6 * images:
            yield "accuracy", f"{name}: {accuracy} is not a fraction of {images}"


def _durations(record: Measurement, plan: Plan) -> Faults:
    """Durations of windows add up, and the meter's agree with the training's."""
    windows = record.training.windows
    if not windows or windows[0].name != "total":
        yield "duration", "there is no window total"
        return
    total, inner = windows[0].seconds, math.fsum(window.seconds for window in windows[1:])
    if any(window.seconds < 0 for window in windows) or inner > total + 1e-3:
        yield "duration", f"parts of {inner:.3f} s in a run of {total:.3f} s"
    for named in windows:
        name, seconds, window = named.name, named.seconds, record.window(named.name)
        if window is None:
            yield "window", f"the meter has no window {name}"
        elif abs(window.seconds - seconds) > _CLOCK_S + _CLOCK_SHARE * seconds:
            text = f"{name} took {seconds:.2f} s, the meter measured {window.seconds:.2f}"
            yield "duration", text


def _energies(record: Measurement, plan: Plan) -> Faults:
    """Every window has an energy, and the parts of the run add up."""
    for text in record.invalid:
        yield "energy", text
    total = record.window("total")
    for parts in check_parts(total, record.windows) if total and record.measured else ():
        if parts.verdict == "off":
            text = f"the parts of {parts.device} use {parts.parts_j:.1f} J, the whole run "
            text += f"{parts.total_j:.1f} J: a difference of {parts.rest_j:.1f} J, of which "
            yield "parts", f"{text}{parts.tolerance_j:.1f} J are uncertain"
    joules = record.total_j(cpu=False)
    if record.measured and joules <= 0:
        yield "energy", f"the training used {joules} J"


# -- doubts about a single record ----------------------------------------------------------------

#: Code and text of each doubt, and whether measuring again can help.
Doubts = Iterator[tuple[str, str, bool]]


def _origin(record: Measurement) -> Doubts:
    """The record is a measurement of the published recipe, by all sensors."""
    for why in record.made_up:
        yield "synthetic", why, False
    for departure in record.training.departures:
        if not departure.startswith(("stopped after", "synthetic data")):
            yield "departure", departure, False
    if not record.measured:
        yield "unmeasured", "there was no meter: its energy is unknown", False
    elif record.meter.kind == "nvml" and record.meter.cpu != "measured":
        yield "cpu", f"the CPU is not measured: {record.meter.cpu_detail}", False
    if record.training.device.startswith("cuda") and not record.settings.warm_up_s:
        yield "cold", "its worker did not warm up the GPU, which may have been cold", False


def _setups(record: Measurement) -> Doubts:
    """The power of the GPUs is not limited to less than their default."""
    for device, setup in record.meter.setups.items():
        if setup.limited:
            limit, default = setup.enforced_power_limit_w, setup.default_power_limit_w
            text = f"{device}: power is limited to {limit:.0f} W, {default:.0f} W is usual"
            yield "power-limit", text, False


def _sensors(record: Measurement) -> Doubts:
    """Agreement, flags and uncertainty of the readings of the whole run."""
    if record.measured:
        for name in record.unresolved:
            yield "too-short", f"{name} ended before the sensor refreshed; it is estimated", False
    for device, reading in essential(record.window("total")).items():
        joules, integral_j, unsure_j = reading.energy_j, reading.integral_j, reading.uncertainty_j
        if reading.agreement == "apart":
            text = f"the counter gives {joules:.1f} J, integrated power {integral_j:.1f} J"
            yield "counter", f"{device}: {text}", True
        for flag in reading.flags:
            if flag != "counter-against-power":
                yield flag, f"{device}: {flag}", flag not in ("graphics", "module")
        if reading.valid and unsure_j > _UNCERTAIN * joules:
            text = f"{unsure_j:.2f} J of {joules:.2f} J are uncertain, since the run is short for "
            yield "uncertain", f"{device}: {text}the sensor", False


def _states(record: Measurement) -> Doubts:
    """Other processes on the GPU, and throttling, at the edges of all windows."""
    pids: set[int] = set()
    reasons: set[str] = set()
    for window in record.windows:
        for state in (state for r in window.energy_j.values() for state in r.states):
            pids |= {process.pid for process in state.others or () if not process.draws}
            if not window.name.startswith(("rest-", WARM_UP)):
                reasons |= set(state.throttle_reasons or ()) - set(_HARMLESS)
    if pids:
        yield "foreign", f"other processes used the GPU: {sorted(pids)}", True
    if reasons:
        hot = any("thermal" in r or "hardware" in r for r in reasons)
        yield "clocks", f"the clocks were throttled: {', '.join(sorted(reasons))}", hot


def _rests(record: Measurement) -> Doubts:
    """Power at rest was measured before and after, and changed little beyond its uncertainty."""
    if not record.measured:
        return
    windows = [record.window(name) for name in ("total", "rest-before", "rest-after")]
    known = [window for window in windows if window is not None]
    if len(known) < len(windows):
        yield "rest", "no rest was measured before and after", False
        return
    total, ends = known[0], [Baseline.of(window) for window in known[1:]]
    seconds = total.seconds if total.seconds > 0 else math.nan
    for device, reading in essential(total).items():
        first, last = (end.power_w.get(device, math.nan) for end in ends)
        if not math.isfinite(last - first):
            yield "rest", f"{device}: the rest could not be measured", False
            continue
        # After half a second the power at rest is known to some watts only.
        uncertainty_w = sum(end.uncertainty_w[device] for end in ends)
        if abs(last - first) > _REST * reading.energy_j / seconds + uncertainty_w:
            yield "rest", f"{device} rests at {first:.1f} W before and {last:.1f} W after", False


def alone(record: Measurement, plan: Plan) -> Iterator[Finding]:
    """Findings from a record by itself, faults first."""
    for check in (_identity, _steps, _evaluations, _durations, _energies):
        for code, text in check(record, plan):
            yield Finding(record.unit.name, code, text, fault=True, redo=True)
    for doubts in (_origin, _setups, _sensors, _states, _rests):
        for code, text, redo in doubts(record):
            yield Finding(record.unit.name, code, text, fault=False, redo=redo)


# -- records compared with each other ------------------------------------------------------------


def common(record: Measurement) -> dict[str, Hashable]:
    """What all records of a campaign should have in common."""
    training, meter = record.training, record.meter
    rounding = {n: v for n, v in training.arithmetic.items() if "precision" in n or "TF32" in n}
    names = ("torch", "cuda", "cudnn", "naslib_ecnas")
    versions = {name: training.versions.get(name, "none") for name in names}
    names = ("driver", "persistence", "ecc", "enforced_power_limit_w")
    setups = meter.setups.values()
    return {
        "data": training.data.sha256,
        "device": training.device_name,
        "recipe": training.recipe,
        "meter": (meter.kind, meter.cpu),
        "evaluated images": record.settings.evaluate_images or "all",
        "origin": "made up" if record.made_up else "measured",
        "rounding": tuple(sorted(rounding.items())),
        "arithmetic": tuple(sorted(training.arithmetic.items() - rounding.items())),
        **versions,
        **{name: tuple(str(getattr(setup, name)) for setup in setups) for name in names},
    }


def together(records: list[Measurement]) -> Iterator[Finding]:
    """Findings from records beside the others of their campaign."""
    copies = defaultdict(list)
    for record in records:
        # No two trainings take the same times and energies to the last bit.
        times = [window.seconds for window in record.training.windows]
        energies = [(window.gpu_total_j, window.cpu_total_j) for window in record.windows]
        copies[repr((times, energies))].append(record.unit)
    for units in copies.values():
        for unit in units if len(units) > 1 else ():
            text = f"its training is recorded {len(units)} times: {', '.join(map(str, units))}"
            yield Finding(unit.name, "copy", text, fault=True, redo=True)
    shared = [common(record) for record in records]
    for what in shared[0] if shared else ():
        ((usual, _),) = Counter(each[what] for each in shared).most_common(1)
        for record, each in zip(records, shared, strict=True):
            if each[what] != usual:
                text = f"its {what} is {each[what]}, most records have {usual}"
                fault = what == "data"
                yield Finding(record.unit.name, what, text, fault, redo=fault)

    def device(record: Measurement) -> str:
        return record.training.device_name

    def repeats(record: Measurement) -> Hashable:
        return record.unit.row, record.unit.epochs, record.training.steps, device(record)

    yield from _outliers(
        records, repeats, ("spread", "energy", "J"), lambda r: r.total_j(cpu=False), *_SPREAD
    )
    yield from _outliers(
        records, repeats, ("spread", "time", "s"), lambda r: r.training.training_time_s, *_SPREAD
    )
    yield from _outliers(records, device, ("clocks", "clock", "MHz"), _clock_mhz, _CLOCK)


def _outliers(
    records: list[Measurement],
    group: Callable[[Measurement], Hashable],
    what: tuple[str, str, str],
    of: Callable[[Measurement], float],
    low: float,
    high: float = math.inf,
) -> Iterator[Finding]:
    """Values that are not within `low` to `high` times the median of their group."""
    code, name, unit = what
    groups: defaultdict[Hashable, list[tuple[str, float]]] = defaultdict(list)
    for record in records:
        if math.isfinite(value := of(record)):
            groups[group(record)].append((record.unit.name, value))
    for members in groups.values():
        middle = statistics.median(value for _, value in members)
        # A median of 0 has no shares; such values are faults, or no sensor gave them.
        for of_unit, value in members if middle > 0 else ():
            if not low * middle <= value <= high * middle:
                text = f"its {name} of {value:.4g} {unit} is {abs(value / middle - 1):.0%} off "
                text += f"the median of {len(members)} runs, {middle:.4g} {unit}"
                yield Finding(of_unit, code, text, fault=False, redo=True)


def _clock_mhz(record: Measurement) -> float:
    """Median clock at the ends of the segments of training, when the GPU is under load, or NaN."""
    names = {segment.window.name for segment in record.training.segments}
    readings = [r for w in record.windows if w.name in names for r in w.energy_j.values()]
    clocks = [r.stop.sm_clock_mhz for r in readings if r.stop is not None]
    known = [clock for clock in clocks if math.isfinite(clock)]
    return statistics.median(known) if known else math.nan


# -- a whole campaign ----------------------------------------------------------------------------


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
        return tuple(dict.fromkeys(finding.unit for finding in self.findings if finding.redo))

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
        derived = {"good": self.good, "spotless": self.spotless, "redo": list(self.redo)}
        return {**derived, **to_plain(self)}


def validate(folder: str | PathLike[str]) -> Validation:
    """Check every record of a campaign, by itself and compared with the others.

    Raises:
        UnknownTableError, FormatError, StorageError: there is no campaign, or it cannot be read.
    """
    folder = Path(folder)
    plan = Plan.read(folder)
    there = recorded(folder)
    names = [name for name in plan.by_name if name in there]
    findings: list[Finding] = []
    records: list[Measurement] = []
    for name in names:
        try:
            records.append(read_record(folder, plan.by_name[name]))
        except EcnasError as error:
            # A disk that does not answer is no reason to train again.
            again = not isinstance(error, StorageError)
            findings.append(Finding(name, "unreadable", str(error), True, again))
        else:
            findings += alone(records[-1], plan)
    for stray in sorted(there - plan.by_name.keys()):
        findings.append(Finding(stray, "stray", f"{RECORDS}/{stray}.json belongs to no unit", True))
    findings += together(records)
    for i, found in enumerate(findings):
        # A doubt that recurs, such as a GPU that is hot in every run, comes from the machine.
        if found.redo and not found.fault and _requeued(folder, found.unit).exists():
            text = f"{found.text} (measured again already)"
            findings[i] = replace(found, text=text, redo=False)
    missing = tuple(name for name in plan.by_name if name not in there)
    return Validation(len(plan.units), len(names), missing, tuple(findings))


def _requeued(folder: Path, unit: str, number: int = 1) -> Path:
    """Where a record of a unit goes that is measured again."""
    return folder / ATTEMPTS / unit / f"requeued-{number}.json"


def requeue(folder: str | PathLike[str], names: Iterable[str]) -> list[str]:
    """Move the records of named units among the attempts, so that they are measured again.

    Returns:
        Names of the units whose records were moved.

    Raises:
        StorageError: a file cannot be moved.
    """
    moved, folder = [], Path(folder)
    known = Plan.read(folder).by_name
    for name in names:
        if name not in known:
            continue
        source = record_path(folder, known[name])
        places = (_requeued(folder, name, number) for number in count(1))
        target = next(place for place in places if not place.exists())
        with storing(source):
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
        moved.append(name)
    return moved
