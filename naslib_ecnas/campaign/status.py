"""Status of a campaign: what is recorded, running, given up and lost, and what is to come."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from naslib_ecnas.campaign.claims import Attempt, attempts
from naslib_ecnas.campaign.estimate import expected
from naslib_ecnas.campaign.measurement import Measurement, read_record, recorded
from naslib_ecnas.campaign.plan import Pace, Plan, Unit
from naslib_ecnas.campaign.worker import attempts_folder, exhausted
from naslib_ecnas.errors import EcnasError
from naslib_ecnas.files import to_plain
from naslib_ecnas.metrics import J_PER_KWH

#: Number of records, the last ones, that the rate is computed from, since workers come and go.
_RECENT = 50


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
    """At the mean power of the records; NaN if none of them has an energy."""


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


def status(folder: str | PathLike[str], *, pace: Pace | None = None) -> Status:
    """The state of a campaign.

    Args:
        folder: folder of the campaign.
        pace: the workers', which says how often a unit is tried and when a claim is stale.

    Raises:
        UnknownTableError, FormatError, StorageError: there is no campaign, or it cannot be read.
    """
    pace, folder = pace or Pace(), Path(folder)
    plan = Plan.read(folder)
    there = recorded(folder)
    records: list[Measurement] = []
    unreadable, running, given_up, lost, left = [], [], [], [], []
    for unit in plan.units:
        made = attempts(attempts_folder(folder, unit))
        if unit.name in there:
            try:
                record = read_record(folder, unit)
                records.append(record)
                made = [one for one in made if one.claim.number != record.attempt]
            except EcnasError:
                unreadable.append(str(unit))
        elif made and not made[-1].ended and not made[-1].dead:
            running.append(_running(unit, made.pop(), pace))
            left.append(unit)
        elif made and exhausted(made, pace.tries):
            why = made[-1].detail or "its worker died"
            given_up.append(GivenUp(str(unit), len(made), why))
        else:
            left.append(unit)
        lost += made
    workers = max(sum(not unit.stale for unit in running), 1)
    energy, to_come, seconds, basis = _forecast(records, left)
    return Status(
        name=plan.name,
        planned=len(plan.units),
        recorded=len(records),
        unreadable=tuple(unreadable),
        running=tuple(running),
        given_up=tuple(given_up),
        lost=_lost(lost, records),
        units_per_hour=_rate(records),
        remaining_s=seconds / workers,
        energy_kwh=energy,
        energy_to_come_kwh=to_come,
        estimated_from=basis,
    )


def _running(unit: Unit, attempt: Attempt, pace: Pace) -> Running:
    now, owner = time.time(), attempt.owner
    return Running(
        unit=str(unit),
        worker="unknown" if owner is None else str(owner),
        # By another machine's clock, or one that was set back, it may lie in the future.
        since_s=math.nan if owner is None else max(now - owner.claimed_unix, 0.0),
        stale=now - attempt.beat_unix >= pace.stale_s,
    )


def _lost(made: list[Attempt], records: list[Measurement]) -> Lost:
    seconds = math.fsum(one.seconds for one in made if math.isfinite(one.seconds))
    pairs = ((r.total_energy_kwh, r.training.total_time_s) for r in records)
    known = [(kwh, took) for kwh, took in pairs if math.isfinite(kwh) and took > 0]
    kwh, took = map(math.fsum, zip(*known, strict=True)) if known else (math.nan, 1.0)
    return Lost(len(made), seconds, seconds * kwh / took)


def _rate(records: list[Measurement]) -> float:
    """Records an hour, of the last `_RECENT`."""
    ends = sorted(max(w.stopped_unix for w in r.windows) for r in records if r.windows)[-_RECENT:]
    span = ends[-1] - ends[0] if ends else 0.0
    return 3600 * (len(ends) - 1) / span if span > 0 else math.nan


def _forecast(records: list[Measurement], left: list[Unit]) -> tuple[float, float, float, str]:
    """kWh so far, expected kWh and worker-seconds of the rest, and the basis of both."""
    joules = np.array([record.total_j(cpu=record.has_cpu) for record in records])
    known = np.isfinite(joules)
    used = float(joules[known].sum()) / J_PER_KWH if known.any() or not records else math.nan
    if not left:
        return used, 0.0, 0.0, "records"
    kwh, seconds = (float(np.nansum(values)) for values in expected(left))
    if not records:
        return used, kwh, seconds, "models"
    done_kwh, done_s = expected([record.unit for record in records])
    took = sum(record.training.total_time_s + record.settings.baseline_s for record in records)
    # Scaled by the records that have an energy; without any the energy to come is unknown.
    energy_scale = used / float(np.nansum(done_kwh[known])) if known.any() else math.nan
    time_scale = took / float(np.nansum(done_s))
    return used, kwh * energy_scale, seconds * time_scale, "records"
