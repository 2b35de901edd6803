"""Checks of a campaign's records: faults and doubts of each, and of records beside the others.

After the power checker of MLPerf, which refuses a result whose log does not cover its run. A fault
means that a record is incomplete or contradicts itself, a doubt that its values may be poor.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from naslib_ecnas import network
from naslib_ecnas.campaign.measurement import Measurement, essential
from naslib_ecnas.campaign.plan import Plan
from naslib_ecnas.campaign.unit import PAUSE_S, WARM_UP
from naslib_ecnas.cell import Cell
from naslib_ecnas.energy.readings import Baseline, check_parts
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
#: Largest distance of repeats from their median, as a share. EC-NAS's repeats at 4 epochs vary by
#: 1.3 % (median coefficient of variation) and at most 10.4 %.
_SPREAD = 0.1
#: Share of the campaign's median clock that a run may be below it.
_CLOCK = 0.05


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
    training, unit = record.training, plan.by_name[record.unit.name]
    cell = Cell.from_row(unit.row)
    if record.unit != unit or record.plan != plan.checksum:
        yield "plan", "it belongs to another plan"
    due = (str(cell), cell.nasbench_hash, unit.epochs, unit.seed, plan.recipe)
    recipe = training.recipe.name
    got = (training.cell, training.nasbench_hash, training.epochs, training.seed, recipe)
    if got != due:
        yield "identity", f"it trained {got}, the plan has {due}"
    parameters = int(network.parameters([unit.row])[0])
    if training.parameters != parameters:
        yield "parameters", f"{training.parameters:,} parameters, not {parameters:,}"


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
    if record.meter.kind == "replay":
        return  # its windows have the recording's times
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


#: Every check for faults, in the order of the report.
_FAULTS = (_identity, _steps, _evaluations, _durations, _energies)


def faults(record: Measurement, plan: Plan) -> list[Finding]:
    """The faults of a record."""
    found = [fault for check in _FAULTS for fault in check(record, plan)]
    return [Finding(record.unit.name, *fault, fault=True, redo=True) for fault in found]


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


#: Every check for doubts, in the order of the report.
DOUBTS = (_origin, _setups, _sensors, _states, _rests)


# -- records compared with each other ------------------------------------------------------------

#: Settings of a GPU that all records should have in common.
_SETTINGS = ("driver", "persistence", "ecc", "enforced_power_limit_w")


def _set_up(name: str) -> Callable[[Measurement], Any]:
    """A setting of the GPUs that were measured."""
    return lambda record: tuple(str(getattr(s, name)) for s in record.meter.setups.values())


#: What all records should have in common; another data set is a fault, the others are doubts.
_COMMON: dict[str, Callable[[Measurement], Any]] = {
    "data": lambda r: r.training.data.sha256,
    "device": lambda r: r.training.device_name,
    "settings": lambda r: r.training.recipe,
    "meter": lambda r: (r.meter.kind, r.meter.cpu),
    "torch": lambda r: r.training.versions.get("torch", "none"),
    "cuda": lambda r: r.training.versions.get("cuda", "none"),
    "cudnn": lambda r: r.training.versions.get("cudnn", "none"),
    "naslib_ecnas": lambda r: r.training.versions.get("naslib_ecnas", "none"),
    "arithmetic": lambda r: tuple(sorted(r.training.arithmetic.items())),
    **{name: _set_up(name) for name in _SETTINGS},
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
    for what, of in _COMMON.items():
        counts = Counter(map(of, records))
        usual = counts.most_common(1)[0][0] if counts else None
        for record in records:
            if of(record) != usual:
                text = f"its {what} is {of(record)}, most records have {usual}"
                fault = what == "data"
                yield Finding(record.unit.name, what, text, fault, redo=fault)
    yield from _spread(records, "energy", "J", lambda r: r.total_j(cpu=False))
    yield from _spread(records, "time", "s", lambda r: r.training.training_time_s)
    yield from _clocks(records)
    yield from _cold(records)


def _medians(
    records: list[Measurement],
    group: Callable[[Measurement], Hashable],
    of: Callable[[Measurement], float],
) -> Iterator[tuple[str, float, float, int]]:
    """Unit, value, and median and number of its group's values, of records with a finite value."""
    groups: defaultdict[Hashable, list[tuple[str, float]]] = defaultdict(list)
    for record in records:
        if math.isfinite(value := of(record)):
            groups[group(record)].append((record.unit.name, value))
    for members in groups.values():
        middle = statistics.median(value for _, value in members)
        yield from ((unit, value, middle, len(members)) for unit, value in members)


def _spread(
    records: list[Measurement], what: str, unit: str, of: Callable[[Measurement], float]
) -> Iterator[Finding]:
    """Repeats that are far from the median of their cell and budget."""

    def repeated(record: Measurement) -> Hashable:
        training = record.training
        return record.unit.row, record.unit.epochs, training.steps, training.device_name

    for name, value, middle, count in _medians(records, repeated, of):
        if abs(value - middle) > _SPREAD * middle:
            text = f"its {what} of {value:.4g} {unit} is {abs(value / middle - 1):.0%} off "
            text += f"the median of {count} repeats, {middle:.4g} {unit}"
            yield Finding(name, "spread", text, fault=False, redo=True)


def _clocks(records: list[Measurement]) -> Iterator[Finding]:
    """Runs whose GPU had a lower clock than in most runs on the same kind of device."""
    for name, clock, usual, _ in _medians(records, _COMMON["device"], _clock_mhz):
        if clock < (1 - _CLOCK) * usual:
            text = f"the GPU ran at {clock:.0f} MHz, in most runs at {usual:.0f} MHz"
            yield Finding(name, "clocks", text, fault=False, redo=True)


def _clock_mhz(record: Measurement) -> float:
    """Median clock at the ends of the segments of training, when the GPU is under load, or NaN."""
    names = {segment.window.name for segment in record.training.segments}
    readings = [r for w in record.windows if w.name in names for r in w.energy_j.values()]
    clocks = [r.stop.sm_clock_mhz for r in readings if r.stop is not None]
    known = [clock for clock in clocks if math.isfinite(clock)]
    return statistics.median(known) if known else math.nan


def _cold(records: list[Measurement]) -> Iterator[Finding]:
    """Trainings on a cold GPU: a worker's first and those after a pause, without a warm-up."""
    text = "the GPU was cold and not warmed up: the start of a worker is in its energy"
    ended: dict[Hashable, float] = {}
    for record in sorted(records, key=lambda r: r.owner.claimed_unix):
        if record.training.device.startswith("cuda") and not record.settings.warm_up_s:
            worker, began = replace(record.owner, claimed_unix=0.0), record.owner.claimed_unix
            if began - ended.get(worker, -math.inf) > PAUSE_S:
                yield Finding(record.unit.name, "cold", text, fault=False, redo=True)
            ended[worker] = began + record.training.total_time_s + 2 * record.settings.baseline_s
