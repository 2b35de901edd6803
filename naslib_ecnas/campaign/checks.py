"""What is looked at in every single record. Each check is a function; `CHECKS` lists them.

After the power checker of MLPerf, which refuses a result whose log does not cover its run: faults
say that a record is not whole or contradicts itself, doubts that its figures may be poor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from naslib_ecnas import network
from naslib_ecnas.campaign.energies import (
    essential,
    essential_faults,
    is_measured,
    total_j,
    unresolved,
)
from naslib_ecnas.campaign.measurement import Measurement
from naslib_ecnas.campaign.plan import Plan
from naslib_ecnas.campaign.warmth import WARM_UP
from naslib_ecnas.cell import Cell
from naslib_ecnas.energy.baseline import Baseline
from naslib_ecnas.energy.parts import check_parts
from naslib_ecnas.energy.reading import GpuState, Reading
from naslib_ecnas.training.record import SPLITS, WHEN

__all__ = ["CHECKS", "Finding"]

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
